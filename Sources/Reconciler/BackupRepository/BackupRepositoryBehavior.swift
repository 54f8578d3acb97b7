// SPDX-License-Identifier: Apache-2.0

package import Resources

/// Keeps the catalog of a repository current: which archives lie there, and to which moments they can be restored.
///
/// Flow: when a scan is due, its Job is made; the number in its name follows from the status, so nothing has to be
/// written for it. When it has ended, what it found is published in ConfigMaps first, and the status is written when
/// quorum reads show that all of it is there. So whatever a status names can be read, and a controller that dies in
/// between does the rest from the same result. A scan that finds nothing new costs one status write.
package enum BackupRepositoryBehavior: Behavior {
    package typealias Object = BackupRepository
    package typealias Status = BackupRepositoryStatus

    /// In seconds.
    package static let defaultInterval: Int64 = 300
    package static let shortestInterval: Int64 = 10
    /// Everything is listed anew at least as often: only then holes that come into being in the middle are seen.
    package static let fullInterval: Int64 = 86_400
    package static let defaultMaxArchives = 100
    /// An obstacle is told after this time: most go away by themselves.
    package static let patience: Int64 = 60

    package static func decide(
        _ snapshot: BackupRepositorySnapshot, at now: Timestamp
    ) -> Decision<BackupRepositoryStatus> {
        let repository = snapshot.repository
        guard !repository.metadata.isDeleting else { return Decision() }
        var draft = RepositoryDraft(repository, at: now)
        if let first = snapshot.findings.first {
            draft.refused(first.reason, snapshot.findings.map(\.message).joined(separator: "; "))
            return Decision(status: draft.status)
        }
        guard let access = RepositoryAccess(repository) else { return Decision() }
        switch snapshot.scan.state {
        case .unknown: return Decision()
        case .foreign:
            let name = RepositoryScanJobs(repository, sequence: snapshot.sequence).name(snapshot.scan.ordinal)
            draft.hindered("JobNotOurs", "a Job named \(name) exists and is not this repository's; remove it")
            return Decision(status: draft.status)
        case .absent:
            let due = draft.due
            guard due <= now || snapshot.scan.ordinal > 1 else {
                return Decision(effects: leftovers(snapshot), wake: .at(due))
            }
            return begin(snapshot, access, draft)
        case .running(let obstacle, let since): return wait(obstacle, since, draft)
        case .done(let result) where result.code == "OK": return publish(result, snapshot, draft)
        case .done(let result):
            draft.end(snapshot, objects: result.objects, seconds: result.seconds)
            let message = result.message ?? ""
            if result.code == RepositoryDraft.scanFailed {
                // The agent's own trouble: it tells nothing of the store.
                draft.failed("the scan ended with an error\(message.isEmpty ? "" : ": \(message)")")
            } else {
                draft.unreachable(result.code, message.isEmpty ? "the store answered \(result.code)" : message)
            }
            return Decision(status: draft.status, wake: draft.wake)
        case .exhausted(let why):
            draft.end(snapshot, objects: 0, seconds: nil)
            draft.failed(
                "no scan gave a result that can be believed in \(RepositoryScanObservation.limit) attempts: \(why)")
            return Decision(status: draft.status, wake: draft.wake)
        }
    }

    private static func begin(
        _ snapshot: BackupRepositorySnapshot, _ access: RepositoryAccess, _ draft: RepositoryDraft
    ) -> Decision<Status> {
        var draft = draft
        draft.scanning()
        draft.note(snapshot.failure)
        let known = Set((draft.status.archives ?? []).compactMap(\.configMap)).sorted()
        let job = RepositoryScanJobs(snapshot.repository, sequence: snapshot.sequence).manifest(
            snapshot.scan.ordinal, of: access, known: known, isFull: draft.isFullDue, snapshot.settings)
        return Decision(status: draft.status, effects: [.create(.job(job))])
    }

    private static func wait(
        _ obstacle: PlanFinding?, _ since: Timestamp?, _ draft: RepositoryDraft
    ) -> Decision<Status> {
        var draft = draft
        guard let obstacle else {
            // The deadline stands in the pod; a Job that never gets one has none.
            let ends = (since ?? draft.now).adding(seconds: RepositoryScanJobs.deadline + 600)
            draft.scanning()
            if draft.now >= ends {
                draft.hindered("NoProgress", "the Job of the scan has not ended for \(ends.rfc3339); see its events")
                return Decision(status: draft.status)
            }
            return Decision(status: draft.status, wake: .at(ends))
        }
        let patient = (since ?? draft.now).adding(seconds: patience)
        guard patient <= draft.now else { return Decision(wake: .at(patient)) }
        draft.scanning()
        draft.hindered(obstacle.reason, obstacle.message)
        return Decision(status: draft.status)
    }

    private static func publish(
        _ result: RepositoryScanResult, _ snapshot: BackupRepositorySnapshot, _ draft: RepositoryDraft
    ) -> Decision<Status> {
        var draft = draft
        guard let publication = Publication(snapshot) else { return Decision() }
        guard publication.effects.isEmpty else {
            draft.note(snapshot.failure)
            return Decision(status: draft.status, effects: publication.effects)
        }
        draft.end(snapshot, objects: result.objects, seconds: result.seconds)
        if result.isFull { draft.status.lastScan?.fullAt = draft.now.wholeSecond }
        draft.reached(result, publication.lines, note: snapshot.backupsRefused)
        return Decision(status: draft.status, wake: draft.wake)
    }

    /// Jobs of scans before the last one: that one is kept for its log.
    private static func leftovers(_ snapshot: BackupRepositorySnapshot) -> [Effect] {
        let kept = [snapshot.sequence - 1, snapshot.sequence]
        return (snapshot.jobs.value ?? []).filter { job in
            let sequence = job.metadata.annotations?[Label.scanSequence].flatMap { Int64($0) }
            return !job.metadata.isDeleting && !kept.contains(sequence ?? 0)
        }.map { .delete($0.seen) }
    }

    package static func notices(from old: BackupRepositoryStatus?, to new: BackupRepositoryStatus) -> [Notice] {
        guard let ready = new.conditions?.condition("Ready"), ready.status != ConditionStatus.unknown.rawValue
        else { return [] }
        let before = old?.conditions?.condition("Ready")
        guard before?.status != ready.status || before?.reason != ready.reason else { return [] }
        return [Notice(isWarning: !ready.isTrue, reason: ready.reason, message: ready.message)]
    }
}
