// SPDX-License-Identifier: Apache-2.0

import Resources

// In place: where the data is to come from, held against what was planned.

extension InPlaceWay {
    /// The planned place of the data, as it is now.
    enum PlannedPlace: Equatable {
        case looking
        /// The repository, and the path below its prefix without the major version.
        case found(RepositoryAccess, String)
        case missing(PlanFinding)
        /// It leads elsewhere, or may not be used so any more.
        case changed(PlanFinding)
    }

    var place: PlannedPlace {
        guard let request = view.request else { return .looking }
        if let gone = lostService(request) { return gone }
        guard let source = view.source else {
            return changed("spec.source: the ManagedService names no archive any more")
        }
        let repository: BackupRepository
        switch view.repository {
        case .unknown, .absent(confirmed: false): return .looking
        case .absent(confirmed: true):
            return .missing(gone("BackupRepository", source.repository, request, "RepositoryNotFound"))
        case .present(let found): repository = found
        }
        guard let access = RepositoryAccess(repository), let path = access.path(of: source) else {
            return changed("spec.source is not below BackupRepository \(source.repository) any more")
        }
        if let then = snapshot.record.sourceURI, then != access.place(path) {
            return changed(
                "spec.source (BackupRepository \(source.repository)) leads to \(access.place(path)) now, and the run was "
                    + "planned for \(then)")
        }
        if let finding = RestoreRunBehavior.notAllowedInPlace(access, planned.workload, planned.image) {
            return .changed(finding)
        }
        if planned.isCrossService == true,
            let finding = InPlacePlanner.credentialsMissing(view.service.value?.spec?.credentials, request.service)
        {
            return .changed(finding)
        }
        return .found(access, path)
    }

    /// The ManagedServices that say where the archive is, and what the service is.
    private func lostService(_ request: InPlaceRequest) -> PlannedPlace? {
        if view.service.isUnknown { return .looking }
        guard view.service.value != nil else {
            return .missing(gone("ManagedService", request.service, request, "ServiceNotFound"))
        }
        guard case .service(let name) = request.source, name != request.service else { return nil }
        switch view.sourceService {
        case .unknown, .absent(confirmed: false): return .looking
        case .absent(confirmed: true): return .missing(gone("ManagedService", name, request, "ServiceNotFound"))
        case .present: return nil
        }
    }

    private func gone(_ kind: String, _ name: String, _ request: InPlaceRequest, _ reason: String) -> PlanFinding {
        PlanFinding(
            reason: reason, message: "\(kind) \(name) does not exist in namespace \(request.namespace) any more")
    }

    private func changed(_ message: String) -> PlannedPlace {
        .changed(PlanFinding(reason: "RepositoryChanged", message: message))
    }

    /// What was planned can't be done with what is there now.
    var outdated: PlanFinding? {
        guard case .changed(let finding) = place else { return nil }
        return PlanFinding(reason: "PlanOutdated", message: "\(finding.message); make a new RestoreRun")
    }

    /// Ends a run that has begun, and its Job was not made: the old data is served again sooner than the archive comes
    /// back. Without its own ManagedService nothing can be put back: that one is waited for.
    var lostPlace: Evidence? {
        guard jobs != nil else { return nil }
        switch place {
        case .missing(let finding): return lostSpace ?? .failed(finding)
        case .changed(let finding): return .failed(finding)
        case .looking, .found: return nil
        }
    }

    var lostSpace: Evidence? {
        guard let isLeaving = snapshot.isSpaceLeaving else { return .looking }
        return isLeaving ? .failed(RestoreRunBehavior.namespaceDeleted) : nil
    }
}

extension RestoreRunBehavior {
    static let editedService = PlanFinding(
        reason: "PlanOutdated",
        message: "its ManagedService was edited since the run was planned; make a new RestoreRun")

    /// Whether a run that may begin still finds what it was planned for. What is gone is waited for, but not under the
    /// lock: what was seen of the volume would not hold for so long.
    static func awaitPlace(
        _ snapshot: RestoreRunSnapshot, _ way: InPlaceWay?, _ draft: inout StatusDraft
    ) -> Decision<Status>? {
        guard let way else { return nil }
        switch way.place {
        case .looking: return Decision()
        // What has changed has ended it before anybody was asked.
        case .found, .changed: return way.jobs == nil ? fail(snapshot, draft, editedService) : nil
        case .missing(let finding):
            if holdsLock(snapshot) {
                let message = "\(finding.message), and the lock is not held until it does; make a new RestoreRun"
                return fail(snapshot, draft, PlanFinding(reason: finding.reason, message: message))
            }
            draft.waiting(finding.reason, "\(finding.message); create it as it was, and the run goes on")
            let wake = draft.approvedUntil.map { Wake.at($0) } ?? .onChange
            return withRecord(Decision(status: draft.status, wake: wake), snapshot, draft.status)
        }
    }
}
