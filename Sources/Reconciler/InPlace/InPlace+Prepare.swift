// SPDX-License-Identifier: Apache-2.0

import Resources

// In place, Pending/Prepare: everything that can be known before anything of the service is touched.

extension RestoreRunBehavior {
    static func lookInPlace(
        _ snapshot: RestoreRunSnapshot, _ view: InPlaceView, _ request: InPlaceRequest, at now: Timestamp
    ) -> WorldView {
        switch places(snapshot, view, request) {
        case .not(let world): world
        case .found(let place): lookAtVolume(snapshot, view, request, place, at: now)
        }
    }

    private static func lookAtVolume(
        _ snapshot: RestoreRunSnapshot, _ view: InPlaceView, _ request: InPlaceRequest, _ place: ServicePlace,
        at now: Timestamp
    ) -> WorldView {
        let unit = place.unit
        let jobs = PostgresInPlaceJobs(
            scope: request.scope, unit: unit, image: unit.image, settings: snapshot.settings,
            owner: owner(snapshot.run))
        if let busy = busy(view, request, unit.statefulSet) { return busy }
        // Which claim it is goes into the plan.
        if snapshot.claim.isUnknown { return .reading("reading claim \(unit.claim)") }
        if snapshot.claim.isConfirmedAbsent {
            return .missing(absent("PersistentVolumeClaim", unit.claim, request.namespace, "TargetNotFound"))
        }
        if snapshot.claim.value?.metadata.isDeleting == true {
            return .refused([
                PlanFinding(
                    reason: "TargetDeleted",
                    message: "PersistentVolumeClaim \(unit.claim) is being deleted: no Job can mount it any more")
            ])
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
        let inspect = job(.inspect, { jobs.inspect($0) }) { facts in
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
        case .success(nil): return .reading("reading the run to roll back")
        case .success(let found?): origin = found
        }
        return .seenInPlace(
            InPlaceInput(
                request: request.resolved(view.discovered), unit: unit, inspection: inspection, origin: origin,
                checks: place.service.spec?.protection?.verification ?? [], now: now))
    }

    /// While another run works on the service there is nothing to be seen of it that will still be so afterwards.
    private static func busy(_ view: InPlaceView, _ request: InPlaceRequest, _ workload: String) -> WorldView? {
        guard let lock = view.lock else { return nil }
        switch lock.isHeld(against: request.runUID, view.holder) {
        case nil: return .reading("reading RestoreRun \(lock.runName)")
        case false?: return nil
        case true?:
            let finding = lock.finding(workload)
            return request.waitsWhenBusy ? .busy(finding) : .refused([finding])
        }
    }

    /// - Returns: `nil` while something is being read.
    static func origin(
        _ view: InPlaceView, _ request: InPlaceRequest, _ place: ServicePlace, _ scan: ScanResult?
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
        record.systemIdentifier = input.inspection.systemIdentifier
        record.timeline = input.inspection.timeline
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
        let checks = input.wantedChecks
        draft.record.checks = checks.isEmpty ? nil : checks
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
}
