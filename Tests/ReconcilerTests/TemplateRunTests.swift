// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

/// A run whose new service copies another one: what keeps it from being planned, and that it is then this copy for good.
@Suite("A run with a template")
struct TemplateRunTests {
    typealias Fixture = TemplateTests

    struct Refusal: Sendable, CustomTestStringConvertible {
        var reason: String
        var words: String
        var reader: FakeReader
        var give: @Sendable (inout NewService) -> Void = { _ in }
        var testDescription: String { "\(reason): \(words)" }
    }

    static var refusals: [Refusal] {
        func changed(
            _ change: (inout ServiceWorkload.PodFacts, inout ServiceWorkload.Container) -> Void
        ) -> FakeReader {
            var workload = Fixture.workload()
            Fixture.edit(&workload, change)
            return Fixture.reader(workload)
        }
        var older = Fixture.reader { $0.major = 14 }
        older.finish(.scanSource, .scan(Story.scan { $0.listing = nil }))
        return [
            Refusal(
                reason: "UnsupportedMode", words: "Redis can't be restored into a new service",
                reader: Fixture.reader { $0.engine = Open(.redis) }),
            Refusal(
                reason: "InvalidSpec", words: "has no spec.major to copy; set it there, or give major",
                reader: Fixture.reader { $0.major = nil }),
            Refusal(
                reason: "MajorMismatch", words: "is of major version 15, and its image would be copied for major 16",
                reader: Fixture.reader(), give: { $0.major = 16 }),
            Refusal(
                reason: "MajorMismatch", words: "spec.target.newService.major 14", reader: older),
            Refusal(
                reason: "MajorMismatch",
                words: "major version 15 of the archive s3://backups/prod/orders was looked at",
                reader: Fixture.reader { $0.major = 14 }),
            Refusal(
                reason: "UnsupportedMode", words: "has an imageProfile that is not known",
                reader: Fixture.reader { $0.imageProfile = "other" }),
            Refusal(
                reason: "InvalidSpec", words: "has no container server in StatefulSet orders-db",
                reader: Fixture.reader { $0.container = "server" }),
            Refusal(
                reason: "UnsupportedMode", words: "mounts claim data 0 times, not once; or give storage",
                reader: changed { $1.volumeMounts = [] }),
            Refusal(
                reason: "ImageNotAllowed", words: "elsewhere.example.com/pg:15",
                reader: changed { $1.image = "elsewhere.example.com/pg:15" }),
            Refusal(
                reason: "InvalidSpec", words: "newService.tolerations has 17 entries",
                reader: changed { pod, _ in pod.tolerations = Array(repeating: Fixture.toleration("a"), count: 17) }),
            Refusal(
                reason: "VolumeTooSmall", words: "spec.target.newService.storage.size 1Mi",
                reader: Fixture.reader(claim: Fixture.claim("1Mi"))),
        ]
    }

    @Test("what can't be copied so is refused before anything is made, with the way out", arguments: refusals)
    func refused(_ refusal: Refusal) {
        let reader = refusal.reader
        let run = settle(Fixture.run { refusal.give(&$0) }, reader).run
        #expect(run.status?.state?.known == .failed)
        #expect(run.status?.startedAt == nil)
        #expect(run.status?.conditions?.condition(RunCondition.finished)?.reason == refusal.reason)
        #expect(run.status?.message?.contains(refusal.words) == true, "\(run.status?.message ?? "")")
    }

    @Test("where its claim is not known, a size of one's own is enough")
    func sizeOfOnesOwn() {
        var workload = Fixture.workload()
        Fixture.edit(&workload) { $1.volumeMounts = [] }
        let copied = Fixture.copied(Fixture.run { $0.storage = .init(size: "5Gi") }, Fixture.reader(workload))
        #expect(copied?.service.storage == .init(size: "5Gi"))
    }

    @Test("an image profile of its own is enough where the ManagedService's is not known")
    func profileOfItsOwn() {
        let copied = Fixture.copied(
            Fixture.run { $0.imageProfile = "walg-clone" }, Fixture.reader { $0.imageProfile = "other" })
        #expect(copied?.service.imageProfile == "walg-clone")
    }

    @Test("a major version of its own is enough where the ManagedService says none, and with an image of its own")
    func majorOfItsOwn() {
        #expect(Fixture.copied(Fixture.run { $0.major = 15 }, Fixture.reader { $0.major = nil })?.service.major == 15)
        let other = Fixture.run {
            $0.major = 15
            $0.image = InPlaceWorld.image
        }
        #expect(Fixture.copied(other, Fixture.reader { $0.major = 14 })?.service.major == 15)
    }

    @Test("what is not there yet is waited for for ten minutes", arguments: ["ServiceNotFound", "TemplateNotFound"])
    func missing(_ reason: String) throws {
        var reader = Fixture.reader(reason == "TemplateNotFound" ? nil : Fixture.workload())
        if reason == "ServiceNotFound" { reader.objects[InPlaceWorld.service.ref] = nil }
        let waiting = settle(Fixture.run(), reader).run
        #expect(waiting.status?.state?.known == .pending)
        #expect(waiting.status?.conditions?.condition(RunCondition.stalled)?.reason == reason)
        #expect(waiting.status?.plan == nil)
        reader.add(InPlaceWorld.service)
        reader.strangers[Fixture.workload().ref] = Fixture.workload()
        #expect(settle(waiting, reader).run.status?.plan?.hash != nil, "and then it goes on")
        if reason == "TemplateNotFound" { reader.strangers[Fixture.workload().ref] = nil }
        if reason == "ServiceNotFound" { reader.objects[InPlaceWorld.service.ref] = nil }
        let ended = settle(waiting, reader, at: Story.now.adding(seconds: RestoreRunBehavior.prepareDeadline)).run
        #expect(ended.status?.conditions?.condition(RunCondition.finished)?.reason == reason)
    }

    @Test("nothing is decided before the claim was read")
    func reading() {
        var reader = Fixture.reader(claim: nil)
        reader.unread = [Fixture.claim().ref]
        #expect(settle(Fixture.run(), reader).run.status?.plan == nil)
        reader.unread = []
        #expect(settle(Fixture.run(), reader).run.status?.plan != nil)
    }

    @Test("once planned it is this copy, whatever becomes of the template")
    func pinned() throws {
        var reader = Fixture.reader()
        var run = settle(Fixture.run(), reader).run
        let planned = try #require(run.status?.restore?.copied)
        var other = Fixture.workload()
        Fixture.edit(&other) { $1.image = "registry.example.com/postgres-walg:15-new" }
        reader.strangers[other.ref] = other
        let later = settle(Fixture.run(), reader).run
        #expect(later.status?.plan?.hash != run.status?.plan?.hash, "another copy is another plan")
        reader.strangers[other.ref] = nil
        reader.objects[InPlaceWorld.service.ref] = nil
        reader.recorded(run, run.status ?? RestoreRunStatus())
        run.status?.state = Open(.running)
        reader.add(AdvanceTests.claim())
        run.status?.restore?.claimUID = "claim-1"
        run.status?.restore?.completedSteps = ["Claim"]
        reader.recorded(run, run.status ?? RestoreRunStatus())
        let manifests = pass(run, &reader).effects.compactMap(\.child).compactMap { child -> StatefulSetManifest? in
            if case .statefulSet(let manifest) = child { manifest } else { nil }
        }
        let manifest = try #require(manifests.first)
        let pod = manifest.spec.template.spec
        #expect(pod.containers.first?.image == InPlaceWorld.image)
        #expect(pod.nodeSelector == ["disk": "nvme"])
        #expect(pod.containers.first?.resources == planned.service.resources)
        #expect(manifest.metadata.labels["app"] == nil)
    }

    @Test("parameters are in its plan's hash, in quarantine before what quarantine sets, and alone once it is open")
    func parameters() throws {
        let run = settle(Fixture.run(), Fixture.reader()).run
        let request = try #require(RunRequest.read(run).request)
        var service = PostgresService(request: request, source: .nowhere, sourcePath: "", archive: nil)
        let own = ["postgres", "-c", "shared_buffers=512MB", "-c", "max_connections=300", "-c", "wal_level=logical"]
        let quarantined = service.quarantined.spec.template.spec.containers.first?.args ?? []
        #expect(quarantined == own + PostgresService.quarantineArguments(major: 15).dropFirst())
        #expect(service.opened.spec.template.spec.containers.first?.args == own)
        #expect(service.opening.args == own)
        service.request.copied?.parameters = ["search_path=$(a)"]
        #expect(service.opening.args?.last == "search_path=$$(a)", "the kubelet reads no variable in it")
        service.request.copied?.parameters = nil
        #expect(service.opening.args == nil)
        var workload = Fixture.workload()
        Fixture.edit(&workload) { $1.args = ["-c", "work_mem=8MB"] }
        #expect(settle(Fixture.run(), Fixture.reader(workload)).run.status?.plan?.hash != run.status?.plan?.hash)
    }

    @Test("the seal's server has those parameters without which the data may not be usable")
    func sealing() throws {
        var workload = Fixture.workload()
        Fixture.edit(&workload) {
            $1.args = ["shared_preload_libraries=a,b", "work_mem=8MB", "max_prepared_transactions=9"].flatMap {
                ["-c", $0]
            }
        }
        func variables(_ run: RestoreRun) throws -> [String: String] {
            let jobs = PostgresJobs(
                request: try #require(RunRequest.read(run).request), settings: FakeReader().settings,
                owner: OwnerReference(apiVersion: "a", kind: "b", name: "c", uid: "d"))
            let job = jobs.seal(
                1, expecting: try #require(run.status?.restore?.pinnedBackup), after: .entrypoint(targetTime: nil),
                checks: [], deadline: 60)
            return PostgresServiceTests.values(job.spec.template.spec.containers[0].env)
        }
        #expect(
            try variables(settle(Fixture.run(), Fixture.reader(workload)).run)["REPRISE_PARAMETERS"]
                == "shared_preload_libraries=a,b\nmax_prepared_transactions=9")
        #expect(try variables(settle(Fixture.run(), Fixture.reader()).run)["REPRISE_PARAMETERS"] == nil)
    }

    @Test("a preview says the same, with the same hash, and what it lacks")
    func preview() throws {
        var workload = Fixture.workload()
        Fixture.edit(&workload) { $1.envFrom = [.object([:])] }
        let run = try #require(settle(Fixture.run(), Fixture.reader(workload)).run.status?.plan)
        func look(_ reader: FakeReader) -> RestorePlanStatus? {
            var reader = reader
            let plan = RestorePlanTests.plan { $0.target = Fixture.run().spec?.target }
            return RestorePlanBehavior.decide(RestorePlanBehavior.observe(plan, through: &reader), at: Story.now).status
        }
        var reader = RestorePlanTests.reader(Story.listing)
        #expect(look(reader)?.conditions?.condition("Ready")?.reason == "ServiceNotFound")
        #expect(look(reader)?.conditions?.isTrue(RunCondition.reconciling) == true)
        reader.add(InPlaceWorld.service)
        reader.strangers[workload.ref] = workload
        reader.strangers[Fixture.claim().ref] = Fixture.claim()
        let preview = try #require(look(reader))
        #expect(preview.hash == run.hash && run.hash != nil)
        #expect(preview.steps == run.steps && preview.warnings == run.warnings)
        #expect(run.warnings?.contains { $0.reason == "NotCopied" && $0.message.contains("envFrom") } == true)
        let made = run.steps?.first { $0.name == "Provision" }?.detail
        #expect(made?.contains("with \(InPlaceWorld.image), as a copy of StatefulSet orders-db") == true)
        #expect(run.steps?.first { $0.name == "Claim" }?.detail?.contains("40Gi") == true)
    }

    @Test("what the ledger keeps of it has no values of variables")
    func ledger() throws {
        let run = settle(Fixture.run(), Fixture.reader()).run
        let entry = RestoreRunBehavior.entry(for: run, try #require(run.status))
        #expect(entry.resumeToken?.copied?.service.env == [.init(name: "LANG", value: "(not recorded)")])
        #expect(entry.parameterOverrides?.image == nil, "only what the manifest overrides")
    }

    @Test("a clone remembers the copy, and makes a deleted StatefulSet again from it when run and template are gone")
    func madeAgain() throws {
        let planned = settle(Fixture.run(), Fixture.reader()).run
        var (clone, reader) = ServiceCloneTests.restored()
        clone.spec?.service = planned.spec?.target?.newService
        // While it is followed: completed, with what its record has.
        let name = try #require(clone.status?.run?.name)
        var completed = ServiceCloneTests.run(name, .completed)
        completed.status?.restore = planned.status?.restore
        reader.add(completed)
        clone.status?.completedRunUID = nil
        clone.status = ServiceCloneTests.decide(clone, &reader).status
        #expect(clone.status?.copied == planned.status?.restore?.copied)
        #expect(clone.status?.completedRunUID == Story.uid)
        reader.objects[completed.ref] = nil
        reader.objects[AdvanceTests.statefulSet(replicas: 1, quarantined: false).ref] = nil
        let made = ServiceCloneTests.decide(clone, &reader).effects.compactMap(\.child).compactMap { child in
            if case .statefulSet(let manifest) = child { manifest } else { nil }
        }
        let container = try #require(made.first?.spec.template.spec.containers.first)
        #expect(container.image == InPlaceWorld.image && container.args?.contains("max_connections=300") == true)
    }
}
