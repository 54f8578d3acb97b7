// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

/// Named checks of a new service: where they come from, that they are pinned, and what is told of how they went.
@Suite("Verification of a new service")
struct VerificationTests {
    private static func check(_ name: String, _ query: String) -> VerificationCheck {
        var check = VerificationCheck()
        check.name = name
        check.query = query
        check.database = "shop"
        return check
    }

    /// A run of which a ServiceClone with a check is the owner.
    private static func ofClone() -> (RestoreRun, FakeReader) {
        var run = Story.run { $0.verification = .init(checks: ["has-orders"], amcheck: nil) }
        run.metadata.ownerReferences = [
            OwnerReference(
                apiVersion: ServiceClone.resourceKind.apiVersion, kind: "ServiceClone", name: "orders", uid: "c-1",
                controller: true)
        ]
        var reader = Story.scanned()
        var spec = ServiceCloneSpec()
        spec.verification = [check("has-orders", "select $$a$$ is not null"), check("other", "select false")]
        reader.add(
            ServiceClone(metadata: ObjectMeta(name: "orders", namespace: "staging", uid: "c-1"), spec: spec))
        return (run, reader)
    }

    @Test("a clone's checks are pinned when its run is planned")
    func pinned() throws {
        let (run, reader) = Self.ofClone()
        let planned = settle(run, reader).run
        #expect(planned.status?.restore?.checks?.map(\.name) == ["has-orders"])
        let plain = settle(Story.run(), Story.scanned()).run
        #expect(plain.status?.restore?.checks == nil)
        #expect(planned.status?.plan?.hash != plain.status?.plan?.hash, "they are part of what is agreed to")
    }

    @Test("a source's ManagedService has checks as well")
    func ofService() {
        let run = Story.run {
            $0.source = RestoreSource(service: .init(name: "shop"))
            $0.verification = .init(checks: ["has-orders"], amcheck: nil)
        }
        var reader = Story.scanned()
        var service = InPlaceWorld.service
        service.metadata.name = "shop"
        service.spec?.protection = .init(approval: nil, verification: [Self.check("has-orders", "select true")])
        reader.add(service)
        #expect(settle(run, reader).run.status?.restore?.checks?.first?.query == "select true")
    }

    @Test("a check that stands nowhere is refused by its name")
    func unknown() {
        let run = Story.run { $0.verification = .init(checks: ["has-orders"], amcheck: nil) }
        let ended = settle(run, Story.scanned()).run
        #expect(ended.status?.state?.known == .failed)
        #expect(ended.status?.message?.contains("spec.verification.checks: there is no check has-orders") == true)
    }

    /// Sealed with such a result, by a run that has a check.
    private static func sealed(_ result: SealResult) -> (RestoreRun, FakeReader) {
        var (run, reader) = AdvanceTests.stopped()
        run.status?.restore?.checks = [check("has-orders", "select $$a$$ is not null")]
        reader.finish(.seal, .seal(result))
        return (run, reader)
    }

    @Test("the seal runs them, and a check that fails ends the run and is named")
    func failed() throws {
        var (run, reader) = AdvanceTests.stopped()
        run.status?.restore?.checks = [Self.check("has-orders", "select $$a$$ is not null")]
        let job = try #require(
            pass(run, &reader).effects.compactMap { effect in
                if case .create(.job(let job)) = effect { job } else { nil }
            }.first)
        let variables = Dictionary(
            uniqueKeysWithValues: job.spec.template.spec.containers[0].env.map { ($0.name, $0.value ?? "") })
        #expect(variables["REPRISE_CHECKS"] == "1")
        #expect(variables["REPRISE_CHECK_1_NAME"] == "has-orders")
        #expect(variables["REPRISE_CHECK_1_DATABASE"] == "shop")
        #expect(variables["REPRISE_CHECK_1_EXPECT"] == nil)
        // The kubelet makes one dollar of two.
        #expect(variables["REPRISE_CHECK_1_QUERY"] == "select $$$$a$$$$ is not null")
        var result = AdvanceTests.seal
        result.code = "VerificationFailed"
        result.step = "verify"
        result.checks = [
            .init(name: "has-orders", passed: false, milliseconds: 4), .init(name: "b", passed: true, milliseconds: 1),
        ]
        (run, reader) = Self.sealed(result)
        let ended = pass(run, &reader).status
        #expect(ended?.restore?.ending?.reason == "VerificationFailed")
        #expect(ended?.restore?.ending?.message.hasSuffix("VerificationFailed (has-orders)") == true)
        #expect(ended?.verification?.map(\.passed) == [false, true])
    }

    @Test("the service's database is where its checks go, what its Secret names, and must be in the data")
    func database() throws {
        func sealing(_ database: String?) throws -> [String: String] {
            var (run, reader) = AdvanceTests.stopped()
            run.spec?.target?.newService?.database = database
            run.status?.restore?.specDigest = nil
            let job = try #require(
                pass(run, &reader).effects.compactMap { effect in
                    if case .create(.job(let job)) = effect { job } else { nil }
                }.first)
            return Dictionary(
                uniqueKeysWithValues: job.spec.template.spec.containers[0].env.map { ($0.name, $0.value ?? "") })
        }
        #expect(try sealing("shop")["REPRISE_DATABASE"] == "shop")
        #expect(try sealing(nil)["REPRISE_DATABASE"] == nil, "a cluster without a database postgres is fine")
        var service = try PostgresServiceTests.service(.entrypoint(targetTime: nil))
        #expect(service.credentials.database == "postgres" && service.credentials.username == "postgres")
        service.request.service.database = "shop"
        #expect(service.credentials.database == "shop")

        var result = AdvanceTests.seal
        result.code = "DatabaseNotFound"
        var (run, reader) = Self.sealed(result)
        run.spec?.target?.newService?.database = "shop"
        run.status?.restore?.specDigest = nil
        let ending = pass(run, &reader).status?.restore?.ending
        #expect(ending?.reason == "DatabaseNotFound")
        #expect(ending?.message.hasPrefix("spec.target.newService.database shop: the restored data has no") == true)
    }

    @Test("what passed is shown, and what the image lacks is said although the run goes on")
    func passed() {
        var result = AdvanceTests.seal
        result.checks = [.init(name: "has-orders", passed: true, milliseconds: 4)]
        var (run, reader) = Self.sealed(result)
        var status = pass(run, &reader).status
        #expect(status?.verification?.map(\.name) == ["has-orders"])
        #expect(status?.conditions?.condition(RunCondition.verified)?.message.contains("1 checks passed") == true)
        result.extensionsMissing = ["postgis"]
        (run, reader) = Self.sealed(result)
        status = pass(run, &reader).status
        #expect(status?.conditions?.condition(RunCondition.verified)?.reason == "LibraryMissing")
        #expect(status?.conditions?.isTrue(RunCondition.sealed) == true)
    }

    @Test("collations of other versions keep nothing from being served, and are said, in place as well")
    func collations() {
        var world = InPlaceTests.approved()
        var result = InPlaceWorld.replaced()
        result.collationMismatch = true
        world.results[.replace] = .replace(result)
        world.settle()
        #expect(world.state == .completed)
        let verified = world.condition(RunCondition.verified)
        #expect(verified?.isTrue == true && verified?.reason == "CollationMismatch")
        #expect(verified?.message.contains("rebuild the indexes on text") == true)
    }
}
