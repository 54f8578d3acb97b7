// SPDX-License-Identifier: Apache-2.0

import Digest
import JSON
package import Resources

/// What a plan is made from: the request, where it reads and writes, and what the scans saw there.
package struct PlanInput: Equatable, Sendable {
    package var request: RunRequest
    package var source: RepositoryAccess
    package var sourcePath: String
    package var sourceScan: ScanResult
    package var archive: RepositoryAccess?
    package var archiveScan: ScanResult?

    package init(
        request: RunRequest, source: RepositoryAccess, sourcePath: String, sourceScan: ScanResult,
        archive: RepositoryAccess?, archiveScan: ScanResult?
    ) {
        self.request = request
        self.source = source
        self.sourcePath = sourcePath
        self.sourceScan = sourceScan
        self.archive = archive
        self.archiveScan = archiveScan
    }
}

/// A plan with what it pins.
package struct MadePlan: Equatable, Sendable {
    package var status: PlanStatus
    package var pinned: PinnedBackup?
}

/// Plans a new PostgreSQL service from a WAL-G archive. Pure: the same input gives the same plan and the same hash.
package enum Planner {
    package static func plan(_ input: PlanInput) -> MadePlan {
        var status = PlanStatus()
        status.strategy = "WalgRestore"
        status.path = "Entrypoint"
        status.destructive = false
        status.reversible = true
        status.undo = "the new StatefulSet and its claim are removed"
        status.recoveryTarget = "Latest"
        status.steps = Step.entrypointPath(ownArchive: input.archive != nil).map {
            PlanStep(name: $0.name.rawValue, detail: detail($0, input))
        }
        var errors = scanErrors(input.sourceScan, input.source, input.source.uri(input.sourcePath))
        errors += archiveErrors(input)
        guard errors.isEmpty else {
            status.errors = errors
            return MadePlan(status: status, pinned: nil)
        }
        let (pinned, findings) = pin(input)
        errors = findings + timelineErrors(input, pinned)
        guard let pinned, errors.isEmpty else {
            status.errors = errors
            return MadePlan(status: status, pinned: nil)
        }
        status.baseBackup = pinned.name
        status.timeline = "Latest"
        status.systemIdentifier = pinned.systemIdentifier
        status.bytes = pinned.bytes
        let (sizeErrors, warnings) = size(input, pinned)
        status.warnings = warnings.isEmpty ? nil : warnings
        status.errors = sizeErrors.isEmpty ? nil : sizeErrors
        status.hash = hash(input, pinned, status)
        return MadePlan(status: status, pinned: pinned)
    }

    // MARK: What was seen

    private static func scanErrors(_ scan: ScanResult, _ access: RepositoryAccess, _ uri: String) -> [PlanFinding] {
        guard scan.code != "OK" else { return [] }
        let detail = scan.message.map { ": \($0)" } ?? ""
        return [
            PlanFinding(reason: scan.code, message: "BackupRepository \(access.name), \(uri)\(detail)")
        ]
    }

    private static func archiveErrors(_ input: PlanInput) -> [PlanFinding] {
        guard let access = input.archive, let scan = input.archiveScan, let own = input.request.archive
        else { return [] }
        let uri = access.uri(own.path)
        let errors = scanErrors(scan, access, uri)
        guard errors.isEmpty, scan.objects > 0 else { return errors }
        let sample = scan.sampleKeys.prefix(3).joined(separator: ", ")
        return [
            PlanFinding(
                reason: "ArchiveNotEmpty",
                message: "spec.target.newService.archive.path \(own.path): \(uri) is not empty (\(sample)); a new "
                    + "service needs an archive of its own. Choose another path")
        ]
    }

    /// The base backup that the image's `LATEST` will fetch: the sentinel that was written last.
    private static func pin(_ input: PlanInput) -> (PinnedBackup?, [PlanFinding]) {
        let scan = input.sourceScan
        let major = input.request.major
        let uri = input.source.uri(input.sourcePath)
        guard let latest = scan.backups.max(by: { ($0.lastModified, $0.name) < ($1.lastModified, $1.name) }) else {
            let others = scan.majors.filter { $0 != major }.map { "\($0)" }.joined(separator: ", ")
            if !others.isEmpty {
                return (nil, [majorMismatch(input, "the archive has backups of major version \(others) only")])
            }
            return (
                nil,
                [
                    PlanFinding(
                        reason: "NoBackupsFound",
                        message: "\(uri)/\(major) has no base backup; check spec.source's path, or take one first")
                ]
            )
        }
        if let problem = latest.problem {
            return (nil, [unusable(latest, uri, problem)])
        }
        guard let version = latest.pgVersion, let start = latest.startLSN, let identifier = latest.systemIdentifier
        else { return (nil, [unusable(latest, uri, "its sentinel names no version, start LSN or system identifier")]) }
        if version / 10_000 != major {
            return (nil, [majorMismatch(input, "\(latest.name) is of major version \(version / 10_000)")])
        }
        let identifiers = Set(scan.backups.compactMap(\.systemIdentifier))
        if identifiers.count > 1 {
            return (
                nil,
                [
                    PlanFinding(
                        reason: "PrefixCollision",
                        message: "\(uri)/\(major) holds backups of \(identifiers.count) different database systems; "
                            + "it is not known which one is wanted")
                ]
            )
        }
        let timeline = Int64(latest.name.dropFirst("base_".count).prefix(8), radix: 16) ?? 1
        let pinned = PinnedBackup(
            name: latest.name, startLSN: start, finishTime: latest.finishTime?.rfc3339,
            systemIdentifier: identifier, timeline: timeline,
            bytes: latest.uncompressedSize ?? latest.compressedSize ?? 0)
        return (withArchiveEnd(pinned, scan), [])
    }

    /// How far the archive reached when it was planned: a restore to latest must come at least there. Not known where the
    /// segments are not of the usual 16 MiB.
    private static func withArchiveEnd(_ backup: PinnedBackup, _ scan: ScanResult) -> PinnedBackup {
        var pinned = backup
        guard let first = WalSegment(String(pinned.name.dropFirst("base_".count).prefix(24))),
            let start = LSN(pinned.startLSN), first.contains(start.value),
            let newest = scan.newestSegments.compactMap(WalSegment.init).max(by: { $0.name < $1.name }),
            newest.start >= first.start
        else { return pinned }
        pinned.newestSegment = newest.name
        return pinned
    }

    private static func majorMismatch(_ input: PlanInput, _ what: String) -> PlanFinding {
        PlanFinding(
            reason: "MajorMismatch",
            message: "spec.target.newService.major \(input.request.major): \(what) "
                + "(\(input.source.uri(input.sourcePath))); use an image of the archive's major version")
    }

    private static func unusable(_ backup: ScannedBackup, _ uri: String, _ why: String) -> PlanFinding {
        PlanFinding(
            reason: "BackupUnusable",
            message: "\(uri): the newest base backup \(backup.name) can't be used: \(why)")
    }

    /// The image follows PostgreSQL's default, the newest timeline. That is right only when the archive is one line.
    private static func timelineErrors(_ input: PlanInput, _ pinned: PinnedBackup?) -> [PlanFinding] {
        guard let pinned else { return [] }
        let timelines = input.sourceScan.timelines
        let later = timelines.filter { $0.timeline > pinned.timeline }.sorted { $0.timeline < $1.timeline }
        var expected = pinned.timeline
        for branch in later {
            guard let parent = branch.parent, let left = branch.switchLSN.flatMap({ LSN($0) }) else {
                return [sideBranches(input, "the history of timeline \(branch.timeline) can't be read")]
            }
            if parent != expected {
                let what = "timeline \(branch.timeline) branches off timeline \(parent), not off \(expected)"
                return [sideBranches(input, what)]
            }
            if let newest = input.sourceScan.newestSegments.compactMap(WalSegment.init).first(where: {
                $0.timeline == parent
            }), newest.start > left.value {
                let what = "timeline \(parent) went on after timeline \(branch.timeline) had left it at \(left)"
                return [sideBranches(input, what)]
            }
            expected = branch.timeline
        }
        return []
    }

    private static func sideBranches(_ input: PlanInput, _ what: String) -> PlanFinding {
        PlanFinding(
            reason: "SideBranches",
            message:
                "\(input.source.uri(input.sourcePath)): \(what): the archive has side branches, and the image would "
                + "follow the newest one. This version restores archives with one line only")
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
            return (
                [
                    PlanFinding(
                        reason: "VolumeTooSmall",
                        message: "\(text) is smaller than base backup \(pinned.name) (\(pinned.bytes) bytes "
                            + "unpacked); ask for at least \(enough) bytes")
                ], []
            )
        }
        guard requested < enough else { return ([], []) }
        return (
            [],
            [
                PlanFinding(
                    reason: "VolumeTight",
                    message: "\(text) leaves little room beside base backup \(pinned.name) (\(pinned.bytes) bytes) "
                        + "for the WAL that is replayed")
            ]
        )
    }

    // MARK: Words and hash

    private static func detail(_ step: Step, _ input: PlanInput) -> String {
        let names = input.request.names
        switch step.name {
        case .claim: return "create PersistentVolumeClaim \(names.claim) (\(input.request.storageSize), empty)"
        case .provision:
            return "create StatefulSet \(names.statefulSet) with \(input.request.image), in quarantine"
        case .restore:
            return "the image restores \(input.source.uri(input.sourcePath))/\(input.request.major) and promotes"
        case .quiesce: return "stop it"
        case .seal: return "prove what was restored, disable subscriptions, set passwords"
        case .open: return "remove the clone variables and the quarantine, give it its own archive, create Services"
        case .serve: return "wait until it serves"
        case .backup: return "take a full base backup into its own archive"
        case .compareSource: return "compare the source's archive with how it was"
        }
    }

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
    }

    private static func hash(_ input: PlanInput, _ pinned: PinnedBackup, _ status: PlanStatus) -> String {
        let request = input.request
        let commitments = Commitments(
            target: "\(request.namespace)/\(request.serviceName)",
            sourcePrefix: input.source.uri(input.sourcePath), systemIdentifier: pinned.systemIdentifier,
            baseBackup: pinned.name, timeline: status.timeline ?? "", recoveryTarget: status.recoveryTarget ?? "",
            strategy: status.strategy ?? "", path: status.path ?? "", steps: (status.steps ?? []).map(\.name),
            image: request.image,
            archivePath: input.archive.flatMap { access in request.archive.map { access.uri($0.path) } } ?? "",
            overrides: request.service)
        return "v1:" + digest(of: commitments)
    }

    /// SHA-256 over the value's JSON with sorted keys; the same value gives the same digest everywhere.
    static func digest(of value: some Encodable) -> String {
        // Encoding can fail for non-finite numbers only, which no API object holds; then there is nothing to compare.
        Digest.sha256Hex((try? JSON.encode(value, sortedKeys: true)) ?? [])
    }
}
