// SPDX-License-Identifier: Apache-2.0

import Catalog
import Digest
import JSON
package import Resources

/// What a plan is made from: the request, where it reads and writes, and what was seen there.
package struct PlanInput: Equatable, Sendable {
    package var request: RunRequest
    package var source: RepositoryAccess
    /// Below the repository's prefix, without the major version.
    package var sourcePath: String
    package var sourceScan: ScanResult
    package var archive: RepositoryAccess?
    /// `nil`: the own archive was not looked at (a preview starts no Job).
    package var archiveScan: ScanResult?
    package var now: Timestamp
    /// Why the image must not choose the base backup itself, if so: an earlier run found out.
    package var mustName: String?
    /// What the data must pass.
    package var checks: [VerificationCheck]
    /// The ManagedServices that ask for an approval of a restore in this mode from their archive.
    package var approvalAskedBy: [String]

    package init(
        request: RunRequest, source: RepositoryAccess, sourcePath: String, sourceScan: ScanResult,
        archive: RepositoryAccess?, archiveScan: ScanResult?, now: Timestamp, mustName: String? = nil,
        checks: [VerificationCheck] = [], approvalAskedBy: [String] = []
    ) {
        self.request = request
        self.source = source
        self.sourcePath = sourcePath
        self.sourceScan = sourceScan
        self.archive = archive
        self.archiveScan = archiveScan
        self.now = now
        self.mustName = mustName
        self.checks = checks
        self.approvalAskedBy = approvalAskedBy
    }

    var asked: SourceQuestion {
        SourceQuestion(
            recovery: request.recovery, isInclusive: request.isInclusive, major: request.major,
            majorField: "spec.target.newService.major", service: request.sourceServiceName,
            profile: request.profile.name, source: source, path: sourcePath, scan: sourceScan, now: now,
            serviceBackup: request.sourceBackupName)
    }

    var sourceURI: String { source.uri(sourcePath) }
}

/// What is wanted of a source archive, and what was seen of it: the part of planning that all ways have in common.
struct SourceQuestion: Equatable, Sendable {
    var recovery: RecoveryRequest
    var isInclusive: Bool
    var major: Int
    /// The field that says so, for refusals.
    var majorField: String
    /// The ManagedService whose archive it is, if one was named.
    var service: String?
    var profile: String
    var source: RepositoryAccess
    /// Below the repository's prefix, without the major version.
    var path: String
    var scan: ScanResult
    var now: Timestamp
    /// The ServiceBackup that named the base backup, if one did.
    var serviceBackup: String? = nil

    var uri: String { source.uri(path) }
}

/// A plan with what it pins.
package struct MadePlan: Equatable, Sendable {
    package var status: PlanStatus
    package var pinned: PinnedBackup?
    /// The timeline that recovery follows.
    package var timeline: Int64?
    /// How PostgreSQL is told so.
    package var targetTimeline: String?
}

/// The two ways of a new PostgreSQL service.
package enum RestorePath: String, Sendable {
    /// The image's own entrypoint restores: it always takes `LATEST` and PostgreSQL's newest timeline.
    case entrypoint = "Entrypoint"
    /// An init container of the same image fetches the named base backup and writes the recovery settings.
    case initContainer = "InitContainer"
}

/// Plans a new PostgreSQL service from a WAL-G archive, for a run and for a preview alike. Pure: the same input gives the
/// same plan and the same hash.
package enum Planner {
    package static func plan(_ input: PlanInput) -> MadePlan {
        var status = PlanStatus()
        status.strategy = "WalgRestore"
        status.destructive = false
        status.reversible = true
        status.undo = "the new StatefulSet and its claim are removed"
        status.recoveryTarget = words(input.request.recovery, isInclusive: input.request.isInclusive)
        let errors = archiveErrors(input) + staleErrors(input)
        guard errors.isEmpty else { return refused(status, scanErrors(input.asked) + errors) }
        let (choice, pinned): (RecoveryChoice, PinnedBackup)
        switch choose(input.asked) {
        case .failure(let refusal): return refused(status, refusal.errors)
        case .success(let chosen): (choice, pinned) = (chosen.choice, chosen.pinned)
        }
        let (path, why) = path(choice, input)
        let (sizeErrors, sizeWarnings) = size(input, pinned)
        guard sizeErrors.isEmpty else { return refused(status, sizeErrors) }
        status.path = path.rawValue
        status.steps = Step.newService(ownArchive: input.request.archive != nil).map {
            PlanStep(name: $0.name.rawValue, detail: detail($0, input, pinned, path))
        }
        status.baseBackup = pinned.name
        status.timeline = path == .entrypoint ? "Latest" : "\(choice.timeline)"
        status.systemIdentifier = pinned.systemIdentifier
        status.bytes = pinned.downloadBytes ?? pinned.bytes
        status.estimatedSeconds = estimate(pinned)
        let warnings =
            choice.warnings.map { PlanFinding(reason: $0.reason, message: $0.message) } + why + sizeWarnings
            + [input.request.copied?.warning].compactMap { $0 }
            + RestoreRunBehavior.approvalWarning(input.approvalAskedBy)
        status.warnings = warnings.isEmpty ? nil : warnings
        status.hash = hash(input, pinned, status)
        return MadePlan(
            status: status, pinned: pinned, timeline: choice.timeline, targetTimeline: choice.targetTimeline)
    }

    /// Why there is no plan.
    struct Refused: Error {
        var errors: [PlanFinding]
    }

    /// The base backup and the way through the log that lead to what is wanted.
    static func choose(
        _ asked: SourceQuestion
    ) -> Result<(choice: RecoveryChoice, pinned: PinnedBackup), Refused> {
        let errors = scanErrors(asked)
        guard errors.isEmpty else { return .failure(Refused(errors: errors)) }
        guard let listing = asked.scan.listing, !listing.backups.isEmpty else {
            return .failure(Refused(errors: [nothingThere(asked)]))
        }
        let choice: RecoveryChoice
        switch ArchiveCatalog(listing).answer(asked.recovery, at: asked.now) {
        case .refused(let finding): return .failure(Refused(errors: [refusal(finding, asked)]))
        case .reachable(let reachable): choice = reachable
        }
        guard let pinned = pin(choice, asked) else {
            let what = "its sentinel names no start LSN or system identifier"
            return .failure(Refused(errors: [unusable(choice.backup, asked, what)]))
        }
        return .success((choice, pinned))
    }

    static func refused(_ status: PlanStatus, _ errors: [PlanFinding]) -> MadePlan {
        var status = status
        status.errors = Array(errors.prefix(16))
        return MadePlan(status: status, pinned: nil, timeline: nil)
    }

    // MARK: The way

    /// The image may restore itself only where it can't choose wrongly: `LATEST` is the base backup that is wanted, there
    /// is one line to follow, and the target is one that it can be told.
    private static func path(_ choice: RecoveryChoice, _ input: PlanInput) -> (RestorePath, [PlanFinding]) {
        if let why = input.mustName {
            return (.initContainer, [PlanFinding(reason: "BackupNamed", message: why)])
        }
        switch input.request.recovery.moment {
        case .latest: break
        case .time where input.request.isInclusive: break
        case .time, .backupEnd, .lsn, .xid, .name: return (.initContainer, [])
        }
        let followsNewest = input.request.recovery.line == .latest && choice.isOneLine
        return choice.isLatest && followsNewest ? (.entrypoint, []) : (.initContainer, [])
    }

    private static func pin(_ choice: RecoveryChoice, _ asked: SourceQuestion) -> PinnedBackup? {
        let backup = choice.backup
        guard let start = backup.startLSN, let identifier = backup.systemIdentifier else { return nil }
        var pinned = PinnedBackup(
            name: backup.name, startLSN: start, finishTime: backup.finishTime?.rfc3339, systemIdentifier: identifier,
            timeline: choice.backupTimeline, bytes: max(0, choice.unpackedBytes ?? 0))
        pinned.finishLSN = backup.finishLSN
        pinned.downloadBytes = choice.downloadBytes
        pinned.downloadParts = choice.downloadParts
        pinned.segments = choice.segments
        if asked.recovery.moment == .latest { pinned.newestSegment = choice.lastSegment }
        return pinned
    }

    /// A guess for people, from what a modest disk and network do: 50 MiB of backup and 10 segments a second, and a minute
    /// for pods to start and stop.
    static func estimate(_ pinned: PinnedBackup) -> Int64 {
        60 + max(0, pinned.downloadBytes ?? pinned.bytes) / (50 << 20) + max(0, pinned.segments ?? 0) / 10
    }

    private static func size(
        _ input: PlanInput, _ pinned: PinnedBackup
    ) -> (errors: [PlanFinding], warnings: [PlanFinding]) {
        guard pinned.bytes > 0, let requested = Quantity.bytes(input.request.storageSize) else { return ([], []) }
        let text = "spec.target.newService.storage.size \(input.request.storageSize)"
        // The size comes from the bucket: whatever it says must not overflow.
        let (product, isTooMuch) = (pinned.bytes / 2).multipliedReportingOverflow(by: 3)
        let enough = isTooMuch ? Int64.max : product
        if requested < pinned.bytes {
            let message =
                "\(text) is smaller than base backup \(pinned.name) (\(pinned.bytes) bytes unpacked); ask for at least "
                + "\(enough) bytes"
            return ([PlanFinding(reason: "VolumeTooSmall", message: message)], [])
        }
        guard requested < enough else { return ([], []) }
        let message =
            "\(text) leaves little room beside base backup \(pinned.name) (\(pinned.bytes) bytes) for the WAL that is "
            + "replayed"
        return ([], [PlanFinding(reason: "VolumeTight", message: message)])
    }

    // MARK: Hash

    /// Only what the run commits itself to: sizes, times and warnings are outside it.
    private struct Commitments: Encodable {
        var target: String
        var sourcePrefix: String
        var systemIdentifier: String
        var baseBackup: String
        var timeline: String
        var recoveryTarget: String
        var strategy: String
        var path: String
        var steps: [String]
        var image: String
        var archivePath: String
        var overrides: NewService
        /// Absent where there are none, as in a preview.
        var verification: [VerificationCheck]?
        var amcheck: Bool?
        /// Of the server's command line, where another service is copied.
        var parameters: [String]?
    }

    private static func hash(_ input: PlanInput, _ pinned: PinnedBackup, _ status: PlanStatus) -> String {
        let request = input.request
        let commitments = Commitments(
            target: "\(request.namespace)/\(request.serviceName)", sourcePrefix: input.sourceURI,
            systemIdentifier: pinned.systemIdentifier, baseBackup: pinned.name, timeline: status.timeline ?? "",
            recoveryTarget: status.recoveryTarget ?? "", strategy: status.strategy ?? "", path: status.path ?? "",
            steps: (status.steps ?? []).map(\.name), image: request.image,
            archivePath: input.archive.flatMap { access in request.archive.map { access.uri($0.path) } } ?? "",
            overrides: request.service, verification: input.checks.isEmpty ? nil : input.checks,
            amcheck: request.amcheck ? true : nil, parameters: request.copied?.parameters)
        return "v1:" + digest(of: commitments)
    }

    /// SHA-256 over the value's JSON with sorted keys; the same value gives the same digest everywhere.
    static func digest(of value: some Encodable) -> String {
        // Encoding can fail for non-finite numbers only, which no API object holds; then there is nothing to compare.
        Digest.sha256Hex((try? JSON.encode(value, sortedKeys: true)) ?? [])
    }
}
