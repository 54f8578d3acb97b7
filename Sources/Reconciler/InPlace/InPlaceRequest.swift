// SPDX-License-Identifier: Apache-2.0

package import Catalog
package import Resources

/// The spec of a run that replaces a service's data, as far as this version can carry it out: every value present and
/// checked.
package struct InPlaceRequest: Equatable, Sendable {
    package enum Source: Equatable, Sendable {
        /// The archive of a ManagedService: the target's own, or another one's.
        case service(String)
        case archive(RunRequest.Source)
        /// A backup by the name of its ServiceBackup.
        case backup(String)
        /// The data that an earlier run has replaced, and that is still on the volume.
        case rollback(of: String)
    }

    package var namespace: String
    package var runName: String
    package var runUID: String
    /// The ManagedService whose data is replaced.
    package var service: String
    package var source: Source
    /// What is wanted of the source archive; meaningless for a rollback.
    package var recovery: RecoveryRequest
    /// The major version of the source as its address, or its ServiceBackup, has it; `nil` where neither says.
    package var sourceMajor: Int?
    package var isInclusive: Bool
    /// Names the target and the first eight characters of its UID.
    package var confirm: String?
    package var confirmsCrossService: Bool
    /// Waits while another run works on the target; otherwise it is refused then.
    package var waitsWhenBusy: Bool
    /// How long the replaced data is kept, in seconds.
    package var keepSeconds: Int64
    /// Names of checks that stand on the ManagedService.
    package var checks: [String]
    package var amcheck: Bool

    package var scope: RunScope { RunScope(namespace: namespace, runUID: runUID) }

    package static let keptByDefault: Int64 = 86_400

    /// With what its ServiceBackup says of where it is.
    func resolved(_ found: DiscoveredBackup?) -> InPlaceRequest {
        guard case .backup = source, let name = found?.name else { return self }
        var request = self
        request.recovery.backup = name
        request.sourceMajor = found?.major
        return request
    }

    var backupName: String? {
        if case .backup(let name) = source { name } else { nil }
    }

    package var isRollback: Bool {
        if case .rollback = source { true } else { false }
    }

    /// Reads a spec that passed validation.
    /// - Returns: findings instead when the spec asks for what this version does not do.
    package static func read(_ run: RestoreRun) -> (request: InPlaceRequest?, findings: [PlanFinding]) {
        let findings = validate(run.spec).map { PlanFinding(reason: $0.reason, message: $0.message) }
        guard findings.isEmpty, let spec = run.spec, let service = spec.target?.service?.name else {
            return (nil, findings)
        }
        switch source(spec) {
        case .failure(let refusal): return (nil, refusal.findings)
        case .success(let (source, backup)):
            let isOfBackup = backup != nil || spec.source?.backup != nil
            guard let moment = RunRequest.moment(spec.recoveryTarget, ofBackup: isOfBackup) else {
                return (
                    nil,
                    [RunRequest.unsupported("spec.recoveryTarget", "this version does not know this kind of target")]
                )
            }
            var recovery = RecoveryRequest(moment)
            recovery.backup = backup
            recovery.line = RunRequest.line(spec.recoveryTarget?.timeline)
            var request = InPlaceRequest(
                namespace: run.metadata.namespace ?? "", runName: run.metadata.name, runUID: run.metadata.uid ?? "",
                service: service, source: source, recovery: recovery,
                isInclusive: spec.recoveryTarget?.inclusive ?? true, confirm: spec.confirm,
                confirmsCrossService: spec.confirmCrossService ?? false, waitsWhenBusy: spec.onBusy != "Fail",
                keepSeconds: RestoreRunBehavior.seconds(spec.preRestore?.keepFor) ?? keptByDefault,
                checks: spec.verification?.checks ?? [], amcheck: spec.verification?.amcheck ?? false)
            if case .archive(let archive) = source, case .location(let uri) = archive.place {
                request.sourceMajor = uri.major
            }
            return (request, [])
        }
    }

    private struct Refusal: Error {
        var findings: [PlanFinding]
    }

    private static func source(_ spec: RestoreRunSpec) -> Result<(Source, backup: String?), Refusal> {
        func refused(_ finding: PlanFinding) -> Result<(Source, backup: String?), Refusal> {
            .failure(Refusal(findings: [finding]))
        }
        if let name = spec.rollbackOf?.name { return .success((.rollback(of: name), nil)) }
        let source = spec.source
        if let name = source?.service?.name { return .success((.service(name), nil)) }
        if let archive = source?.archive, let repository = archive.repository?.name, let path = archive.path {
            return .success((.archive(RunRequest.Source(repository: repository, path: path)), nil))
        }
        if let location = source?.location, let repository = location.repository?.name {
            if let obstacle = EngineDescription.obstacle(to: spec, of: location.engine) {
                return refused(RunRequest.unsupported("spec.source.location.engine", obstacle))
            }
            guard let uri = BackupURI(location.uri ?? "") else {
                return refused(RunRequest.notWalg(location, spec.recoveryTarget))
            }
            return .success((.archive(RunRequest.Source(repository: repository, location: uri)), uri.backup))
        }
        if let name = source?.backup?.name { return .success((.backup(name), nil)) }
        return refused(RunRequest.unsupported("spec.source", "this version does not know this kind of source"))
    }
}
