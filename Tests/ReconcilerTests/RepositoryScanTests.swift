// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

/// When a repository is looked through, and what may stand in the way.
@Suite("A repository's scans")
struct RepositoryScanTests {
    struct Due: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var after: Int64
        var isDue: Bool
        var isFull = false
        var change: @Sendable (inout BackupRepository) -> Void = { _ in }
    }

    @Test(
        "when the next scan begins, and whether it lists everything anew",
        arguments: [
            Due(testDescription: "too early", after: 299, isDue: false),
            Due(testDescription: "after the interval", after: 300, isDue: true),
            Due(testDescription: "a day later", after: 86_400, isDue: true, isFull: true),
            Due(testDescription: "another interval", after: 3_599, isDue: false) {
                $0.spec?.scan = ScanPolicy(interval: "1h")
            },
            Due(testDescription: "an interval of seconds", after: 5, isDue: false) {
                $0.spec?.scan = ScanPolicy(interval: "1s")
            },
            Due(testDescription: "asked for", after: 1, isDue: true, isFull: true) {
                $0.spec?.scan = ScanPolicy(requestID: "now")
            },
            Due(testDescription: "a changed spec", after: 1, isDue: true, isFull: true) { $0.metadata.generation = 2 },
        ])
    func due(_ item: Due) throws {
        var world = RepositoryWorld.scanned()
        item.change(&world.repository)
        world.now = world.now.adding(seconds: item.after)
        let jobs = world.decide().effects.compactMap { effect -> JobManifest? in
            if case .create(.job(let manifest)) = effect { return manifest }
            return nil
        }
        #expect(jobs.count == (item.isDue ? 1 : 0))
        if let job = jobs.first {
            #expect(job.spec.template.spec.containers.first?.args?.contains("--full") == item.isFull)
        }
    }

    @Test("a request is answered by a scan that was made for it, and not by one under way")
    func requests() {
        var world = RepositoryWorld()
        _ = world.settle()
        world.repository.spec?.scan = ScanPolicy(requestID: "first")
        world.repository.metadata.generation = 2
        _ = world.settle()
        world.finish(1, RepositoryWorld.result([]))
        _ = world.settle()
        #expect(world.repository.status?.lastScan?.requestID == nil)
        #expect(world.jobs.contains(world.job(2)), "the next one follows at once")
        #expect(world.condition("Reconciling") == "True Scanning")
        world.finish(2, RepositoryWorld.result([]))
        _ = world.settle()
        #expect(world.repository.status?.lastScan?.requestID == "first")
        #expect(world.repository.status?.lastScan?.generation == 2)
        #expect(world.condition("Reconciling") == "False Scanned")
        #expect(!world.jobs.contains(world.job(3)))
    }

    @Test("what holds a scan up is told after a minute, and forgotten when it goes on")
    func obstacles() throws {
        var world = RepositoryWorld.scanned()
        world.now = world.now.adding(seconds: 300)
        _ = world.settle()
        let name = world.job(2)
        var pod = Pod(
            metadata: ObjectMeta(
                name: "\(name)-y", namespace: "staging", uid: "p", resourceVersion: "1", labels: [Label.job: name]),
            status: .init(phase: "Pending"))
        pod.status?.conditions = [.init(type: "PodScheduled", status: "False", reason: "Unschedulable", message: "no")]
        world.reader.add(pod)
        let early = world.decide()
        #expect(early == Decision(wake: .at(world.now.adding(seconds: 60))))
        world.now = world.now.adding(seconds: 60)
        _ = world.settle()
        #expect(world.condition("Stalled") == "True Unschedulable")
        #expect(world.condition("Ready") == "True Scanned", "the catalog is what it was")
        pod.status?.conditions = nil
        world.reader.add(pod)
        _ = world.settle()
        #expect(world.condition("Stalled") == "False Scanning")
        world.reader.objects[pod.ref] = nil
        world.finish(2, RepositoryWorld.result([ScannedArchive(path: "prod/orders", major: 15)]))
        _ = world.settle()
        #expect(world.condition("Reconciling") == "False Scanned")
    }

    @Test("a Job that is refused shows with the server's words")
    func refusedJob() {
        var world = RepositoryWorld()
        world.reader.failure = Failure(
            effect: "create Job staging/x", reason: "Forbidden", message: "exceeded quota", disposition: .terminal,
            count: 1, since: Story.now)
        let decision = world.decide()
        #expect(decision.effects.count == 1)
        let stalled = decision.status?.conditions?.condition("Stalled")
        #expect(stalled?.status == "True" && stalled?.reason == "Forbidden")
        #expect(stalled?.message.contains("exceeded quota") == true)
        world.repository.status = decision.status
        #expect(world.decide().status == decision.status, "the same again is no write")
    }

    struct Refused: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var change: @Sendable (inout BackupRepositorySpec) -> Void
    }

    @Test(
        "a spec that can't be carried out starts nothing",
        arguments: [
            Refused(testDescription: "EndpointNotAllowed") { $0.s3?.endpoint = "https://127.0.0.1" },
            Refused(testDescription: "InvalidSpec") { $0.s3?.bucket = nil },
            Refused(testDescription: "UnsupportedMode") {
                $0.credentials?.secretRef = nil
                $0.credentials?.serviceAccountName = "reader"
            },
        ])
    func refused(_ item: Refused) {
        var world = RepositoryWorld(item.change)
        #expect(world.settle().isEmpty)
        #expect(world.condition("Ready") == "False \(item.testDescription)")
        #expect(world.condition("Stalled") == "True \(item.testDescription)")
    }

    @Test("an archive that could not be looked at keeps what is known of it")
    func problems() {
        var world = RepositoryWorld.scanned()
        let known = world.lines[0]
        world.now = world.now.adding(seconds: 300)
        _ = world.settle()
        world.finish(
            2,
            RepositoryWorld.result(
                [
                    ScannedArchive(path: "prod/orders", major: 15, problem: "ResultTooLarge"),
                    ScannedArchive(path: "prod", major: 15, listing: RepositoryWorld.listing("prod")),
                ], total: 7))
        _ = world.settle()
        #expect(world.lines.map(\.path) == [".", "orders"])
        #expect(world.lines[0].problem?.hasPrefix("AtPrefix: ") == true)
        #expect(world.lines[1].problem == "ResultTooLarge")
        #expect(world.lines[1].latestCertain == known.latestCertain && world.lines[1].configMap == known.configMap)
        #expect(world.repository.status?.truncated == true)
        #expect(world.repository.status?.archivesTotal == 7)
        #expect(world.configMaps.count == 2)
    }
}
