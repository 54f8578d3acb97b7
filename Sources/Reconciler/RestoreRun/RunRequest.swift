// SPDX-License-Identifier: Apache-2.0

package import Catalog
package import Resources

/// A run's spec as far as this version can carry it out: every value that the rest of the code needs, present and
/// checked. Made once from the spec, so that nothing else deals with optional fields.
package struct RunRequest: Equatable, Sendable {
    package var namespace: String
    package var runName: String
    package var runUID: String
    package var service: NewService
    package var serviceName: String
    package var image: String
    package var major: Int
    package var storageSize: String
    package var profile: ImageProfile
    /// Where to restore from. `nil` until the ManagedService or the ServiceBackup that names it has been read.
    package var source: Source?
    /// The ManagedService to take the source archive from.
    package var sourceServiceName: String?
    /// The ServiceBackup to restore.
    package var sourceBackupName: String?
    /// The clone's own archive; `nil` when archiving is disabled.
    package var archive: OwnArchive?

    /// What is wanted of the source archive.
    package var recovery: RecoveryRequest
    /// `false`: just before the moment, not just after it.
    package var isInclusive = true
    /// The run that this one repeats, for what it found out.
    package var retryOf: String?
    /// Names of checks that stand on the ManagedService that is the source, or on the ServiceClone that asked for the run.
    package var checks: [String] = []
    package var amcheck = false
    /// That ServiceClone.
    package var clone: String?
    /// What `service` was made of, where it copies another one.
    package var copied: CopiedService?

    /// An archive to read from.
    package struct Source: Equatable, Sendable {
        package enum Place: Equatable, Sendable {
            /// Below the repository's prefix, without the major version.
            case path(String)
            /// A backup or an archive that nobody recorded, by its address.
            case location(BackupURI)
        }

        package var repository: String
        package var place: Place

        package init(repository: String, path: String) {
            self.repository = repository
            place = .path(path)
        }

        package init(repository: String, location: BackupURI) {
            self.repository = repository
            place = .location(location)
        }
    }

    /// An archive to write to.
    package struct OwnArchive: Equatable, Sendable {
        package var repository: String
        package var path: String
        package var schedule: String
    }

    package var scope: RunScope { RunScope(namespace: namespace, runUID: runUID) }

    package var names: ServiceNames { ServiceNames(service: serviceName, runUID: runUID) }

    package var credentialsSecret: String { service.credentials?.secretName ?? "\(serviceName)-credentials" }

    /// Where checks go that name no database, and whoever takes the connection from the service's Secret.
    package var database: String { service.database ?? "postgres" }

    package var rotatesPasswords: Bool { service.credentials?.rotate != "Never" }

    /// A Service that stands for this name already and holds no data: one that Reprise made for an earlier run.
    package func isReusable(_ service: Service) -> Bool {
        service.metadata.labels?[Label.managedBy] == Label.managedByValue
            && service.metadata.labels?[Label.service] == serviceName
    }

    /// Labels of everything that belongs to the service.
    package var labels: [String: String] {
        [
            Label.managedBy: Label.managedByValue, Label.service: serviceName, Label.runUID: runUID,
            "app.kubernetes.io/name": "postgresql", "app.kubernetes.io/instance": serviceName,
        ]
    }

    /// What the service's pods are selected by: never changes for the life of the StatefulSet.
    package var selector: [String: String] {
        [Label.managedBy: Label.managedByValue, Label.service: serviceName]
    }
}

/// The names of what a service consists of and of the Jobs that a run starts.
package struct ServiceNames: Equatable, Sendable {
    package var statefulSet: String
    package var claim: String
    package var pod: String
    package var headlessService: String
    package var clientService: String
    private let scope: RunScope

    package init(service: String, runUID: String, namespace: String = "") {
        statefulSet = service
        claim = "data-\(service)-0"
        pod = "\(service)-0"
        headlessService = "\(service)-pods"
        clientService = service
        scope = RunScope(namespace: namespace, runUID: runUID)
    }

    /// See `RunScope`.
    package func job(_ role: JobRole, _ ordinal: Int) -> String { scope.job(role, ordinal) }

    /// See `RunScope`.
    package func attemptToken(_ role: JobRole, _ ordinal: Int) -> String { scope.attemptToken(role, ordinal) }
}

extension RunRequest {
    /// The same, with what its ServiceBackup says of where it is: from here on it is as if an archive and one base backup in
    /// it had been named.
    func resolved(_ found: DiscoveredBackup?) -> RunRequest {
        guard let repository = found?.repository?.name, let path = found?.path, let name = found?.name else {
            return self
        }
        var request = self
        request.source = Source(repository: repository, path: path)
        request.recovery.backup = name
        return request
    }

    /// Reads a spec that passed validation.
    /// - Parameter copied: What the service is to be that copies another one; what the run remembers of that goes first.
    /// - Returns: findings instead when the spec asks for what this version does not do; neither when it is not known yet
    ///   what is to be copied.
    package static func read(
        _ run: RestoreRun, copied: CopiedService? = nil
    ) -> (request: RunRequest?, findings: [PlanFinding]) {
        var findings = validate(run.spec).map { PlanFinding(reason: $0.reason, message: $0.message) }
        let copied = run.status?.restore?.copied ?? copied
        guard let spec = run.spec, let service = copied?.service ?? spec.target?.newService else {
            if findings.isEmpty {
                findings.append(unsupported("spec.target", "only spec.target.newService can be restored to"))
            }
            return (nil, findings)
        }
        findings += limits(spec, service)
        if findings.isEmpty, service.templateRef != nil, copied == nil { return (nil, []) }
        guard findings.isEmpty, let name = service.name, let image = service.image, let major = service.major,
            let size = service.storage?.size, let profile = ImageProfile.named(service.imageProfile)
        else { return (nil, findings.isEmpty ? [incomplete(service)] : findings) }
        var request = RunRequest(
            namespace: run.metadata.namespace ?? "", runName: run.metadata.name, runUID: run.metadata.uid ?? "",
            service: service, serviceName: name, image: image, major: major, storageSize: size, profile: profile,
            recovery: RecoveryRequest(.latest))
        request.copied = copied
        let source = spec.source
        request.sourceServiceName = source?.service?.name
        request.sourceBackupName = source?.backup?.name
        if let archive = source?.archive, let repository = archive.repository?.name, let path = archive.path {
            request.source = Source(repository: repository, path: path)
        } else if let location = source?.location, let repository = location.repository?.name {
            guard let uri = BackupURI(location.uri ?? "") else {
                return (nil, [notWalg(location, spec.recoveryTarget)])
            }
            request.source = Source(repository: repository, location: uri)
            request.recovery.backup = uri.backup
        }
        let isBackup = request.recovery.backup != nil || request.sourceBackupName != nil
        guard let moment = moment(spec.recoveryTarget, ofBackup: isBackup) else {
            return (nil, [unsupported("spec.recoveryTarget", "this version does not know this kind of target")])
        }
        request.recovery.moment = moment
        request.recovery.line = line(spec.recoveryTarget?.timeline)
        request.isInclusive = spec.recoveryTarget?.inclusive ?? true
        request.retryOf = spec.retryOf?.name
        request.checks = spec.verification?.checks ?? []
        request.amcheck = spec.verification?.amcheck ?? false
        let owner = run.metadata.ownerReferences?.first { $0.kind == ServiceClone.resourceKind.kind }
        request.clone = owner?.name
        if let own = service.archive, !own.isDisabled, let repository = own.repository?.name, let path = own.path {
            request.archive = OwnArchive(repository: repository, path: path, schedule: own.schedule ?? "0 3 * * *")
        }
        return (request, [])
    }

    /// What the API allows and this version does not do yet: said plainly, before anything is made.
    private static func limits(_ spec: RestoreRunSpec, _ service: NewService) -> [PlanFinding] {
        var findings: [PlanFinding] = []
        if spec.mode?.known == .inPlace {
            findings.append(unsupported("spec.mode", "InPlace is not available in this version; use NewService"))
        }
        if let obstacle = EngineDescription.obstacle(to: spec, of: spec.source?.location?.engine) {
            findings.append(unsupported("spec.source.location.engine", obstacle))
        }
        let fields: [(Bool, String)] = [
            (spec.rollbackOf != nil, "spec.rollbackOf")
        ]
        for (isSet, field) in fields where isSet {
            findings.append(unsupported(field, "not available in this version; leave it out"))
        }
        if let profile = service.imageProfile, ImageProfile.named(profile) == nil {
            let known = ImageProfile.all.map(\.name).joined(separator: ", ")
            findings.append(
                unsupported(
                    "spec.target.newService.imageProfile",
                    "unknown profile \(profile.prefix(64)); "
                        + "known: \(known)"))
        }
        return findings
    }

    /// The moment that a target names. With none it is the end of the backup that was named, or else of the archive.
    static func moment(_ target: RecoveryTarget?, ofBackup: Bool) -> RecoveryRequest.Moment? {
        guard let target, let kind = target.kind else { return ofBackup ? .backupEnd : .latest }
        switch kind.known {
        case .latest: return .latest
        case .backupEnd: return .backupEnd
        case .time: return target.time.flatMap { Timestamp(rfc3339: $0) }.map { .time($0) }
        case .lsn: return target.lsn.flatMap { LSN($0) }.map { .lsn($0) }
        // PostgreSQL shows 64 bits (pg_current_xact_id) and stops at the lower 32, which is all that a commit's record has.
        case .xid: return target.xid.flatMap { UInt64($0) }.map { .xid("\(UInt32(truncatingIfNeeded: $0))") }
        case .name: return target.name.map { .name($0) }
        case nil: return nil
        }
    }

    static func line(_ timeline: String?) -> RecoveryRequest.Line {
        switch timeline {
        case nil, "Latest": .latest
        case "Current": .current
        case let number?: Int64(number).map { .timeline($0) } ?? .latest
        }
    }

    static func notWalg(_ location: BackupLocation, _ target: RecoveryTarget?) -> PlanFinding {
        let isPITR = ["Time", "Xid", "Lsn", "Name"].contains(target?.kind?.text ?? "")
        return PlanFinding(
            reason: "NotWalg",
            message: (isPITR ? "PITR requires a WAL-G backup: " : "")
                + "spec.source.location.uri \(location.uri ?? "") names no WAL-G base backup and no archive; write "
                + "s3://bucket/path/<major>/basebackups_005/base_..., or the archive's own s3://bucket/path/<major>")
    }

    private static func incomplete(_ service: NewService) -> PlanFinding {
        let missing = [
            service.name == nil ? "name" : nil, service.image == nil ? "image" : nil,
            service.major == nil ? "major" : nil, service.storage?.size == nil ? "storage.size" : nil,
        ].compactMap { $0 }.joined(separator: ", ")
        return PlanFinding(
            reason: "InvalidSpec", message: "spec.target.newService lacks \(missing): a new service needs them")
    }

    static func unsupported(_ field: String, _ message: String) -> PlanFinding {
        PlanFinding(reason: "UnsupportedMode", message: "\(field): \(message)")
    }
}
