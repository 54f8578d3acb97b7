// SPDX-License-Identifier: Apache-2.0

import Resources

// The words of refusals: what was seen, which object, and the way out.

extension RestoreRunBehavior {
    static func owner(_ run: RestoreRun) -> OwnerReference {
        OwnerReference(
            apiVersion: RestoreRun.resourceKind.apiVersion, kind: RestoreRun.resourceKind.kind,
            name: run.metadata.name, uid: run.metadata.uid ?? "", controller: true)
    }

    static func notFound(_ kind: String, _ name: String, _ request: RunRequest, _ reason: String) -> PlanFinding {
        PlanFinding(
            reason: reason,
            message: "\(kind) \(name) does not exist in namespace \(request.namespace); create it, and the run goes on")
    }

    static func noArchive(_ request: RunRequest) -> PlanFinding {
        PlanFinding(
            reason: "NotWalg",
            message: "spec.source.service: ManagedService \(request.sourceServiceName ?? "") has no archive")
    }

    /// What its engine has against a ManagedService as the source or the target of a run.
    static func otherEngine(_ service: ManagedService, _ field: String, _ run: RestoreRun) -> PlanFinding? {
        let engine = service.spec?.engine
        return EngineDescription.obstacle(to: run.spec, of: engine).map { obstacle in
            let words = "ManagedService \(service.metadata.name) is of engine \(engine?.text ?? ""): \(obstacle)"
            return RunRequest.unsupported(field, words)
        }
    }

    static func incomplete(_ repository: BackupRepository, _ field: String) -> PlanFinding {
        PlanFinding(
            reason: "RepositoryInvalid",
            message:
                "\(field): BackupRepository \(repository.metadata.name) needs spec.s3.endpoint, spec.s3.bucket and "
                + "spec.credentials.secretRef.name")
    }

    /// What a repository may say and this version can't do.
    static func unavailable(_ repository: BackupRepository, _ field: String) -> [PlanFinding] {
        let spec = repository.spec
        var findings: [PlanFinding] = []
        let names = [
            spec?.credentials?.serviceAccountName == nil ? nil : "spec.credentials.serviceAccountName",
            spec?.s3?.caBundle == nil ? nil : "spec.s3.caBundle",
            spec?.encryption?.sseC == nil ? nil : "spec.encryption.sseC",
        ]
        for name in names.compactMap({ $0 }) {
            findings.append(
                PlanFinding(
                    reason: "UnsupportedMode",
                    message: "\(field): BackupRepository \(repository.metadata.name): \(name) is not available in this "
                        + "version"))
        }
        return findings
    }

    static func notAllowed(_ access: RepositoryAccess, _ image: String) -> PlanFinding {
        let allowed = access.allowedImages.isEmpty ? "none" : access.allowedImages.joined(separator: ", ")
        return PlanFinding(
            reason: "ImageNotAllowed",
            message: "spec.target.newService.image \(image) may not run with the credentials of BackupRepository "
                + "\(access.name) (allowed: \(allowed)); add it to that repository's spec.allowedImages")
    }

    static func overlap(_ source: String, _ archive: String) -> PlanFinding {
        PlanFinding(
            reason: "PrefixOverlap",
            message: "spec.target.newService.archive: \(archive) overlaps the source's archive \(source); the clone "
                + "would archive into what it is restored from. Choose a path that is not inside the other")
    }

    static func foreignJob(_ name: String) -> PlanFinding {
        PlanFinding(
            reason: "JobNotOurs",
            message: "a Job named \(name) exists and is not this run's; remove it and start a new run")
    }

    static func unreadable(_ role: JobRole, _ why: String) -> PlanFinding {
        PlanFinding(
            reason: "JobResultUnreadable",
            message:
                "Job \(role.rawValue) gave no result that can be believed in \(JobObservation.limit) attempts: \(why)")
    }
}

/// How a verification went, as the programs tell it: the same for all ways.
struct Verification {
    var checks: [ReplaceResult.Check]
    var collationMismatch: Bool
    var extensionsMissing: [String]

    init(_ result: SealResult) {
        checks = result.checks ?? []
        collationMismatch = result.collationMismatch ?? false
        extensionsMissing = result.extensionsMissing ?? []
    }

    init(_ result: ReplaceResult) {
        checks = result.checks ?? []
        collationMismatch = result.collationMismatch ?? false
        extensionsMissing = result.extensionsMissing ?? []
    }

    /// The names of what did not pass, to stand behind a code.
    var failed: String {
        let names = checks.filter { !$0.passed }.map(\.name)
        return names.isEmpty ? "" : " (\(names.prefix(8).joined(separator: ", ")))"
    }

    var passed: String { checks.isEmpty ? "" : "; \(checks.count) checks passed" }

    /// What does not keep the data from being served, and will be met by whoever uses it.
    var warning: PlanFinding? {
        if collationMismatch {
            return PlanFinding(
                reason: "CollationMismatch",
                message:
                    "the image's collations are of other versions than the data's: rebuild the indexes on text "
                    + "(reindex), then alter database ... refresh collation version")
        }
        guard !extensionsMissing.isEmpty else { return nil }
        return PlanFinding(
            reason: "LibraryMissing",
            message:
                "the image lacks extensions that the data uses: "
                + extensionsMissing.prefix(8).joined(separator: ", "))
    }

    func note(_ draft: inout StatusDraft) {
        guard !checks.isEmpty else { return }
        draft.status.verification = checks.map {
            .init(name: $0.name, passed: $0.passed, milliseconds: $0.milliseconds)
        }
    }
}
