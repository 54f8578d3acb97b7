// SPDX-License-Identifier: Apache-2.0

import JSON
import Resources

extension ModelVolume {
    /// Data that is being replaced: set aside, with a placeholder in its place that no server accepts.
    package struct Held: Equatable, Sendable {
        package var run: String
        package var cluster: Cluster
        /// The run whose replaced data is put back, and that data.
        package var rollback: Rollback?

        package struct Rollback: Equatable, Sendable {
            package var run: String
            package var cluster: Cluster
        }
    }
}

/// The program `inplace`, as `programs/postgres/inplace.sh` does it: hold, stage, recover, verify, swap; and the way back
/// from each. Killed anywhere it leaves the volume as it stands, and a repetition finds out from there.
struct ModelInPlace {
    private let kubelet: ModelKubelet
    private let process: ModelKubelet.Process
    private let claim: String

    init?(_ kubelet: ModelKubelet, _ process: ModelKubelet.Process) {
        guard let claim = process.claim else { return nil }
        self.kubelet = kubelet
        self.process = process
        self.claim = claim
    }

    private var environment: [String: String] { process.environment }
    private var run: String { environment["REPRISE_RUN_UID"] ?? "" }
    private var volume: ModelVolume { kubelet.volumes[claim] ?? ModelVolume() }

    private func change(_ body: (inout ModelVolume) -> Void) {
        guard var volume = kubelet.volumes[claim] else { return }
        body(&volume)
        kubelet.volumes[claim] = volume
    }

    private func result(_ code: String) -> ReplaceResult {
        ReplaceResult(attempt: environment["REPRISE_ATTEMPT_TOKEN"] ?? "", code: code)
    }

    func act() {
        switch environment["REPRISE_ACTION"] {
        case "inspect": inspect()
        case "restore", "rollback": lock { replace() }
        case "undo": lock { undo() }
        case "tidy": tidy()
        default: kubelet.ends(process, exitCode: 1, message: nil, log: [])
        }
    }

    /// One program at a time works on a volume: another one waits for its lock.
    private func lock(_ next: @escaping () -> Void) {
        if let holder = volume.lockedBy, holder != process.uid, kubelet.pods[holder]?.isRunning == true {
            kubelet.scheduler.after(1_000, "\(process.key) waits for the volume") {
                if kubelet.isAlive(process) { lock(next) }
            }
            return
        }
        change { $0.lockedBy = process.uid }
        next()
    }

    private func inspect() {
        var seen = InspectResult(attempt: environment["REPRISE_ATTEMPT_TOKEN"] ?? "", code: "OK")
        let cluster = volume.cluster
        seen.major = cluster == nil ? nil : "15"
        seen.systemIdentifier = cluster?.systemIdentifier
        seen.timeline = cluster?.timeline
        seen.controlState = "in production"
        seen.freeBytes = 20 << 30
        seen.dataBytes = 4 << 30
        seen.heldBy = volume.held?.run
        seen.leftovers = volume.kept.keys.sorted().map { .init(run: $0, bytes: 4 << 30, hasPreRestore: true) }
        ModelPrograms(kubelet).finish(process, seen.code, seen)
    }

    // MARK: Replacing

    private func replace() {
        if volume.swappedBy == run {
            var done = result("OK")
            done.already = true
            return finish(done, swapped: true)
        }
        if let other = volume.held?.run, other != run { return finish(result("HeldByOther")) }
        if volume.held == nil {
            guard let old = volume.cluster else { return finish(result("NoData")) }
            // Somebody's server was quicker: nothing is touched.
            guard others.isEmpty else { return finish(result("ReplicasChangedByOther")) }
            var held = ModelVolume.Held(run: run, cluster: old)
            if let earlier = environment["REPRISE_ROLLBACK_OF"] {
                guard let kept = volume.kept[earlier] else { return finish(result("NothingToRollBack")) }
                held.rollback = .init(run: earlier, cluster: kept)
            }
            change { volume in
                volume.held = held
                volume.cluster = nil
                if let rollback = held.rollback { volume.kept[rollback.run] = nil }
            }
            kubelet.note(process, "holds the data")
        }
        guard let rollback = volume.held?.rollback else { return fetch() }
        kubelet.scheduler.after(kubelet.replayDelay, "\(process.key) recovers") {
            guard kubelet.isAlive(process) else { return }
            var cluster = rollback.cluster
            // No timeline that the archive knows is taken again.
            cluster.timeline = max(archive?.timeline ?? 0, cluster.timeline, volume.held?.cluster.timeline ?? 0) + 1
            cluster.endedAt = "no recovery target specified"
            verify(cluster)
        }
    }

    /// Pods beside this one that write to the volume.
    private var others: Set<String> { volume.writers.filter { $0 != process.uid } }

    private var place: String { String((environment["REPRISE_SOURCE_PREFIX"] ?? "").dropFirst("s3://".count)) }
    private var archive: ModelStores.Archive? { kubelet.stores.archives[place] }

    private func fetch() {
        let name = environment["REPRISE_BACKUP"] ?? ""
        guard let backup = archive?.backups.first(where: { $0.name == name }) else {
            let refusal = kubelet.stores.refusal(environment, bucket: ModelStores.parts(place).bucket, writing: false)
            return fail(refusal.map(ModelInit.code) ?? "SourceExpired")
        }
        let fetch = ModelImages.Fetch(place: place, backup: name, line: "reprise-progress part part_00")
        ModelImages(kubelet).unpack(process, fetch) { refusal in
            if let refusal { return fail(ModelInit.code(refusal)) }
            kubelet.emit(process, "reprise-progress fetched")
            kubelet.scheduler.after(kubelet.replayDelay, "\(process.key) recovers") {
                if kubelet.isAlive(process) { recover(backup) }
            }
        }
    }

    private func recover(_ backup: ModelStores.Backup) {
        guard let archive, let held = volume.held?.cluster else { return fail("SourceExpired") }
        let kind = environment["REPRISE_TARGET_KIND"] ?? "latest"
        var end = archive.replayed(from: backup, upTo: RecoveryStop(environment))
        if kind == "immediate" { end = archive.consistent(backup, "reached consistency") }
        if end.isShort { return fail("TargetNotReached") }
        var rows = end.rows
        // What only the volume has: committed, and not archived.
        if environment["REPRISE_OWN_TAIL"] == "true", held.systemIdentifier == archive.systemIdentifier {
            rows += held.rows.filter { !rows.contains($0) }
        }
        var cluster = ModelVolume.Cluster(
            systemIdentifier: archive.systemIdentifier, timeline: max(archive.timeline, held.timeline) + 1,
            backupStartLSN: backup.startLSN, rows: rows, password: held.password)
        cluster.commits = archive.commits.merging(held.commits) { own, _ in own }
        cluster.endedAt = end.endedAt
        cluster.switchLSN = end.switchLSN
        cluster.isSealed = true
        verify(cluster)
    }

    private func verify(_ cluster: ModelVolume.Cluster) {
        let count = Int(environment["REPRISE_CHECKS"] ?? "") ?? 0
        var checks: [ReplaceResult.Check] = []
        for number in 1...max(1, count) where count > 0 {
            let row = environment["REPRISE_CHECK_\(number)_QUERY"] ?? ""
            checks.append(
                .init(
                    name: environment["REPRISE_CHECK_\(number)_NAME"] ?? "", passed: cluster.rows.contains(row),
                    milliseconds: 2))
        }
        guard checks.allSatisfy(\.passed) else { return fail("VerificationFailed", checks) }
        kubelet.scheduler.after(500, "\(process.key) swaps") {
            guard kubelet.isAlive(process) else { return }
            swap(cluster, checks)
        }
    }

    private func swap(_ cluster: ModelVolume.Cluster, _ checks: [ReplaceResult.Check]) {
        guard let held = volume.held, held.run == run else { return fail("SwapFailed") }
        if !others.isEmpty {
            kubelet.violations.append("\(process.key) gives new data its place beside a server")
        }
        change { volume in
            volume.kept[run] = held.cluster
            volume.cluster = cluster
            volume.held = nil
            volume.swappedBy = run
        }
        kubelet.note(process, "swapped: \(cluster.endedAt)")
        var done = result("OK")
        done.systemIdentifier = cluster.systemIdentifier
        done.timeline = cluster.timeline
        done.parentTimeline = cluster.timeline - 1
        done.historyReason = cluster.endedAt
        done.switchLsn = cluster.switchLSN
        done.backupLabel = cluster.backupStartLSN.map { BackupLabel(startWalLocation: $0) }
        done.serverVersionNum = 150_015
        done.dataBytes = 4 << 30
        done.checks = checks
        finish(done, swapped: true)
    }

    // MARK: The way back

    /// Ended before the swap: the old data gets its name back.
    private func fail(_ code: String, _ checks: [ReplaceResult.Check] = []) {
        var ended = result(code)
        ended.undone = putBack()
        ended.checks = checks
        finish(ended, swapped: false)
    }

    @discardableResult
    private func putBack() -> Bool {
        guard let held = volume.held, held.run == run else { return false }
        if !others.isEmpty {
            kubelet.violations.append("\(process.key) puts old data back beside a server")
        }
        change { volume in
            volume.cluster = held.cluster
            if let rollback = held.rollback { volume.kept[rollback.run] = rollback.cluster }
            volume.held = nil
        }
        kubelet.note(process, "put the old data back")
        return true
    }

    /// A signal that ends it, while it may still act.
    func interrupt() {
        let action = environment["REPRISE_ACTION"]
        if action == "restore" || action == "rollback" { putBack() }
    }

    private func undo() {
        var done = result("OK")
        let isSwapped = volume.swappedBy == run
        done.undone = isSwapped ? false : putBack()
        finish(done, swapped: isSwapped)
    }

    private func tidy() {
        for name in (environment["REPRISE_TIDY"] ?? "").split(separator: " ") {
            change { $0.kept[String(name)] = nil }
        }
        finish(result("OK"), swapped: false)
    }

    private func finish(_ result: ReplaceResult, swapped: Bool = false) {
        var result = result
        result.swapped = swapped
        change { if $0.lockedBy == process.uid { $0.lockedBy = nil } }
        ModelPrograms(kubelet).finish(process, result.code, result)
    }
}
