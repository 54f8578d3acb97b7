// SPDX-License-Identifier: Apache-2.0

import Resources

// In place: the service that is to be worked on, and the repository that its data is to come from.

/// A service as its objects describe it, and the archive to read.
struct ServicePlace {
    var service: ManagedService
    var unit: ServiceUnit
    var access: RepositoryAccess
    /// Below the repository's prefix, without the major version.
    var path: String
}

/// What became of looking for them.
enum InPlacePlaces {
    case found(ServicePlace)
    case not(WorldView)
}

extension RestoreRunBehavior {
    /// The service, its StatefulSet and the source, or what keeps them from being known. For a run and for a preview.
    static func places(
        _ snapshot: RestoreRunSnapshot, _ view: InPlaceView, _ request: InPlaceRequest
    ) -> InPlacePlaces {
        let service: ManagedService
        switch view.service {
        case .unknown: return .not(.reading("reading ManagedService \(request.service)"))
        case .absent:
            return .not(.missing(absent("ManagedService", request.service, request.namespace, "ServiceNotFound")))
        case .present(let found): service = found
        }
        let findings = validate(service.spec).map {
            PlanFinding(
                reason: $0.reason, message: "spec.target.service: ManagedService \(request.service): \($0.message)")
        }
        guard findings.isEmpty else { return .not(.refused(findings)) }
        if let other = otherEngine(service, "spec.target.service", snapshot.run) { return .not(.refused([other])) }
        let name = service.spec?.workload?.name ?? ""
        switch view.workload {
        case .unknown: return .not(.reading("reading StatefulSet \(name)"))
        case .absent: return .not(.missing(absent("StatefulSet", name, request.namespace, "TargetNotFound")))
        case .present(let workload):
            if workload.isDeleting {
                return .not(
                    .refused([
                        PlanFinding(reason: "TargetDeleted", message: "StatefulSet \(name) is being deleted")
                    ]))
            }
            switch ServiceUnit.read(service, workload) {
            case .failure(let refusal): return .not(.refused([refusal.finding]))
            case .success(let unit):
                if let world = LedgerTarget.look(snapshot, view, workload) { return .not(world) }
                return lookAtSource(snapshot, view, request, service, unit)
            }
        }
    }

    private static func lookAtSource(
        _ snapshot: RestoreRunSnapshot, _ view: InPlaceView, _ request: InPlaceRequest, _ service: ManagedService,
        _ unit: ServiceUnit
    ) -> InPlacePlaces {
        if case .service(let name) = request.source, name != request.service {
            switch view.sourceService {
            case .unknown: return .not(.reading("reading ManagedService \(name)"))
            case .absent: return .not(.missing(absent("ManagedService", name, request.namespace, "ServiceNotFound")))
            case .present(let other):
                if let other = otherEngine(other, "spec.source.service", snapshot.run) {
                    return .not(.refused([other]))
                }
            }
        }
        if case .backup(let name) = request.source, view.discovered == nil || !view.sourceBackup.isUnknown {
            if let problem = problem(of: view.sourceBackup, name, request.namespace) { return .not(problem) }
        }
        guard let source = view.source else {
            return .not(
                .refused([
                    PlanFinding(
                        reason: "NotWalg",
                        message:
                            "spec.source: the ManagedService has no archive; set its spec.archive, or name an archive")
                ]))
        }
        switch view.repository {
        case .unknown: return .not(.reading("reading BackupRepository \(source.repository)"))
        case .absent:
            return .not(
                .missing(absent("BackupRepository", source.repository, request.namespace, "RepositoryNotFound")))
        case .present(let repository):
            var findings = validate(repository.spec, allowLoopback: snapshot.settings.allowLoopbackEndpoints).map {
                PlanFinding(
                    reason: $0.reason,
                    message: "spec.source: BackupRepository \(source.repository): \($0.message)")
            }
            findings += unavailable(repository, "spec.source")
            guard let access = RepositoryAccess(repository) else {
                return .not(.refused(findings + [incomplete(repository, "spec.source")]))
            }
            if let finding = notAllowedInPlace(access, unit.statefulSet, unit.image) { findings.append(finding) }
            guard findings.isEmpty, let path = access.path(of: source) else {
                return .not(.refused(findings.isEmpty ? [outside(source, access)] : findings))
            }
            return .found(ServicePlace(service: service, unit: unit, access: access, path: path))
        }
    }

    static func absent(_ kind: String, _ name: String, _ namespace: String, _ reason: String) -> PlanFinding {
        PlanFinding(
            reason: reason,
            message: "\(kind) \(name) does not exist in namespace \(namespace); create it, and the run goes on")
    }

    /// - Returns: `nil` if the image may read the repository.
    static func notAllowedInPlace(_ access: RepositoryAccess, _ workload: String, _ image: String) -> PlanFinding? {
        if access.allows(image) { return nil }
        let allowed = access.allowedImages.isEmpty ? "none" : access.allowedImages.joined(separator: ", ")
        return PlanFinding(
            reason: "ImageNotAllowed",
            message: "StatefulSet \(workload): image \(image) may not run with the credentials of "
                + "BackupRepository \(access.name) (allowed: \(allowed)); add it to that repository's spec.allowedImages"
        )
    }
}
