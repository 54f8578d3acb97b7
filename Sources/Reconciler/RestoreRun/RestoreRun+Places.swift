// SPDX-License-Identifier: Apache-2.0

import Resources

// Where a run reads and writes: the repositories that its spec names, read and checked.

/// What became of looking for them.
enum Repositories {
    /// The source's repository, the archive's path in it, and the repository of the new service's own archive.
    case found(RepositoryAccess, path: String, RepositoryAccess?)
    case not(WorldView)
}

extension RestoreRunBehavior {
    /// The source that the request names, the repositories, and what is wrong with them. For a run and for a preview.
    static func lookAtPlaces(_ snapshot: RestoreRunSnapshot, _ request: RunRequest) -> Repositories {
        if let name = request.sourceServiceName {
            switch snapshot.sourceService {
            case .unknown: return .not(.reading("reading ManagedService \(name)"))
            case .absent: return .not(.missing(notFound("ManagedService", name, request, "ServiceNotFound")))
            case .present(let service):
                if let other = otherEngine(service, "spec.source.service", snapshot.run) {
                    return .not(.refused([other]))
                }
            }
        }
        if let name = request.sourceBackupName, let view = lookAtBackup(snapshot, request, name) { return .not(view) }
        guard let source = resolvedSource(snapshot) else { return .not(.refused([noArchive(request)])) }
        return lookAtRepositories(snapshot, request, source)
    }

    /// What speaks against the ServiceBackup; `nil` when it says where it is. Whether its backup is there still, the archive
    /// itself is asked.
    private static func lookAtBackup(
        _ snapshot: RestoreRunSnapshot, _ request: RunRequest, _ name: String
    ) -> WorldView? {
        if snapshot.record.discovered == nil {
            if let problem = problem(of: snapshot.sourceBackup, name, request.namespace) { return problem }
        }
        guard let major = discovered(snapshot)?.major, major != request.major else { return nil }
        return .refused([
            PlanFinding(
                reason: "MajorMismatch",
                message:
                    "spec.target.newService.major \(request.major): ServiceBackup \(name) is of major version \(major); "
                    + "use an image of that major version")
        ])
    }

    /// What speaks against a ServiceBackup, for any way of restoring.
    static func problem(of found: Observed<ServiceBackup>, _ name: String, _ namespace: String) -> WorldView? {
        switch found {
        case .unknown: return .reading("reading ServiceBackup \(name)")
        case .absent: return .missing(absent("ServiceBackup", name, namespace, "BackupNotFound"))
        case .present(let backup):
            if backup.spec?.service != nil, backup.spec?.discovered == nil {
                return .refused([
                    RunRequest.unsupported(
                        "spec.source.backup",
                        "ServiceBackup \(name) is none that was found in a repository, and others "
                            + "are not available in this version")
                ])
            }
            let wrong = validate(backup.spec)
            guard !wrong.isEmpty else { return nil }
            return .refused(
                wrong.map { finding in
                    let message = "spec.source.backup: ServiceBackup \(name): \(finding.message)"
                    return PlanFinding(reason: finding.reason, message: message)
                })
        }
    }

    private static func lookAtRepositories(
        _ snapshot: RestoreRunSnapshot, _ request: RunRequest, _ source: RunRequest.Source
    ) -> Repositories {
        var findings: [PlanFinding] = []
        var access: [RepositoryAccess] = []
        var wanted = [(snapshot.sourceRepository, snapshot.sourceFindings, source.repository, "spec.source")]
        if let own = request.archive {
            let field = "spec.target.newService.archive"
            wanted.append((snapshot.archiveRepository, snapshot.archiveFindings, own.repository, field))
        }
        for (observed, checked, name, field) in wanted {
            switch observed {
            case .unknown: return .not(.reading("reading BackupRepository \(name)"))
            case .absent: return .not(.missing(notFound("BackupRepository", name, request, "RepositoryNotFound")))
            case .present(let repository):
                let wrong =
                    checked ?? validate(repository.spec, allowLoopback: snapshot.settings.allowLoopbackEndpoints)
                findings += wrong.map {
                    PlanFinding(reason: $0.reason, message: "\(field): BackupRepository \(name): \($0.message)")
                }
                findings += unavailable(repository, field)
                guard let read = RepositoryAccess(repository) else {
                    findings.append(incomplete(repository, field))
                    continue
                }
                if !read.allows(request.image) { findings.append(notAllowed(read, request.image)) }
                access.append(read)
            }
        }
        guard findings.isEmpty, let first = access.first else { return .not(.refused(findings)) }
        let own = access.count == 2 ? access[1] : nil
        return place(request, source, first, own)
    }

    private static func place(
        _ request: RunRequest, _ source: RunRequest.Source, _ access: RepositoryAccess, _ own: RepositoryAccess?
    ) -> Repositories {
        guard let path = access.path(of: source) else { return .not(.refused([outside(source, access)])) }
        if case .location(let uri) = source.place, let major = uri.major, major != request.major {
            return .not(
                .refused([
                    PlanFinding(
                        reason: "MajorMismatch",
                        message: "spec.target.newService.major \(request.major): spec.source.location.uri is of major "
                            + "version \(major); use an image of that major version")
                ]))
        }
        if let own, let archive = request.archive, access.overlaps(path, with: own, archive.path) {
            return .not(.refused([overlap(access.uri(path), own.uri(archive.path))]))
        }
        return .found(access, path: path, own)
    }

    static func outside(_ source: RunRequest.Source, _ access: RepositoryAccess) -> PlanFinding {
        var uri = ""
        if case .location(let location) = source.place { uri = "s3://\(location.bucket)/\(location.archive)" }
        return PlanFinding(
            reason: "LocationOutsideRepository",
            message:
                "spec.source.location.uri: \(uri) is not below \(access.uri("")) of BackupRepository \(access.name); "
                + "name the repository whose bucket and prefix it lies in")
    }
}
