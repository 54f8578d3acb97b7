// SPDX-License-Identifier: Apache-2.0

import Catalog
import Resources

/// What a running step works with: the service's objects and the Jobs, built from the request and the repositories.
struct Workplace {
    let request: RunRequest
    let service: PostgresService
    let jobs: PostgresJobs
    let pinned: PinnedBackup

    enum Finding {
        case found(Workplace)
        case missing(PlanFinding)
        /// A repository leads elsewhere than it did when the run was planned.
        case changed(PlanFinding)
    }

    static func find(_ snapshot: RestoreRunSnapshot, _ request: RunRequest) -> Finding {
        guard let source = RestoreRunBehavior.resolvedSource(snapshot) else {
            if let name = request.sourceBackupName {
                return .missing(RestoreRunBehavior.notFound("ServiceBackup", name, request, "BackupNotFound"))
            }
            return .missing(
                RestoreRunBehavior.notFound(
                    "ManagedService", request.sourceServiceName ?? "", request, "ServiceNotFound"))
        }
        guard let access = snapshot.sourceRepository.value.flatMap(RepositoryAccess.init) else {
            return .missing(
                RestoreRunBehavior.notFound("BackupRepository", source.repository, request, "RepositoryNotFound"))
        }
        var archive: RepositoryAccess?
        if let own = request.archive {
            archive = snapshot.archiveRepository.value.flatMap(RepositoryAccess.init)
            if archive == nil {
                return .missing(
                    RestoreRunBehavior.notFound("BackupRepository", own.repository, request, "RepositoryNotFound"))
            }
        }
        guard let pinned = snapshot.record.pinnedBackup else {
            return .missing(
                PlanFinding(reason: "NoPin", message: "status.restore.pinnedBackup is gone: somebody edited the status")
            )
        }
        let jobs = PostgresJobs(
            request: request, settings: snapshot.settings, owner: RestoreRunBehavior.owner(snapshot.run))
        guard let path = access.path(of: source) else {
            return .missing(
                PlanFinding(
                    reason: "LocationOutsideRepository",
                    message: "BackupRepository \(source.repository) was changed: the source is not below it any more"))
        }
        let record = snapshot.record
        if let planned = record.sourceURI, planned != access.place(path) {
            return .changed(changed(source.repository, "spec.source", planned, access.place(path)))
        }
        if let planned = record.archiveURI, let archive, let own = request.archive, planned != archive.place(own.path) {
            return .changed(
                changed(
                    own.repository, "spec.target.newService.archive", planned, archive.place(own.path)))
        }
        var service = PostgresService(request: request, source: access, sourcePath: path, archive: archive)
        service.restore = restore(snapshot, request, pinned)
        return .found(Workplace(request: request, service: service, jobs: jobs, pinned: pinned))
    }

    private static func changed(_ name: String, _ field: String, _ planned: String, _ now: String) -> PlanFinding {
        PlanFinding(
            reason: "RepositoryChanged",
            message:
                "\(field): BackupRepository \(name) was edited: the run was planned for \(planned), and it now leads "
                + "to \(now). Start a new run")
    }

    /// How the service restores itself, as the plan says.
    private static func restore(
        _ snapshot: RestoreRunSnapshot, _ request: RunRequest, _ pinned: PinnedBackup
    ) -> ServiceRestore {
        guard snapshot.status.plan?.path == RestorePath.initContainer.rawValue else {
            if case .time(let moment) = request.recovery.moment { return .entrypoint(targetTime: moment) }
            return .entrypoint(targetTime: nil)
        }
        let (kind, target) = settings(request.recovery.moment)
        return .initContainer(
            InitRestore(
                backup: pinned.name, startLSN: pinned.startLSN, bytes: pinned.bytes, targetKind: kind, target: target,
                inclusive: request.isInclusive, timeline: snapshot.record.recoveryTimeline ?? pinned.timeline,
                targetTimeline: snapshot.record.targetTimeline,
                deadlineSeconds: RestoreRunBehavior.seconds(snapshot.run.spec?.deadlines?.restore) ?? 6 * 3_600))
    }

    static func settings(_ moment: RecoveryRequest.Moment) -> (kind: String, target: String) {
        switch moment {
        case .latest: ("latest", "")
        case .backupEnd: ("immediate", "")
        case .time(let time): ("time", time.postgres)
        case .lsn(let lsn): ("lsn", "\(lsn)")
        case .xid(let xid): ("xid", xid)
        case .name(let name): ("name", name)
        }
    }
}
