// SPDX-License-Identifier: Apache-2.0

import Catalog
import Resources

// What a plan says to people: its steps, and why there is none.

extension Planner {
    static func scanErrors(_ scan: ScanResult, _ access: RepositoryAccess, _ uri: String) -> [PlanFinding] {
        guard scan.code != "OK" else { return [] }
        let detail = scan.message.map { ": \($0)" } ?? ""
        return [PlanFinding(reason: scan.code, message: "BackupRepository \(access.name), \(uri)\(detail)")]
    }

    static func scanErrors(_ asked: SourceQuestion) -> [PlanFinding] { scanErrors(asked.scan, asked.source, asked.uri) }

    static func archiveErrors(_ input: PlanInput) -> [PlanFinding] {
        guard let access = input.archive, let scan = input.archiveScan, let own = input.request.archive
        else { return [] }
        let uri = access.uri(own.path)
        let errors = scanErrors(scan, access, uri)
        guard errors.isEmpty, scan.objects > 0 else { return errors }
        let sample = scan.sampleKeys.prefix(3).joined(separator: ", ")
        let seen = sample.isEmpty ? "" : " (\(sample))"
        return [
            PlanFinding(
                reason: "ArchiveNotEmpty",
                message: "spec.target.newService.archive.path \(own.path): \(uri) is not empty\(seen); a new service "
                    + "needs an archive of its own. Choose another path")
        ]
    }

    /// What the version is copied from was edited while the run looked at the archive of another version.
    static func staleErrors(_ input: PlanInput) -> [PlanFinding] {
        guard let listing = input.sourceScan.listing, listing.major != input.request.major else { return [] }
        return [
            PlanFinding(
                reason: "MajorMismatch",
                message:
                    "spec.target.newService.major \(input.request.major): major version \(listing.major) of the archive "
                    + "\(input.sourceURI) was looked at, before the version was changed; start another run")
        ]
    }

    /// No base backup where it should be: said with what is there instead.
    static func nothingThere(_ asked: SourceQuestion) -> PlanFinding {
        let uri = asked.uri
        let major = asked.major
        let others = asked.scan.majors.filter { $0 != major }.map { "\($0)" }.joined(separator: ", ")
        if !others.isEmpty {
            return PlanFinding(
                reason: "MajorMismatch",
                message: "\(asked.majorField) \(major): the archive \(uri) has backups of major version "
                    + "\(others) only; use an image of the archive's major version")
        }
        if asked.scan.lacksVersion == true {
            return PlanFinding(
                reason: "PrefixWithoutVersion",
                message: "\(uri) has its backups directly below it, and not below a major version (\(uri)/\(major)); "
                    + "images of the contract \(asked.profile) restore from a version-scoped prefix only. "
                    + "Copy the archive below \(uri)/\(major), or correct spec.source's path")
        }
        if let expired = expired(asked) { return expired }
        return PlanFinding(
            reason: "NoBackupsFound",
            message: "\(uri)/\(major) has no base backup; check spec.source's path, or take one first")
    }

    /// The catalog's refusal, with the field and the archive that it is about.
    static func refusal(_ finding: CatalogFinding, _ asked: SourceQuestion) -> PlanFinding {
        let uri = "\(asked.uri)/\(asked.major)"
        if let expired = expired(asked) { return expired }
        if finding.reason == "MajorMismatch" {
            return PlanFinding(
                reason: finding.reason,
                message: "\(asked.majorField) \(asked.major), \(uri): \(finding.message)")
        }
        guard case .time(let target) = asked.recovery.moment, finding.reason == "TargetOutsideWindow" else {
            return PlanFinding(reason: finding.reason, message: "\(uri): \(finding.message)")
        }
        let field = "spec.recoveryTarget.time \(target.rfc3339)"
        let isPastTheEnd = finding.nearestBefore.map { $0 < target } ?? false
        if isPastTheEnd, target <= asked.now, let service = asked.service {
            // Whatever was committed since may still be on the service's own volume.
            return PlanFinding(
                reason: "TargetInUnarchivedTail",
                message:
                    "\(field), \(uri): \(finding.message). If ManagedService \(service) still runs, let it archive "
                    + "what it has (select pg_switch_wal()) and try again")
        }
        return PlanFinding(reason: finding.reason, message: "\(field), \(uri): \(finding.message)")
    }

    /// What a ServiceBackup names was there once, and is not there any more.
    private static func expired(_ asked: SourceQuestion) -> PlanFinding? {
        guard let name = asked.serviceBackup, let backup = asked.recovery.backup, let listing = asked.scan.listing,
            listing.backupsTotal <= listing.backups.count, !listing.backups.contains(where: { $0.name == backup })
        else { return nil }
        return PlanFinding(
            reason: "SourceExpired",
            message: "spec.source.backup: base backup \(backup) of ServiceBackup \(name) is not in "
                + "\(asked.uri)/\(asked.major) any more; choose another ServiceBackup, or restore from the archive")
    }

    static func unusable(_ backup: ScannedBackup, _ asked: SourceQuestion, _ why: String) -> PlanFinding {
        PlanFinding(
            reason: "BackupUnusable", message: "\(asked.uri): base backup \(backup.name) can't be used: \(why)")
    }

    /// The target as the plan shows it and commits to it.
    static func words(_ recovery: RecoveryRequest, isInclusive: Bool) -> String {
        let suffix = isInclusive ? "" : " (not inclusive)"
        return switch recovery.moment {
        case .latest: "Latest"
        case .backupEnd: "BackupEnd"
        case .time(let time): "Time \(time.rfc3339)\(suffix)"
        case .lsn(let lsn): "Lsn \(lsn)\(suffix)"
        case .xid(let xid): "Xid \(xid)\(suffix)"
        case .name(let name): "Name \(name)"
        }
    }

    static func detail(_ step: Step, _ input: PlanInput, _ pinned: PinnedBackup, _ path: RestorePath) -> String {
        let names = input.request.names
        switch step.name {
        case .claim: return "create PersistentVolumeClaim \(names.claim) (\(input.request.storageSize), empty)"
        case .provision:
            let copied = input.request.copied.map { ", as a copy of StatefulSet \($0.workload)" } ?? ""
            return "create StatefulSet \(names.statefulSet) with \(input.request.image)\(copied), in quarantine"
        case .restore:
            let place = "\(input.sourceURI)/\(input.request.major)"
            let target = words(input.request.recovery, isInclusive: input.request.isInclusive)
            return path == .entrypoint
                ? "the image restores its LATEST from \(place), recovers (\(target)) and promotes"
                : "an init container fetches \(pinned.name) from \(place); the server recovers (\(target)) and promotes"
        case .quiesce: return "stop it"
        case .seal: return "prove what was restored, disable subscriptions, set passwords"
        case .open: return "remove what restored it and the quarantine, give it its own archive, create Services"
        case .serve: return "wait until it serves"
        case .backup: return "take a full base backup into its own archive"
        case .compareSource: return "compare the source's archive with how it was"
        case .stop, .permit, .replace, .revoke, .start, .unlock: return step.name.rawValue
        }
    }
}

extension PlanStatus {
    /// What can't be done, by this version or by the engine, says so where a strategy would stand.
    mutating func noteUnsupported() {
        guard strategy == nil, errors?.contains(where: { $0.reason == "UnsupportedMode" }) == true else { return }
        strategy = "Unsupported"
    }
}
