// SPDX-License-Identifier: Apache-2.0

import Catalog
import Resources

// What the seal's facts prove about the restored data, held against the plan.

extension RestoreRunBehavior {
    static func sealed(_ snapshot: RestoreRunSnapshot, _ world: Workplace) -> Evidence {
        // No pod can start on data that is gone, and nothing of it can be opened: its Job would be waited for in vain.
        if case .failed(let lost) = ownStatefulSet(snapshot, world).otherwise { return .failed(lost) }
        return ofJob(.seal, snapshot) { facts in
            guard case .seal(let result) = facts else { return nil }
            return judge(result, world)
        } exhausted: { why in
            .failed(PlanFinding(reason: "SealFailed", message: "the restored data could not be sealed: \(why)"))
        }
    }

    private static func judge(_ result: SealResult, _ world: Workplace) -> Evidence {
        let pinned = world.pinned
        // First what was restored at all: an image that ran initdb has a cluster, but not this one.
        if let identifier = result.systemIdentifier, identifier != pinned.systemIdentifier {
            return .failed(
                notRestored(
                    "the volume holds a database system \(identifier), the archive's is \(pinned.systemIdentifier)",
                    world))
        }
        if result.code == "DatabaseNotFound" {
            return .failed(
                PlanFinding(
                    reason: result.code,
                    message:
                        "spec.target.newService.database \(world.request.database): the restored data has no database "
                        + "of that name that takes connections; correct it, or leave it out"))
        }
        guard result.code == "OK" else {
            return .failed(
                PlanFinding(
                    reason: result.code,
                    message: "the restored data could not be sealed, in step \(result.step ?? "unknown"): "
                        + words(result.code, result.reasons) + Verification(result).failed))
        }
        guard let identifier = result.systemIdentifier, let timeline = result.timeline else {
            return .failed(notRestored("the seal found no system identifier or timeline", world))
        }
        guard let label = result.backupLabel, let start = label.startWalLocation else {
            return .failed(notRestored("the data (system \(identifier)) was not made from a base backup", world))
        }
        if timeline <= pinned.timeline {
            return .failed(
                PlanFinding(
                    reason: "NotPromoted",
                    message: "the data is on timeline \(timeline), not on one newer than the backup's "
                        + "\(pinned.timeline): recovery did not end in a promotion"))
        }
        if let version = result.serverVersionNum, version / 10_000 != world.request.major {
            return .failed(
                PlanFinding(
                    reason: "MajorMismatch",
                    message: "the restored server is of major version \(version / 10_000), not \(world.request.major)"))
        }
        if let finding = otherTimeline(result, world) { return .failed(finding) }
        let other = otherBackup(start, world)
        guard world.request.recovery.moment == .latest else {
            // A target may have been missed without an error when the backup was another one.
            if let finding = other ?? missedTarget(result, world) { return .failed(finding) }
            return .done(warning: Verification(result).warning)
        }
        if let inherited = inheritedTarget(result) { return .failed(inherited) }
        if let gap = shortOfArchive(result, pinned) { return .failed(gap) }
        if let other, case .initContainer = world.service.restore { return .failed(other) }
        return .done(warning: other ?? Verification(result).warning)
    }

    /// Recovery was told which timeline to follow: it must have ended on that one.
    private static func otherTimeline(_ result: SealResult, _ world: Workplace) -> PlanFinding? {
        guard case .initContainer(let restore) = world.service.restore, let followed = result.parentTimeline,
            followed != restore.timeline
        else { return nil }
        return PlanFinding(
            reason: "OtherTimeline",
            message: "recovery ended on timeline \(followed), and was to follow timeline \(restore.timeline)")
    }

    /// Whether recovery stopped where it should, from the reason that PostgreSQL wrote into the new timeline's history: it
    /// survives every restart.
    private static func missedTarget(_ result: SealResult, _ world: Workplace) -> PlanFinding? {
        let reason = result.historyReason ?? ""
        let stop = reason.hasPrefix("before ") ? reason.dropFirst("before ".count) : reason.dropFirst("after ".count)
        let isReached =
            switch world.request.recovery.moment {
            case .latest: true
            case .backupEnd: reason.hasPrefix("reached consistency")
            case .time(let target):
                Timestamp(postgres: stop).map { world.request.isInclusive ? $0 > target : $0 >= target } ?? false
            case .lsn(let target):
                // Up to version 12 a target that was not reached is no error, and is written as 0/0.
                stop.hasPrefix("LSN ") && (LSN(String(stop.dropFirst("LSN ".count))).map { $0 >= target } ?? false)
            case .xid(let xid): stop == "transaction \(xid)"
            case .name(let name): reason == "at restore point \"\(name)\""
            }
        guard !isReached else { return nil }
        if reason.hasPrefix("no recovery target specified") {
            return PlanFinding(
                reason: "TargetIgnored",
                message:
                    "recovery went on to the archive's end, and not to \(Planner.words(world.request.recovery, isInclusive: world.request.isInclusive)): image "
                    + "\(world.request.image) does not honour \(world.request.profile.cloneTargetTime)")
        }
        return PlanFinding(
            reason: "TargetNotReached",
            message:
                "recovery stopped at \"\(reason.prefix(120))\", and not at \(Planner.words(world.request.recovery, isInclusive: world.request.isInclusive))"
        )
    }

    /// PostgreSQL takes a segment that could not be fetched for the archive's end, and promotes without a word: so where
    /// recovery ended is held against what the archive had.
    private static func shortOfArchive(_ result: SealResult, _ pinned: PinnedBackup) -> PlanFinding? {
        guard let name = pinned.newestSegment else { return nil }
        guard let geometry = pinned.geometry, let newest = geometry.segment(named: name),
            let end = result.switchLsn.flatMap({ LSN($0) }), let timeline = result.parentTimeline
        else {
            return PlanFinding(
                reason: "WALGap",
                message:
                    "the seal did not find where recovery ended, so that it can't be held against segment \(name), "
                    + "which the archive had when the run was planned")
        }
        guard timeline < newest.timeline || end <= geometry.start(ofSegment: newest.number) else { return nil }
        return PlanFinding(
            reason: "WALGap",
            message:
                "recovery ended at \(end) on timeline \(timeline), but the archive had segment \(name) when the "
                + "run was planned: a segment in between is missing, or could not be fetched. Nothing was opened; try again, "
                + "and look for the gap in the source's archive if it happens again")
    }

    /// Recovery settings that were left in the source cut a restore to latest at an old target, without a word.
    private static func inheritedTarget(_ result: SealResult) -> PlanFinding? {
        let settings = result.inheritedRecoverySettings ?? []
        let expected = "no recovery target specified"
        let reason = result.historyReason ?? expected
        guard !settings.isEmpty || !reason.hasPrefix(expected) else { return nil }
        let names = settings.isEmpty ? "" : " (\(settings.prefix(8).joined(separator: ", ")))"
        return PlanFinding(
            reason: "InheritedRecoveryTarget",
            message:
                "the backup carries recovery settings\(names): recovery stopped at \"\(reason.prefix(120))\" and not "
                + "at the archive's end. Reset them in the source (ALTER SYSTEM RESET), take a base backup and try again"
        )
    }

    /// The image always fetches `LATEST`; what it fetched is told from the data. With no target, replaying from another
    /// base backup of the same system leads to the same end, so it is said and not refused.
    private static func otherBackup(_ start: String, _ world: Workplace) -> PlanFinding? {
        guard let fetched = LSN(start), let planned = LSN(world.pinned.startLSN), fetched != planned else { return nil }
        return OtherBackup.finding("the base backup that starts at \(start)", world)
    }

    private static func notRestored(_ what: String, _ world: Workplace) -> PlanFinding {
        PlanFinding(
            reason: "RestoreNotPerformed",
            message: "image \(world.request.image) did not restore the archive: \(what). It may not honour "
                + "\(world.request.profile.cloneFrom); use an image of the contract \(world.request.profile.name)")
    }
}

/// The image took another base backup than the plan's.
enum OtherBackup {
    static func finding(_ fetched: String, _ world: Workplace) -> PlanFinding {
        let pinned = world.pinned
        let consequence =
            world.request.recovery.moment == .latest
            ? "both were replayed to the archive's end"
            : "with a target that can lead to other rows without an error; the next attempt names the backup"
        return PlanFinding(
            reason: "OtherBaseBackup",
            message: "the image fetched \(fetched), the plan pinned \(pinned.name) (\(pinned.startLSN)); \(consequence)"
        )
    }
}
