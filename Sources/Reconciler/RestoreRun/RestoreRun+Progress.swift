// SPDX-License-Identifier: Apache-2.0

import Resources

// How far a restore has come, from what its log gives away.

extension RestoreRunBehavior {
    /// Progress is written at most this often, in seconds: a status is not a progress bar.
    package static let progressInterval: Int64 = 5
    /// After so many seconds without any progress people are told; the step's deadline ends it.
    package static let quietLimit: Int64 = 900

    /// Takes the facts into the status, unless that was done a moment ago.
    /// - Returns: when to look again because of it.
    static func noteProgress(
        _ draft: inout StatusDraft, _ snapshot: RestoreRunSnapshot, _ world: Workplace
    ) -> Timestamp? {
        guard let pinned = snapshot.record.pinnedBackup else { return nil }
        let reason = RestoringContainer.allCases.compactMap { RestoreTrouble.seen(in: snapshot.lines[$0]?.value) }.first
        if let reason {
            // Kept: once the container is started again its log begins anew. The first one is the cause of the others.
            draft.record.lastReason = draft.record.lastReason ?? reason
        }
        let earlier = draft.status.progress ?? RestoreProgress()
        var progress = measured(snapshot, pinned, after: earlier)
        guard progress != earlier else { return nil }
        // It went on, so what was in its way has passed.
        if reason == nil { draft.record.lastReason = nil }
        if let written = earlier.updatedAt {
            let next = written.adding(seconds: progressInterval)
            guard draft.now >= next else { return next }
        }
        progress.eta = eta(progress, since: draft.record.stepStartedAt, at: draft.now)
        progress.updatedAt = draft.now.wholeSecond
        draft.status.progress = progress
        return nil
    }

    /// What the logs show, never less than was shown before: a container that starts again begins its log anew.
    private static func measured(
        _ snapshot: RestoreRunSnapshot, _ pinned: PinnedBackup, after earlier: RestoreProgress
    ) -> RestoreProgress {
        let facts = RestoringContainer.allCases.compactMap { snapshot.lines[$0]?.value }
        func count(_ name: String) -> Int64 { Int64(facts.reduce(0) { $0 + ($1.counts[name] ?? 0) }) }
        var progress = earlier
        progress.bytesTotal = pinned.downloadBytes
        progress.segmentsTotal = pinned.segments
        let replayed = facts.compactMap { $0.words[PostgresLog.Progress.segment] }.last.flatMap { segments($0, pinned) }
        let isFetched = count(PostgresLog.Progress.fetched) > 0 || replayed != nil
        if let total = pinned.downloadBytes {
            let done = isFetched ? total : share(count(PostgresLog.Progress.part), of: pinned.downloadParts, total)
            if done > 0 || earlier.bytesDone != nil { progress.bytesDone = max(done, earlier.bytesDone ?? 0) }
        }
        if let replayed {
            let bounded = pinned.segments.map { min(replayed, $0) } ?? replayed
            progress.segmentsDone = max(bounded, earlier.segmentsDone ?? 0)
        }
        progress.percent = percent(progress, pinned) ?? earlier.percent
        return progress
    }

    /// Parts are of nearly equal size, but for the last one: their count tells the bytes well enough.
    private static func share(_ done: Int64, of parts: Int?, _ bytes: Int64) -> Int64 {
        guard let parts, parts > 0 else { return 0 }
        // In integers, and never more than there is: the sizes come from a bucket, which may say anything.
        let all = Int64(parts)
        return done >= all ? bytes : bytes / all * max(0, done)
    }

    /// Segments from the backup's first one up to this one.
    private static func segments(_ name: String, _ pinned: PinnedBackup) -> Int64? {
        guard let geometry = pinned.geometry, let from = geometry.segment(named: pinned.firstSegment),
            let to = geometry.segment(named: name), to.number >= from.number
        else { return nil }
        return Int64(clamping: to.number - from.number) + 1
    }

    /// Fetching and replaying weigh by their bytes. Never 100 before it is done.
    private static func percent(_ progress: RestoreProgress, _ pinned: PinnedBackup) -> Int? {
        let segment = Double((pinned.geometry ?? .usual).segmentSize)
        let total = Double(progress.bytesTotal ?? 0) + Double(progress.segmentsTotal ?? 0) * segment
        guard total > 0, total.isFinite else { return nil }
        let done = Double(progress.bytesDone ?? 0) + Double(progress.segmentsDone ?? 0) * segment
        return Int(max(0, min(99, 100 * done / total)))
    }

    private static func eta(_ progress: RestoreProgress, since start: Timestamp?, at now: Timestamp) -> Timestamp? {
        guard let start, let percent = progress.percent, percent >= 2 else { return nil }
        let elapsed = now.seconds(since: start)
        guard elapsed >= progressInterval else { return nil }
        return now.wholeSecond.adding(seconds: elapsed * Int64(100 - percent) / Int64(percent))
    }

    /// The restore step is done: nothing is left to fetch or to replay.
    static func finishProgress(_ draft: inout StatusDraft, _ snapshot: RestoreRunSnapshot) {
        guard let pinned = snapshot.record.pinnedBackup else { return }
        var progress = measured(snapshot, pinned, after: draft.status.progress ?? RestoreProgress())
        progress.bytesDone = progress.bytesTotal
        progress.percent = 100
        progress.eta = nil
        progress.updatedAt = draft.now.wholeSecond
        draft.status.progress = progress
    }

    /// Since when nothing has moved, and the moment at which that is worth a word.
    static func quietSince(_ draft: StatusDraft) -> (since: Timestamp, ends: Timestamp) {
        let step = draft.record.stepStartedAt ?? draft.now
        let since = max(step, draft.status.progress?.updatedAt ?? step)
        return (since, since.adding(seconds: quietLimit))
    }
}
