// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

/// Another service's data takes the place of this one's: its passwords are taken away, and this one's is set.
@Suite("Another service's data in place")
struct InPlaceCrossTests {
    struct Origin: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var change: @Sendable (inout InPlaceWorld) -> Void
    }

    static let origins = [
        Origin(testDescription: "another ManagedService") {
            $0.reader.add(InPlaceWorld.invoices)
            $0.run.spec?.source = RestoreSource(service: .init(name: "invoices"))
        },
        Origin(testDescription: "another archive") {
            $0.run.spec?.source = RestoreSource(archive: .init(repository: .init(name: "prod"), path: "invoices"))
        },
        Origin(testDescription: "its own archive, with another system in it") {
            var seen = InPlaceWorld.inspection()
            seen.systemIdentifier = "1"
            $0.results[.inspect] = .inspect(seen)
            $0.results[.recheck] = .inspect(seen)
        },
    ]

    private static func world(
        _ origin: Origin, _ credentials: ManagedServiceSpec.ServiceCredentials?
    ) -> InPlaceWorld {
        var world = InPlaceWorld { $0.confirmCrossService = true }
        var service = InPlaceWorld.service
        service.spec?.credentials = credentials
        world.reader.add(service)
        origin.change(&world)
        return world
    }

    private static func jobs(_ world: InPlaceWorld, _ role: String) -> [JobManifest] {
        world.effects.compactMap { effect in
            if case .create(.job(let job)) = effect, job.metadata.name.contains("-\(role)-") { job } else { nil }
        }
    }

    @Test("without a password to set it is refused in the plan, not after hours", arguments: origins)
    func noCredentials(_ origin: Origin) {
        var world = Self.world(origin, nil)
        world.settle()
        #expect(world.state == .failed && world.reason == "CredentialsMissing", "\(world.run.status?.message ?? "")")
        #expect(world.run.status?.message?.contains("spec.credentials.secretName of ManagedService orders") == true)
        #expect(world.deeds == ["create Job inspect-1", "create Job scan-source-1"])
    }

    @Test("its own data needs none")
    func ownData() {
        var world = InPlaceWorld()
        var service = InPlaceWorld.service
        service.spec?.credentials = nil
        world.reader.add(service)
        world.settle()
        world.approve()
        world.settle()
        #expect(world.state == .completed)
        for role in ["inspect", "recheck", "replace"] {
            #expect(Self.jobs(world, role).count == 1)
            for job in Self.jobs(world, role) {
                #expect(job.spec.template.spec.volumes?.contains { $0.secret != nil } == false)
            }
        }
    }

    @Test("the Jobs find the password under whatever key the Secret has it", arguments: ["password", "pgpass", nil])
    func passwordKey(_ key: String?) throws {
        var world = Self.world(Self.origins[0], .init(secretName: "orders-db", passwordKey: key))
        world.settle()
        world.approve()
        world.settle()
        #expect(world.state == .completed)
        // The second look as well: a Secret that is not there must not be found out when the service is at 0.
        for role in ["recheck", "replace"] {
            let pod = try #require(Self.jobs(world, role).first).spec.template.spec
            let volume = try #require(pod.volumes?.first { $0.secret?.secretName == "orders-db" })
            #expect(volume.secret?.items?.map(\.key) == [key ?? "password"], "\(role)")
            #expect(volume.secret?.items?.map(\.path) == ["password"])
            let mount = try #require(pod.containers[0].volumeMounts.first { $0.name == volume.name })
            #expect(mount.mountPath == "/reprise/credentials" && mount.readOnly == true)
        }
        #expect(Self.jobs(world, "inspect").first?.spec.template.spec.volumes?.contains { $0.secret != nil } == false)
    }
}
