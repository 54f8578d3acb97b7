// SPDX-License-Identifier: Apache-2.0

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
    }

    static func find(_ snapshot: RestoreRunSnapshot, _ request: RunRequest) -> Finding {
        guard let source = RestoreRunBehavior.resolvedSource(snapshot) else {
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
        let service = PostgresService(
            request: request, source: access, sourcePath: source.path, archive: archive)
        return .found(Workplace(request: request, service: service, jobs: jobs, pinned: pinned))
    }
}
