// SPDX-License-Identifier: Apache-2.0

import Resources

// In place, Pending/Prepare: everything that can be known before anything of the service is touched.

extension RestoreRunBehavior {
    static func lookInPlace(
        _ snapshot: RestoreRunSnapshot, _ view: InPlaceView, _ request: InPlaceRequest, at now: Timestamp
    ) -> WorldView {
        let service: ManagedService
        switch view.service {
        case .unknown: return .looking("reading ManagedService \(request.service)", [], nil)
        case .absent:
            return .missing(absent("ManagedService", request.service, request.namespace, "ServiceNotFound"))
        case .present(let found): service = found
        }
        let findings = validate(service.spec).map {
            PlanFinding(
                reason: $0.reason, message: "spec.target.service: ManagedService \(request.service): \($0.message)")
        }
        guard findings.isEmpty else { return .refused(findings) }
        if let engine = service.spec?.engine, engine.known != .postgres {
            return .refused([otherEngine(request.service, engine.text)])
        }
        let name = service.spec?.workload?.name ?? ""
        switch view.workload {
        case .unknown: return .looking("reading StatefulSet \(name)", [], nil)
        case .absent: return .missing(absent("StatefulSet", name, request.namespace, "TargetNotFound"))
        case .present(let workload):
            if workload.isDeleting {
                return .refused([
                    PlanFinding(reason: "TargetDeleted", message: "StatefulSet \(name) is being deleted")
                ])
            }
            switch ServiceUnit.read(service, workload) {
            case .failure(let refusal): return .refused([refusal.finding])
            case .success(let unit): return lookAtSource(snapshot, view, request, service, unit, at: now)
            }
        }
    }

    private static func lookAtSource(
        _ snapshot: RestoreRunSnapshot, _ view: InPlaceView, _ request: InPlaceRequest, _ service: ManagedService,
        _ unit: ServiceUnit, at now: Timestamp
    ) -> WorldView {
        if case .service(let name) = request.source, name != request.service {
            switch view.sourceService {
            case .unknown: return .looking("reading ManagedService \(name)", [], nil)
            case .absent: return .missing(absent("ManagedService", name, request.namespace, "ServiceNotFound"))
            case .present(let other):
                if let engine = other.spec?.engine, engine.known != .postgres {
                    return .refused([otherEngine(name, engine.text)])
                }
            }
        }
        guard let source = view.source else {
            return .refused([
                PlanFinding(
                    reason: "NotWalg",
                    message: "spec.source: the ManagedService has no archive; set its spec.archive, or name an archive")
            ])
        }
        switch view.repository {
        case .unknown: return .looking("reading BackupRepository \(source.repository)", [], nil)
        case .absent:
            return .missing(absent("BackupRepository", source.repository, request.namespace, "RepositoryNotFound"))
        case .present(let repository):
            var findings = validate(repository.spec, allowLoopback: snapshot.settings.allowLoopbackEndpoints).map {
                PlanFinding(
                    reason: $0.reason,
                    message: "spec.source: BackupRepository \(source.repository): \($0.message)")
            }
            findings += unavailable(repository, "spec.source")
            guard let access = RepositoryAccess(repository) else {
                return .refused(findings + [incomplete(repository, "spec.source")])
            }
            if !access.allows(unit.image) { findings.append(notAllowedInPlace(access, unit)) }
            guard findings.isEmpty, let path = access.path(of: source) else {
                return .refused(findings.isEmpty ? [outside(source, access)] : findings)
            }
            return lookAtVolume(snapshot, view, request, service, unit, (access, path), at: now)
        }
    }

    private static func lookAtVolume(
        _ snapshot: RestoreRunSnapshot, _ view: InPlaceView, _ request: InPlaceRequest, _ service: ManagedService,
        _ unit: ServiceUnit, _ place: (access: RepositoryAccess, path: String), at now: Timestamp
    ) -> WorldView {
        let jobs = PostgresInPlaceJobs(
            scope: request.scope, unit: unit, image: unit.image, settings: snapshot.settings,
            owner: owner(snapshot.run))
        if case .absent(confirmed: true) = snapshot.claim {
            return .missing(absent("PersistentVolumeClaim", unit.claim, request.namespace, "TargetNotFound"))
        }
        var effects: [Effect] = []
        var obstacle: PlanFinding?
        func job<Result>(
            _ role: JobRole, _ make: (Int) -> JobManifest, _ read: (LogFacts) -> Result?
        ) -> (result: Result?, refused: WorldView?) {
            let seen = snapshot.jobs[role] ?? JobObservation(ordinal: 1, state: .unknown)
            switch seen.state {
            case .unknown: return (nil, nil)
            case .absent: effects.append(.create(.job(make(seen.ordinal))))
            case .foreign: return (nil, .refused([foreignJob(request.scope.job(role, seen.ordinal))]))
            case .running(let why, _): obstacle = obstacle ?? why
            case .done(let facts):
                guard let result = read(facts) else {
                    return (nil, .refused([unreadable(role, "it is of another kind")]))
                }
                return (result, nil)
            case .exhausted(let why): return (nil, .refused([unreadable(role, why)]))
            }
            return (nil, nil)
        }
        let inspect = job(.inspect, jobs.inspect) { facts in
            if case .inspect(let result) = facts { result } else { nil }
        }
        if let refused = inspect.refused { return refused }
        let major = unit.major ?? inspect.result?.major.flatMap { Int($0) }
        var scan: ScanResult?
        if !request.isRollback, let major {
            let looked = job(.scanSource, { jobs.scan($0, of: place.access, path: place.path, major: major) }) {
                facts in
                if case .scan(let result) = facts { result } else { nil }
            }
            if let refused = looked.refused { return refused }
            scan = looked.result
        }
        guard let inspection = inspect.result, request.isRollback || scan != nil || major == nil else {
            return .looking("looking at the volume and the archive", effects, obstacle)
        }
        let origin: InPlaceInput.Origin
        switch self.origin(view, request, place, scan) {
        case .failure(let refusal): return .refused([refusal.finding])
        case .success(nil): return .looking("reading the run to roll back", [], nil)
        case .success(let found?): origin = found
        }
        return .seenInPlace(
            InPlaceInput(
                request: request, unit: unit, inspection: inspection, origin: origin,
                checks: service.spec?.protection?.verification ?? [], now: now))
    }

    /// - Returns: `nil` while something is being read.
    private static func origin(
        _ view: InPlaceView, _ request: InPlaceRequest, _ place: (access: RepositoryAccess, path: String),
        _ scan: ScanResult?
    ) -> Result<InPlaceInput.Origin?, ServiceRefusal> {
        guard case .rollback(let name) = request.source else {
            let own = view.own.map { $0 == view.source } ?? false
            var service: String?
            if case .service(let name) = request.source { service = name }
            return .success(
                .archive(
                    .init(
                        source: place.access, path: place.path, scan: scan ?? ScanResult(attempt: "", code: "OK"),
                        isOwn: own, service: service)))
        }
        func refused(_ message: String) -> Result<InPlaceInput.Origin?, ServiceRefusal> {
            .failure(ServiceRefusal(PlanFinding(reason: "NothingToRollBack", message: "spec.rollbackOf \(message)")))
        }
        switch view.rolledBack {
        case .unknown, .absent(confirmed: false): return .success(nil)
        case .absent(confirmed: true):
            return refused("\(name): there is no such RestoreRun in namespace \(request.namespace)")
        case .present(let run):
            guard run.spec?.target?.service?.name == request.service, run.status?.restore?.inPlace?.isSwapped == true
            else { return refused("\(name): that run has not replaced the data of \(request.service)") }
            return .success(
                .rollback(
                    .init(
                        runName: name, runUID: run.metadata.uid ?? "", source: place.access, path: place.path)))
        }
    }

    static func planInPlace(
        _ snapshot: RestoreRunSnapshot, _ draft: StatusDraft, _ input: InPlaceInput
    ) -> Decision<Status> {
        var draft = draft
        let plan = InPlacePlanner.plan(input)
        draft.status.plan = plan.status
        if let errors = plan.status.errors, !errors.isEmpty { return refuse(snapshot, draft, errors) }
        let unit = input.unit
        var record = InPlaceRecord(workload: unit.statefulSet, pod: unit.pod, claim: unit.claim, image: unit.image)
        record.major = input.major
        switch input.origin {
        case .archive(let origin):
            draft.record.source = origin.scan.fingerprint
            draft.record.sourceURI = origin.source.place(origin.path)
            let isOther = plan.pinned.map { $0.systemIdentifier != input.inspection.systemIdentifier } ?? false
            record.isCrossService = !origin.isOwn || isOther
        case .rollback(let origin):
            draft.record.sourceURI = origin.source.place(origin.path)
            record.rollbackUID = origin.runUID
        }
        draft.record.inPlace = record
        draft.record.targetUID = unit.uid
        draft.record.claimUID = snapshot.claim.value?.metadata.uid
        draft.record.originalReplicas = unit.replicas
        draft.record.pinnedBackup = plan.pinned
        draft.record.recoveryTimeline = plan.timeline
        draft.record.targetTimeline = plan.targetTimeline
        let warnings = (plan.status.warnings ?? []).map(\.message).joined(separator: "; ")
        let what = plan.pinned.map { "base backup \($0.name)" } ?? (plan.status.recoveryTarget ?? "")
        draft.set(
            RunCondition.planned, .yes, "Planned",
            "replaces the data of \(input.request.service) with \(what)" + (warnings.isEmpty ? "" : "; \(warnings)"))
        draft.set(RunCondition.approved, .unknown, "Pending", "not looked at yet")
        draft.set(RunCondition.locked, .no, "NotYet", "nothing is held while a run waits")
        draft.working("Planned", "planned; waiting for the ledger's row")
        return withRecord(Decision(status: draft.status), snapshot, draft.status)
    }

    static func absent(_ kind: String, _ name: String, _ namespace: String, _ reason: String) -> PlanFinding {
        PlanFinding(
            reason: reason,
            message: "\(kind) \(name) does not exist in namespace \(namespace); create it, and the run goes on")
    }

    private static func notAllowedInPlace(_ access: RepositoryAccess, _ unit: ServiceUnit) -> PlanFinding {
        let allowed = access.allowedImages.isEmpty ? "none" : access.allowedImages.joined(separator: ", ")
        return PlanFinding(
            reason: "ImageNotAllowed",
            message: "StatefulSet \(unit.statefulSet): image \(unit.image) may not run with the credentials of "
                + "BackupRepository \(access.name) (allowed: \(allowed)); add it to that repository's spec.allowedImages"
        )
    }
}
