// SPDX-License-Identifier: Apache-2.0

import Resources

// A preview of replacing a service's data.

extension RestorePlanBehavior {
    static func observeInPlace(_ snapshot: inout Snapshot, through reader: inout some Reader) {
        let run = snapshot.run.run
        let read = InPlaceRequest.read(run)
        snapshot.run.findings = read.findings
        guard let request = read.request else { return }
        var view = InPlaceView(request)
        view.service = reader.object(ManagedService.self, request.namespace, request.service)
        if let name = view.service.value?.spec?.workload?.name {
            view.workload = reader.confirmed(ServiceWorkload.self, request.namespace, name)
        }
        RestoreRunBehavior.observeSource(request, &view, &snapshot.run, &reader)
        view.ledgerServices = LedgerTarget.observe(request, run, through: &reader)
        snapshot.run.inPlace = view
        guard case .found(let place) = RestoreRunBehavior.places(snapshot.run, view, request),
            let name = line(view, place)?.configMap
        else { return }
        snapshot.catalog = reader.confirmed(ConfigMap.self, request.namespace, name)
    }

    static func lookInPlace(
        _ snapshot: Snapshot, _ view: InPlaceView, _ request: InPlaceRequest, at now: Timestamp
    ) -> WorldView {
        let place: ServicePlace
        switch RestoreRunBehavior.places(snapshot.run, view, request) {
        case .not(let view): return view
        case .found(let found): place = found
        }
        let major = place.unit.major ?? line(view, place)?.major
        let scan: ScanResult
        switch published(view.repository.value, place.access, place.path, major, snapshot.catalog) {
        case .not(let view): return view
        case .scan(let found): scan = found
        }
        // What only the volume tells is left to the run; what people have to confirm is said, and not asked for.
        var inspection = InspectResult(attempt: "", code: "OK")
        inspection.major = major.map { "\($0)" }
        var request = request.resolved(view.discovered)
        request.confirm = place.unit.confirmation(request.service)
        request.confirmsCrossService = true
        switch RestoreRunBehavior.origin(view, request, place, scan) {
        case .failure(let refusal): return .refused([refusal.finding])
        case .success(nil): return .reading("")
        case .success(let origin?):
            return .seenInPlace(
                InPlaceInput(
                    request: request, unit: place.unit, inspection: inspection, origin: origin, checks: [], now: now,
                    isPreview: true))
        }
    }

    /// The newest version that archives there, if the service does not say which one it is.
    private static func line(_ view: InPlaceView, _ place: ServicePlace) -> BackupRepositoryStatus.ArchiveSummary? {
        (view.repository.value?.status?.archives ?? []).filter { line in
            line.path == RepositoryAccess.trimmed(place.path)
                && (place.unit.major == nil || line.major == place.unit.major)
        }.max { ($0.major ?? 0) < ($1.major ?? 0) }
    }
}
