// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

@Suite("A repository's catalog")
struct RepositoryTests {
    @Test(arguments: [Int64.max, .max - 1, .min, -1])
    func aScansNumberThatSomebodyHasEditedEndsNothing(sequence: Int64) throws {
        var world = RepositoryWorld()
        var status = BackupRepositoryStatus()
        status.lastScan = .init()
        status.lastScan?.sequence = sequence
        world.repository.status = status
        #expect(world.snapshot().sequence >= 1)
        _ = world.settle()
    }

    @Test("the first scan is made at once, once, and without rights")
    func begins() throws {
        var world = RepositoryWorld()
        let first = world.decide()
        guard case .create(.job(let manifest)) = try #require(first.effects.first) else {
            Issue.record("no Job is made")
            return
        }
        #expect(first.effects.count == 1)
        #expect(world.decide().effects == first.effects, "the same every time")
        #expect(first.status?.conditions?.condition("Ready")?.status == "Unknown")
        #expect(first.status?.conditions?.isTrue("Reconciling") == true)
        #expect(manifest.metadata.name == "reprise-5c1e77aa-2222-catalog-1-1")
        #expect(manifest.metadata.ownerReferences.first?.uid == RepositoryWorld.uid)
        let spec = manifest.spec.template.spec
        let container = try #require(spec.containers.first)
        #expect(
            container.args == [
                "scan", "--repository", "--bucket", "backups", "--prefix", "prod", "--max-archives", "100", "--full",
            ])
        #expect(spec.automountServiceAccountToken == false)
        #expect(spec.securityContext?.runAsNonRoot == true)
        #expect(spec.securityContext?.seccompProfile?.type == "RuntimeDefault")
        #expect(container.securityContext?.allowPrivilegeEscalation == false)
        #expect(container.securityContext?.capabilities?.drop == ["ALL"])
        #expect(container.securityContext?.readOnlyRootFilesystem == true)
        #expect(spec.activeDeadlineSeconds.map { Int64($0) } == RepositoryScanJobs.deadline)
        #expect(spec.restartPolicy == "Never")
        #expect(spec.volumes == nil)
        #expect(container.env.contains { $0.name == "AWS_SECRET_ACCESS_KEY" && $0.value == nil })
        _ = world.settle()
        #expect(world.jobs.count == 1)
        #expect(world.statusWrites == 1)
    }

    @Test("what was found is published first, and the status says so when it is there")
    func publishes() throws {
        var world = RepositoryWorld()
        _ = world.settle()
        let listing = RepositoryWorld.listing()
        world.finish(1, RepositoryWorld.result([RepositoryWorld.archive(listing)], isFull: true))
        let before = world.repository.status
        let decision = world.decide()
        #expect(decision.status == before, "nothing is claimed yet")
        guard case .create(.configMap(let manifest)) = try #require(decision.effects.first) else {
            Issue.record("no ConfigMap is made")
            return
        }
        #expect(decision.effects.count == 1)
        #expect(manifest.metadata.labels == [Label.catalog: "prod"])
        #expect(manifest.metadata.ownerReferences.first?.uid == RepositoryWorld.uid)
        #expect(world.settle().count == 1)
        let line = try #require(world.lines.first)
        #expect(line.path == "orders")
        #expect(line.major == 15)
        #expect(line.engine == "Postgres")
        #expect(line.systemIdentifier == Story.systemIdentifier)
        #expect(line.backups == 1)
        #expect(line.latestCertain == listing.backups[0].finishTime)
        #expect(line.latestEstimated == Story.now.adding(seconds: -60))
        #expect(line.gaps == 0)
        #expect(line.configMap == manifest.metadata.name)
        #expect(line.digest == manifest.metadata.annotations[Label.digest])
        let scan = try #require(world.repository.status?.lastScan)
        #expect(scan.sequence == 1)
        #expect(scan.time == Story.now)
        #expect(scan.fullAt == Story.now)
        #expect(scan.duration == "7s")
        #expect(scan.objects == 42)
        #expect(world.condition("Ready") == "True Scanned")
        #expect(world.condition("Reachable") == "True Reached")
        #expect(world.condition("Reconciling") == "False Scanned")
        #expect(world.condition("Stalled") == "False Scanned")
        let stored = try #require(
            world.reader.objects[Ref(ConfigMap.resourceKind, "staging", manifest.metadata.name)] as? ConfigMap)
        #expect(PublishedCatalog.listing(in: stored) == listing)
        #expect(world.statusWrites == 2, "one for the beginning, one for the end")
    }

    @Test("an archive with nothing new costs one status write for each scan, and nothing else")
    func idles() throws {
        var world = RepositoryWorld.scanned()
        let lines = world.lines
        for sequence in Int64(2)...5 {
            let writes = world.statusWrites
            let rest = world.decide()
            #expect(rest.wake == .at(world.now.adding(seconds: 300)))
            #expect(rest.effects.isEmpty && (rest.status == nil || rest.status == world.repository.status))
            world.now = world.now.adding(seconds: 299)
            #expect(world.settle().isEmpty)
            world.now = world.now.adding(seconds: 1)
            let began = world.settle()
            #expect(began.compactMap(\.child).count == 1)
            #expect(world.statusWrites == writes, "its beginning is not written")
            world.now = world.now.adding(seconds: 20)
            world.finish(
                sequence, RepositoryWorld.result([ScannedArchive(path: "prod/orders", major: 15)]))
            let ended = world.settle()
            #expect(
                ended.allSatisfy {
                    if case .delete(let seen) = $0 { seen.ref.name == world.job(sequence - 1) } else { false }
                })
            #expect(world.statusWrites == writes + 1)
            #expect(world.lines == lines)
            #expect(world.jobs == [world.job(sequence)], "the last one is kept for its log")
        }
        #expect(world.repository.status?.lastScan?.sequence == 5)
    }

    @Test("the known catalogs are given to the next scan, which lists only what is new")
    func knows() throws {
        var world = RepositoryWorld.scanned([RepositoryWorld.listing(), RepositoryWorld.listing("prod/a/b")])
        world.now = world.now.adding(seconds: 300)
        guard case .create(.job(let manifest)) = try #require(world.decide().effects.first) else {
            Issue.record("no Job is made")
            return
        }
        let spec = manifest.spec.template.spec
        #expect(spec.containers.first?.args?.suffix(2) == ["--known", "/reprise/known"])
        #expect(spec.containers.first?.args?.contains("--full") == false)
        let sources = spec.volumes?.first?.projected?.sources ?? []
        #expect(sources.map(\.configMap.name) == world.configMaps)
        #expect(sources.allSatisfy { $0.configMap.optional && $0.configMap.items.first?.key == "archive.json" })
        #expect(sources.first?.configMap.items.first?.path == "\(world.configMaps[0]).json")
        #expect(spec.containers.first?.volumeMounts.first?.readOnly == true)
    }

    @Test("what has changed is replaced, what is gone is deleted, and the rest is not touched")
    func changes() throws {
        var world = RepositoryWorld.scanned(
            ["prod/gone", "prod/grown", "prod/same"].map { RepositoryWorld.listing($0) })
        let before = world.lines
        world.now = world.now.adding(seconds: 300)
        _ = world.settle()
        var grown = RepositoryWorld.listing("prod/grown", backups: 2)
        grown.seenAt = world.now
        world.finish(
            2,
            RepositoryWorld.result([RepositoryWorld.archive(grown), ScannedArchive(path: "prod/same", major: 15)]))
        let effects = world.decide().effects
        #expect(effects.count == 2)
        guard case .replaceConfigMap(let seen, let manifest) = try #require(effects.first),
            case .delete(let gone) = try #require(effects.last)
        else {
            Issue.record("\(effects)")
            return
        }
        #expect(seen.ref.name == before[1].configMap && manifest.metadata.name == seen.ref.name)
        #expect(gone.ref.name == before[0].configMap)
        _ = world.settle()
        #expect(world.lines.map(\.path) == ["grown", "same"])
        #expect(world.lines[0].backups == 2)
        #expect(world.lines[0].digest != before[1].digest)
        #expect(world.lines[1] == before[2])
        #expect(world.configMaps.count == 2)
    }

    @Test("a listing that says the same again is not written, however new it is")
    func sameAgain() {
        var world = RepositoryWorld.scanned()
        let lines = world.lines
        world.now = world.now.adding(seconds: BackupRepositoryBehavior.fullInterval)
        _ = world.settle()
        var again = RepositoryWorld.listing()
        again.seenAt = world.now
        again.objects = 900
        world.finish(2, RepositoryWorld.result([RepositoryWorld.archive(again)], isFull: true))
        let effects = world.settle()
        #expect(effects.count == 1, "the old Job alone: \(effects)")
        #expect(world.lines == lines)
        #expect(world.repository.status?.lastScan?.fullAt == world.now)
    }

    @Test("a catalog that somebody deleted or changed is published again")
    func heals() throws {
        for isDeleted in [true, false] {
            var world = RepositoryWorld.scanned()
            let ref = Ref(ConfigMap.resourceKind, "staging", world.configMaps[0])
            if isDeleted {
                world.reader.objects[ref] = nil
            } else {
                var changed = try #require(world.reader.objects[ref] as? ConfigMap)
                changed.data = [PublishedCatalog.key: "{}"]
                world.reader.add(changed)
            }
            world.now = world.now.adding(seconds: 300)
            _ = world.settle()
            world.finish(2, RepositoryWorld.result([RepositoryWorld.archive(RepositoryWorld.listing())]))
            _ = world.settle()
            let stored = try #require(world.reader.objects[ref] as? ConfigMap)
            #expect(PublishedCatalog.listing(in: stored) == RepositoryWorld.listing())
            #expect(world.condition("Ready") == "True Scanned")
        }
    }

    @Test("an attempt that got lost after it was published is taken up from what is there")
    func takenUp() throws {
        var world = RepositoryWorld.scanned()
        world.now = world.now.adding(seconds: 300)
        _ = world.settle()
        world.finish(2, RepositoryWorld.result([RepositoryWorld.archive(RepositoryWorld.listing(backups: 3))]))
        // The ConfigMap is written, and the pod is gone before the status is.
        for effect in world.decide().effects { world.carryOut(effect) }
        world.reader.logs["\(world.job(2))-x"] = .unbelievable("its pod is gone")
        _ = world.settle()
        #expect(world.jobs.contains(world.job(2, 2)))
        world.finish(2, RepositoryWorld.result([ScannedArchive(path: "prod/orders", major: 15)]), ordinal: 2)
        _ = world.settle()
        #expect(world.lines.first?.backups == 3)
        #expect(world.repository.status?.lastScan?.sequence == 2)
    }

    @Test("somebody else's ConfigMap is left alone and told of")
    func foreign() throws {
        var world = RepositoryWorld()
        _ = world.settle()
        let name = PublishedCatalog.configMapName(repository: "prod", path: "orders", major: 15)
        world.reader.strangers[Ref(ConfigMap.resourceKind, "staging", name)] = ConfigMap(
            metadata: ObjectMeta(name: name, namespace: "staging", uid: "x", resourceVersion: "1"))
        world.finish(1, RepositoryWorld.result([RepositoryWorld.archive(RepositoryWorld.listing())]))
        #expect(world.settle().isEmpty)
        #expect(world.lines.first?.problem?.hasPrefix("NotPublished: ") == true)
        #expect(world.lines.first?.configMap == nil)
        #expect(world.lines.first?.backups == 1)
    }

    @Test("what is not known decides nothing")
    func unknown() {
        var world = RepositoryWorld()
        _ = world.settle()
        world.finish(1, RepositoryWorld.result([RepositoryWorld.archive(RepositoryWorld.listing())]))
        for answer in [Observed<ConfigMap>.unknown, .absent(confirmed: false)] {
            var snapshot = world.snapshot()
            snapshot.archives[0].catalog?.configMap = answer
            #expect(BackupRepositoryBehavior.decide(snapshot, at: world.now) == Decision())
        }
    }

    @Test(
        "a store that refuses is told of; what was known of it stays",
        arguments: ["WrongCredentials", "BucketNotFound", "AccessDenied", "RepositoryUnreachable", "ScanFailed"])
    func refusal(_ code: String) {
        var world = RepositoryWorld.scanned()
        let lines = world.lines
        var writes = world.statusWrites
        for sequence in Int64(2)...4 {
            world.now = world.now.adding(seconds: 300)
            _ = world.settle()
            world.finish(
                sequence, .repositoryScan(RepositoryScanResult(attempt: "", code: code, message: "the store said no")))
            _ = world.settle()
            writes += 1
            #expect(world.statusWrites == writes, "one write for each scan")
            #expect(world.condition("Reachable") == "\(code == "ScanFailed" ? "Unknown" : "False") \(code)")
            #expect(world.condition("Ready") == "False \(code)")
            #expect(world.condition("Stalled") == "True \(code)")
            #expect(world.lines == lines)
            #expect(world.repository.status?.lastScan?.time == world.now)
        }
    }

    @Test("a result that can't be believed is tried for three times, and again after the interval")
    func unbelievable() {
        var world = RepositoryWorld()
        _ = world.settle()
        for ordinal in 1...3 {
            #expect(world.jobs.count == ordinal)
            world.finish(1, .unbelievable("the log holds no result"), ordinal: ordinal)
            _ = world.settle()
        }
        #expect(world.jobs.count == 3)
        #expect(world.condition("Ready") == "False ScanFailed")
        #expect(world.repository.status?.conditions?.condition("Ready")?.message.contains("holds no result") == true)
        #expect(world.repository.status?.lastScan?.sequence == 1)
        world.now = world.now.adding(seconds: 299)
        #expect(world.settle().isEmpty)
        world.now = world.now.adding(seconds: 1)
        _ = world.settle()
        #expect(world.jobs.contains(world.job(2)))
        world.finish(2, RepositoryWorld.result([RepositoryWorld.archive(RepositoryWorld.listing())]))
        _ = world.settle()
        #expect(world.condition("Ready") == "True Scanned")
        #expect(world.jobs == [world.job(2)])
    }
}
