// SPDX-License-Identifier: Apache-2.0

import Catalog
package import Resources

/// What the plan of a replacement is made from: the request, the service as it is, and what was seen of it and of the
/// archive.
package struct InPlaceInput: Equatable, Sendable {
    package var request: InPlaceRequest
    package var unit: ServiceUnit
    package var inspection: InspectResult
    /// Where the data comes from.
    package var origin: Origin
    /// The checks that the run names, as the ManagedService has them.
    package var checks: [VerificationCheck]
    package var now: Timestamp
    /// The volume was not looked at, and nobody is asked to confirm anything.
    package var isPreview: Bool

    package enum Origin: Equatable, Sendable {
        case archive(ArchiveOrigin)
        case rollback(RollbackOrigin)
    }

    package struct ArchiveOrigin: Equatable, Sendable {
        package var source: RepositoryAccess
        /// Below the repository's prefix, without the major version.
        package var path: String
        package var scan: ScanResult
        /// It is the service's own archive.
        package var isOwn: Bool
        /// The ManagedService whose archive it is, if one was named.
        package var service: String?

        package init(source: RepositoryAccess, path: String, scan: ScanResult, isOwn: Bool, service: String?) {
            self.source = source
            self.path = path
            self.scan = scan
            self.isOwn = isOwn
            self.service = service
        }
    }

    /// The run whose replaced data is put back, and the service's own archive, in which recovery looks for the timelines
    /// that there are already.
    package struct RollbackOrigin: Equatable, Sendable {
        package var runName: String
        package var runUID: String
        package var source: RepositoryAccess
        package var path: String

        package init(runName: String, runUID: String, source: RepositoryAccess, path: String) {
            self.runName = runName
            self.runUID = runUID
            self.source = source
            self.path = path
        }
    }

    package init(
        request: InPlaceRequest, unit: ServiceUnit, inspection: InspectResult, origin: Origin,
        checks: [VerificationCheck], now: Timestamp, isPreview: Bool = false
    ) {
        self.request = request
        self.unit = unit
        self.inspection = inspection
        self.origin = origin
        self.checks = checks
        self.now = now
        self.isPreview = isPreview
    }

    /// Those that the run names.
    var wantedChecks: [VerificationCheck] { checks.filter { request.checks.contains($0.name ?? "") } }

    /// As the ManagedService says, or else PG_VERSION.
    var major: Int? { unit.major ?? inspection.major.flatMap { Int($0) } }
}

/// Plans the replacement of a service's data. Pure: the same input gives the same plan and the same hash.
package enum InPlacePlanner {
    /// Beside the base backup, so that the log that is replayed has room.
    static let spareShare: Int64 = 10
    static let spareBytes: Int64 = 256 << 20

    package static func plan(_ input: InPlaceInput) -> MadePlan {
        var status = PlanStatus()
        status.strategy = "WalgRestore"
        status.path = "Job"
        status.destructive = true
        status.reversible = true
        let kept = Durations.text(input.request.keepSeconds)
        status.confirm = input.unit.confirmation(input.request.service)
        status.undo =
            "until the data is swapped a failure puts the old data back; afterwards rollbackOf does, for \(kept)"
        let errors = confirmationErrors(input) + volumeErrors(input) + checkErrors(input)
        guard errors.isEmpty, let major = input.major else {
            return Planner.refused(status, errors.isEmpty ? [unknownMajor(input)] : errors)
        }
        switch input.origin {
        case .rollback(let origin): return plan(input, back: origin, status)
        case .archive(let origin): return plan(input, from: origin, major, status)
        }
    }

    private static func plan(
        _ input: InPlaceInput, from origin: InPlaceInput.ArchiveOrigin, _ major: Int, _ status: PlanStatus
    ) -> MadePlan {
        var status = status
        let request = input.request
        status.recoveryTarget = Planner.words(request.recovery, isInclusive: request.isInclusive)
        if let named = request.sourceMajor, named != major {
            return Planner.refused(status, [otherMajor(named, major, input)])
        }
        let asked = SourceQuestion(
            recovery: request.recovery, isInclusive: request.isInclusive, major: major,
            majorField: "spec.target.service \(request.service), major", service: origin.service,
            profile: input.unit.profile.name, source: origin.source, path: origin.path, scan: origin.scan,
            now: input.now,
            serviceBackup: request.backupName)
        let (choice, pinned): (RecoveryChoice, PinnedBackup)
        switch Planner.choose(asked) {
        case .failure(let refusal): return Planner.refused(status, refusal.errors)
        case .success(let chosen): (choice, pinned) = (chosen.choice, chosen.pinned)
        }
        let newer = isOther(input, origin, pinned) ? nil : newerTimeline(input, choice)
        let isLatest = request.recovery.moment == .latest
        let errors =
            crossErrors(input, origin, pinned) + (isLatest ? newer.map { [$0] } ?? [] : []) + spaceErrors(input, pinned)
        guard errors.isEmpty else { return Planner.refused(status, errors) }
        status.baseBackup = pinned.name
        status.timeline = "\(choice.timeline)"
        status.systemIdentifier = pinned.systemIdentifier
        status.bytes = pinned.downloadBytes ?? pinned.bytes
        status.estimatedSeconds = Planner.estimate(pinned)
        status.steps = steps(input)
        var warnings =
            choice.warnings.map { PlanFinding(reason: $0.reason, message: $0.message) } + (newer.map { [$0] } ?? [])
            + warnings(input)
        if isOther(input, origin, pinned) {
            warnings.append(
                PlanFinding(
                    reason: "CrossService",
                    message: "\(origin.source.uri(origin.path)) has the data of another service (system "
                        + "\(pinned.systemIdentifier)); it needs spec.confirmCrossService"))
        }
        status.warnings = warnings.isEmpty ? nil : Array(warnings.prefix(16))
        status.hash = hash(input, origin.source.uri(origin.path), status)
        return MadePlan(
            status: status, pinned: pinned, timeline: choice.timeline, targetTimeline: choice.targetTimeline)
    }

    private static func plan(
        _ input: InPlaceInput, back origin: InPlaceInput.RollbackOrigin, _ status: PlanStatus
    ) -> MadePlan {
        var status = status
        status.recoveryTarget = "as it was before RestoreRun \(origin.runName)"
        status.systemIdentifier = input.inspection.systemIdentifier
        let left = input.inspection.leftovers?.first { $0.run == origin.runUID }
        guard left?.isKept == true else {
            let refusal = PlanFinding(
                reason: "NothingToRollBack",
                message: "spec.rollbackOf \(origin.runName): the data that it replaced is not on claim "
                    + "\(input.unit.claim) any more; it is kept for spec.preRestore.keepFor of that run. Restore from "
                    + "the archive instead")
            return Planner.refused(status, [refusal])
        }
        status.bytes = left?.bytes
        status.steps = steps(input)
        let warnings = warnings(input)
        status.warnings = warnings.isEmpty ? nil : warnings
        status.hash = hash(input, origin.source.uri(origin.path), status)
        return MadePlan(status: status, pinned: nil, timeline: nil, targetTimeline: "current")
    }

    private static func steps(_ input: InPlaceInput) -> [PlanStep] {
        Step.inPlace.map { PlanStep(name: $0.name.rawValue, detail: detail($0, input)) }
    }

    // MARK: What speaks against it

    /// A manifest that is left in Git must not destroy a later incarnation of the service.
    private static func confirmationErrors(_ input: InPlaceInput) -> [PlanFinding] {
        let wanted = input.unit.confirmation(input.request.service)
        guard input.request.confirm != wanted else { return [] }
        let said = input.request.confirm.map { "says \($0)" } ?? "is missing"
        return [
            PlanFinding(
                reason: "ConfirmMismatch",
                message: "spec.confirm \(said): the data of StatefulSet \(input.unit.statefulSet) is going to be "
                    + "replaced. If that is what you want, write \(wanted) in a new RestoreRun")
        ]
    }

    private static func volumeErrors(_ input: InPlaceInput) -> [PlanFinding] {
        volumeErrors(input.unit.claim, input.unit.dataDirectory, input.inspection)
    }

    private static func volumeErrors(_ name: String, _ directory: String, _ seen: InspectResult) -> [PlanFinding] {
        let claim = "claim \(name)"
        func finding(_ reason: String, _ message: String) -> [PlanFinding] {
            [PlanFinding(reason: reason, message: "\(claim): \(message)")]
        }
        if seen.code != "OK" {
            return finding(
                seen.code, "it could not be looked at: \(RestoreRunBehavior.words(seen.code, seen.reasons))")
        }
        if seen.pgdataIsMountpoint == true {
            return finding(
                "PgdataIsMountpoint", "PGDATA \(directory) is a mount point, or a link, and can't be renamed")
        }
        if seen.hasTablespaces == true {
            return finding("TablespacesUnsupported", "the data has tablespaces; restore into a new service")
        }
        if seen.walIsLink == true || seen.hasOtherFileSystems == true {
            return finding(
                "WalVolumeUnsupported",
                "pg_wal, or another part of PGDATA, is on another volume; restore into a new "
                    + "service")
        }
        if let holder = seen.heldBy {
            return finding(
                "HeldByOther",
                "its data is held by the unfinished run \(holder); let it end, or see docs/in-place.md if it is gone")
        }
        return []
    }

    /// What is not any more as it was planned for.
    package static func changes(
        of planned: InPlaceRecord, _ pinned: PinnedBackup?, since seen: InspectResult
    ) -> [PlanFinding] {
        let errors = volumeErrors(planned.claim, "PGDATA", seen)
        guard errors.isEmpty else { return errors }
        func outdated(_ what: String, _ then: String, _ now: String) -> PlanFinding {
            PlanFinding(
                reason: "PlanOutdated",
                message: "claim \(planned.claim): its data was of \(what) \(then) when the run was planned, and is of "
                    + "\(now) now: another restore has replaced it")
        }
        if let then = planned.systemIdentifier, let now = seen.systemIdentifier, then != now {
            return [outdated("system", then, now)]
        }
        if let then = planned.timeline, let now = seen.timeline, then != now {
            return [outdated("timeline", "\(then)", "\(now)")]
        }
        if let uid = planned.rollbackUID, seen.leftovers?.first(where: { $0.run == uid })?.isKept != true {
            return [
                PlanFinding(
                    reason: "NothingToRollBack",
                    message: "claim \(planned.claim): the data that is to be put back is not there any more")
            ]
        }
        return pinned.map { spaceErrors(planned.claim, seen, $0) } ?? []
    }

    private static func checkErrors(_ input: InPlaceInput) -> [PlanFinding] {
        let known = Set(input.checks.compactMap(\.name))
        let unknown = input.request.checks.filter { !known.contains($0) }
        guard !unknown.isEmpty else { return [] }
        return [
            PlanFinding(
                reason: "InvalidSpec",
                message: "spec.verification.checks: ManagedService \(input.request.service) has no check "
                    + unknown.joined(separator: ", "))
        ]
    }

    private static func crossErrors(
        _ input: InPlaceInput, _ origin: InPlaceInput.ArchiveOrigin, _ pinned: PinnedBackup
    ) -> [PlanFinding] {
        let own = input.inspection.systemIdentifier
        guard isOther(input, origin, pinned) else { return [] }
        let missing = credentialsMissing(input.unit.credentials, input.request.service).map { [$0] } ?? []
        guard !input.request.confirmsCrossService else { return missing }
        return missing + [
            PlanFinding(
                reason: "ConfirmMismatch",
                message: "spec.source: \(origin.source.uri(origin.path)) has the data of another service (system "
                    + "\(pinned.systemIdentifier); this one is \(own ?? "unknown")). If it is to replace the data of "
                    + "\(input.request.service), set spec.confirmCrossService in a new RestoreRun")
        ]
    }

    private static func isOther(
        _ input: InPlaceInput, _ origin: InPlaceInput.ArchiveOrigin, _ pinned: PinnedBackup
    ) -> Bool {
        let own = input.inspection.systemIdentifier
        return !origin.isOwn || (own != nil && own != pinned.systemIdentifier)
    }

    private static func spaceErrors(_ input: InPlaceInput, _ pinned: PinnedBackup) -> [PlanFinding] {
        spaceErrors(input.unit.claim, input.inspection, pinned)
    }

    private static func spaceErrors(
        _ claim: String, _ seen: InspectResult, _ pinned: PinnedBackup
    ) -> [PlanFinding] {
        guard let free = seen.freeBytes, pinned.bytes > 0 else { return [] }
        let (sum, isTooMuch) = (pinned.bytes / spareShare + spareBytes).addingReportingOverflow(pinned.bytes)
        let wanted = isTooMuch ? Int64.max : sum
        guard free < wanted else { return [] }
        let kept = (seen.leftovers ?? []).filter(\.isKept).map(\.run)
        let hint =
            kept.isEmpty ? "" : "; replaced data of earlier runs is still there (\(kept.joined(separator: ", ")))"
        return [
            PlanFinding(
                reason: "VolumeTooSmall",
                message:
                    "claim \(claim): \(free) bytes are free, and the old data is kept beside the new: base "
                    + "backup \(pinned.name) needs \(wanted) bytes with the log\(hint). Enlarge the volume, or restore "
                    + "into a new service")
        ]
    }

    private static func unknownMajor(_ input: InPlaceInput) -> PlanFinding {
        PlanFinding(
            reason: "InvalidSpec",
            message:
                "claim \(input.unit.claim) has no PG_VERSION in PGDATA \(input.unit.dataDirectory); set spec.major of "
                + "ManagedService \(input.request.service)")
    }

    private static func warnings(_ input: InPlaceInput) -> [PlanFinding] {
        var warnings: [PlanFinding] = []
        if input.isPreview {
            warnings.append(
                PlanFinding(
                    reason: "VolumeNotLookedAt",
                    message: "whether claim \(input.unit.claim) has room, and what lies on it, is found out by the run")
            )
        }
        let waiting = input.inspection.notArchived ?? 0
        if waiting > 0, input.unit.replicas == 0 {
            warnings.append(
                PlanFinding(
                    reason: "UnarchivedTail",
                    message: "\(waiting) segments on the volume are not in the archive; a restore to Latest takes them "
                        + "from the volume"))
        }
        let kept = (input.inspection.leftovers ?? []).map(\.run)
        if !kept.isEmpty {
            warnings.append(
                PlanFinding(
                    reason: "ReplacedDataKept",
                    message: "the volume still has data that earlier runs have replaced: "
                        + kept.prefix(4).joined(separator: ", ")))
        }
        return warnings
    }
}

extension InPlacePlanner {
    // MARK: Hash

    /// Only what the run commits itself to: sizes, times and warnings are outside it.
    private struct Commitments: Encodable {
        var target: String
        var targetUID: String
        var claim: String
        var sourcePrefix: String
        var systemIdentifier: String
        var baseBackup: String
        var timeline: String
        var recoveryTarget: String
        var strategy: String
        var path: String
        var steps: [String]
        var image: String
        var verification: [VerificationCheck]
        var amcheck: Bool
    }

    private static func hash(_ input: InPlaceInput, _ prefix: String, _ status: PlanStatus) -> String {
        let commitments = Commitments(
            target: "\(input.request.namespace)/\(input.request.service)", targetUID: input.unit.uid,
            claim: input.unit.claim, sourcePrefix: prefix, systemIdentifier: status.systemIdentifier ?? "",
            baseBackup: status.baseBackup ?? "", timeline: status.timeline ?? "",
            recoveryTarget: status.recoveryTarget ?? "", strategy: status.strategy ?? "", path: status.path ?? "",
            steps: (status.steps ?? []).map(\.name), image: input.unit.image,
            verification: input.checks.filter { input.request.checks.contains($0.name ?? "") },
            amcheck: input.request.amcheck)
        return "v1:" + Planner.digest(of: commitments)
    }
}
