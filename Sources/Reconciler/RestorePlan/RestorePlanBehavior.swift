// SPDX-License-Identifier: Apache-2.0

package import Resources

/// A preview: what a run of the same spec would do, from the catalog that the repositories have published.
///
/// It reads objects of the API and nothing else: no pod is started, no row written, no target touched. It is made by the
/// same planner as a run's plan, so an unchanged archive gives the same plan with the same hash. It is made once for each
/// generation of the spec, and waits for what it needs; a run looks at the bucket itself, and plans anew.
package enum RestorePlanBehavior: Behavior {
    package typealias Object = RestorePlan
    package typealias Status = RestorePlanStatus

    package struct Snapshot: Equatable, Sendable {
        package var plan: RestorePlan
        /// The run that it is about, as far as it is read for a plan.
        package var run: RestoreRunSnapshot
        /// The published listing of the source archive.
        package var catalog: Observed<ConfigMap>
    }

    package static let expired = "Expired"

    package static func observe(_ object: RestorePlan, through reader: inout some Reader) -> Snapshot {
        var run = RestoreRun(metadata: object.metadata, spec: object.spec?.run)
        run.metadata.annotations = nil
        var snapshot = Snapshot(
            plan: object, run: RestoreRunSnapshot(run: run, settings: reader.settings), catalog: .unknown)
        guard !isMade(object), !object.metadata.isDeleting else { return snapshot }
        if run.spec?.target?.service != nil {
            observeInPlace(&snapshot, through: &reader)
            return snapshot
        }
        let read = RunRequest.read(run)
        snapshot.run.request = read.request
        snapshot.run.findings = read.findings
        RestoreRunBehavior.observeTemplate(&snapshot.run, through: &reader)
        guard let request = snapshot.run.request else { return snapshot }
        let space = request.namespace
        RestoreRunBehavior.observeRepositories(request, &snapshot.run, &reader)
        RestoreRunBehavior.observeArchiveServices(request, &snapshot.run, &reader)
        RestoreRunBehavior.observeOccupants(request, &snapshot.run, &reader)
        if let line = sourceLine(snapshot.run, request), let name = line.configMap {
            snapshot.catalog = reader.confirmed(ConfigMap.self, space, name)
        }
        return snapshot
    }

    package static func decide(_ snapshot: Snapshot, at now: Timestamp) -> Decision<Status> {
        let plan = snapshot.plan
        if plan.metadata.isDeleting { return Decision() }
        if isMade(plan) { return grow(plan, at: now) }
        let view: WorldView
        if let inPlace = snapshot.run.inPlace, let request = inPlace.request {
            view = lookInPlace(snapshot, inPlace, request, at: now)
        } else if let request = snapshot.run.request {
            view = look(snapshot, request, at: now)
        } else if let why = RestoreRunBehavior.lookAtTemplate(snapshot.run) {
            view = why
        } else {
            return made(MadePlan(status: PlanStatus()), snapshot.run.findings, nil, snapshot, now)
        }
        switch view {
        case .refused(let findings): return made(MadePlan(status: PlanStatus()), findings, nil, snapshot, now)
        case .missing(let finding): return waiting(finding, plan, now)
        case .reading, .looking, .busy: return Decision()
        case .seen(let input):
            var made = Planner.plan(input)
            made.status.catalogAge = age(input.sourceScan, now)
            let archive = PlannedArchive(repository: input.source.name, path: input.sourcePath)
            return self.made(made, made.status.errors ?? [], archive, snapshot, now)
        case .seenInPlace(let input):
            var made = InPlacePlanner.plan(input)
            var archive: PlannedArchive?
            if case .archive(let origin) = input.origin {
                made.status.catalogAge = age(origin.scan, now)
                archive = PlannedArchive(repository: origin.source.name, path: origin.path)
            }
            return self.made(made, made.status.errors ?? [], archive, snapshot, now)
        }
    }

    // MARK: What is known

    private static func look(_ snapshot: Snapshot, _ request: RunRequest, at now: Timestamp) -> WorldView {
        let run = snapshot.run
        switch RestoreRunBehavior.lookAtPlaces(run, request) {
        case .not(let view): return view
        case .found(let access, let path, let own):
            guard RestoreRunBehavior.areOccupantsKnown(run.occupants) else { return .reading("") }
            if let occupied = RestoreRunBehavior.occupied(run.occupants, request) { return .refused([occupied]) }
            return catalog(snapshot, request, access, path, own, now)
        }
    }

    private static func catalog(
        _ snapshot: Snapshot, _ request: RunRequest, _ access: RepositoryAccess, _ path: String,
        _ own: RepositoryAccess?, _ now: Timestamp
    ) -> WorldView {
        guard let approvalAskedBy = RestoreRunBehavior.approvalAskedBy(snapshot.run) else {
            return .reading("")
        }
        switch published(snapshot.run.sourceRepository.value, access, path, request.major, snapshot.catalog) {
        case .not(let view): return view
        case .scan(let scan):
            return .seen(
                PlanInput(
                    request: request, source: access, sourcePath: path, sourceScan: scan, archive: own,
                    archiveScan: ownArchive(snapshot, request), now: now,
                    approvalAskedBy: approvalAskedBy))
        }
    }

    enum Published {
        case scan(ScanResult)
        case not(WorldView)
    }

    /// What a repository has published of one archive, as if a run had just looked at it.
    static func published(
        _ repository: BackupRepository?, _ access: RepositoryAccess, _ path: String, _ major: Int?,
        _ catalog: Observed<ConfigMap>
    ) -> Published {
        guard let status = repository?.status, status.lastScan?.time != nil else {
            let ready = repository?.status?.conditions?.condition("Ready")
            let why = ready.map { ": \($0.message)" } ?? ""
            return .not(
                .missing(
                    PlanFinding(
                        reason: "CatalogPending",
                        message: "BackupRepository \(access.name) has not been looked at yet\(why)")))
        }
        var scan = ScanResult(attempt: "", code: "OK")
        let lines = (status.archives ?? []).filter { ($0.path ?? "") == RepositoryAccess.trimmed(path) }
        scan.majors = lines.compactMap(\.major).sorted()
        let line = lines.first { $0.major == major }
        if let line, line.configMap != nil {
            switch catalog {
            case .unknown: return .not(.reading(""))
            case .absent:
                let words = "the catalog of \(access.uri(path)) is being written"
                return .not(.missing(PlanFinding(reason: "CatalogPending", message: words)))
            case .present(let map): scan.listing = PublishedCatalog.listing(in: map)
            }
        } else if let problem = line?.problem {
            return .not(
                .refused([PlanFinding(reason: "ArchiveUnreadable", message: "\(access.uri(path)): \(problem)")]))
        } else if line == nil, status.truncated == true {
            return .not(
                .refused([
                    PlanFinding(
                        reason: "ArchiveNotListed",
                        message: "BackupRepository \(access.name) has more archives than its spec.scan.maxArchives, "
                            + "and \(path) is not among those listed; raise it")
                ]))
        }
        return .scan(scan)
    }

    /// What the own archive's repository has published of its path; `nil` when nothing has been.
    private static func ownArchive(_ snapshot: Snapshot, _ request: RunRequest) -> ScanResult? {
        guard let own = request.archive, let status = snapshot.run.archiveRepository.value?.status,
            status.lastScan?.time != nil
        else { return nil }
        var scan = ScanResult(attempt: "", code: "OK")
        let path = RepositoryAccess.trimmed(own.path) + "/"
        let inTheWay = (status.archives ?? []).first { line in
            let other = (line.path ?? "") + "/"
            return other.hasPrefix(path) || path.hasPrefix(other)
        }
        if let inTheWay {
            scan.objects = 1
            scan.sampleKeys = [inTheWay.path ?? ""]
        }
        return scan
    }

    static func sourceLine(
        _ run: RestoreRunSnapshot, _ request: RunRequest
    ) -> BackupRepositoryStatus.ArchiveSummary? {
        guard let repository = run.sourceRepository.value, let access = RepositoryAccess(repository),
            let source = RestoreRunBehavior.resolvedSource(run), let path = access.path(of: source)
        else { return nil }
        return repository.status?.archives?.first {
            $0.path == RepositoryAccess.trimmed(path) && $0.major == request.major
        }
    }

    private static func age(_ scan: ScanResult, _ now: Timestamp) -> String? {
        scan.listing.map { "\(max(0, now.seconds(since: $0.seenAt)))s" }
    }
}
