// SPDX-License-Identifier: Apache-2.0

package import Resources

/// Says of a service what can be restored, and to which moments: from its engine, and from what its BackupRepository knows
/// of its archive. It changes nothing but its own status.
package enum ManagedServiceBehavior: Behavior {
    package typealias Object = ManagedService
    package typealias Status = ManagedServiceStatus

    package struct Snapshot: Equatable, Sendable {
        package var service: ManagedService
        /// `nil` when the service has no archive, or its spec is refused.
        package var repository: Observed<BackupRepository>?
        /// Those that replace its data, have done so, or want to.
        package var runs: Observed<[RestoreRun]>

        package init(
            service: ManagedService, repository: Observed<BackupRepository>?, runs: Observed<[RestoreRun]> = .unknown
        ) {
            self.service = service
            self.repository = repository
            self.runs = runs
        }
    }

    package static func observe(_ service: ManagedService, through reader: inout some Reader) -> Snapshot {
        guard !service.metadata.isDeleting, validate(service.spec).isEmpty else {
            return Snapshot(service: service, repository: nil)
        }
        let space = service.metadata.namespace ?? ""
        let runs = reader.objects(
            RestoreRun.self, space, labelled: RestoreRun.targetIndex, service.metadata.name)
        var repository: Observed<BackupRepository>?
        if let name = service.spec?.archive?.repository?.name {
            repository = reader.object(BackupRepository.self, space, name)
        }
        return Snapshot(service: service, repository: repository, runs: runs)
    }

    package static func decide(_ snapshot: Snapshot, at now: Timestamp) -> Decision<ManagedServiceStatus> {
        let service = snapshot.service
        guard !service.metadata.isDeleting else { return Decision() }
        var draft = Draft(service, at: now)
        let findings = validate(service.spec)
        guard findings.isEmpty, let engine = service.spec?.engine?.known else {
            draft.status.restoreCapabilities = nil
            draft.status.suggestedNewServiceName = nil
            let message = findings.map(\.message).joined(separator: "; ")
            draft.judge(.no, findings.first?.reason ?? "InvalidSpec", message, .stalled)
            return Decision(status: draft.status)
        }
        if snapshot.repository?.isUnknown == true { return Decision() }
        guard let runs = snapshot.runs.value else { return Decision() }
        draft.status.activeOperation = activeOperation(runs)
        let description = EngineDescription.of(engine)
        let hasArchive = service.spec?.archive != nil
        var capabilities = ManagedServiceStatus.RestoreCapabilities(
            restoreInPlace: description.offers(.inPlace, hasArchive: hasArchive),
            restoreToNewService: description.offers(.newService, hasArchive: hasArchive),
            pitr: description.offers(.pointInTime, hasArchive: hasArchive))
        let line = judge(snapshot, &draft)
        announce(runs, &draft)
        if capabilities.pitr == true {
            capabilities.earliestPitrTime = line?.earliest
            capabilities.latestPitrTime = line?.latestCertain
            capabilities.latestPitrTimeEstimated = line?.latestEstimated
        }
        draft.status.restoreCapabilities = capabilities
        let moment = line?.latestCertain ?? service.metadata.creationTimestamp ?? now
        draft.status.suggestedNewServiceName =
            capabilities.restoreToNewService == true
            ? SuggestedName.make(source: service.metadata.name, moment: moment) : nil
        return Decision(status: draft.status)
    }

    /// The run that works on the service, or the first of those that wait for it.
    private static func activeOperation(_ runs: [RestoreRun]) -> ManagedServiceStatus.ActiveOperation? {
        let open = runs.filter { !($0.status?.state?.known?.isTerminal ?? false) }
        func age(_ run: RestoreRun) -> Timestamp { run.metadata.creationTimestamp ?? Timestamp(seconds: 0) }
        guard
            let run = open.first(where: { $0.status?.state?.known == .running }) ?? open.min(by: { age($0) < age($1) })
        else { return nil }
        return ManagedServiceStatus.ActiveOperation(
            kind: RestoreRun.resourceKind.kind, name: run.metadata.name, uid: run.metadata.uid,
            phase: run.status?.phase?.text ?? RunPhase.prepare.rawValue)
    }

    /// A service whose data is being replaced does not serve, whatever can be restored of it.
    private static func announce(_ runs: [RestoreRun], _ draft: inout Draft) {
        guard let run = runs.first(where: { $0.status?.state?.known == .running }) else { return }
        draft.judge(
            .no, "BeingRestored",
            "RestoreRun \(run.metadata.name) replaces its data: it is down until that has ended", .working)
    }

    /// Sets the conditions.
    /// - Returns: The repository's line of the service's archive.
    private static func judge(
        _ snapshot: Snapshot, _ draft: inout Draft
    ) -> BackupRepositoryStatus.ArchiveSummary? {
        let spec = snapshot.service.spec
        guard let archive = spec?.archive, let name = archive.repository?.name, let path = archive.path else {
            draft.judge(.yes, "NoArchive", "the service has no archive", .settled)
            return nil
        }
        guard let repository = snapshot.repository?.value else {
            draft.judge(
                .no, "RepositoryNotFound",
                "spec.archive.repository: there is no BackupRepository \(name) in this namespace; create it", .stalled)
            return nil
        }
        let ready = repository.status?.conditions?.condition("Ready")
        guard let status = repository.status, let archives = status.archives else {
            let why = ready.map { ": \($0.message)" } ?? ""
            draft.judge(
                .no, "CatalogPending", "BackupRepository \(name) has not been looked through yet\(why)", .working)
            return nil
        }
        let wanted = RepositoryAccess.trimmed(path)
        // Without a major version, the newest one that archives there.
        let line = archives.filter { line in
            line.path == wanted && (spec?.major == nil || line.major == spec?.major)
        }.max { ($0.major ?? 0) < ($1.major ?? 0) }
        guard let line else {
            let version = spec?.major.map { " at version \($0)" } ?? ""
            let more =
                status.truncated == true ? "; it shows only some of its archives: raise spec.scan.maxArchives" : ""
            draft.judge(
                .no, "ArchiveNotFound",
                "BackupRepository \(name) has no archive \(wanted)\(version); it is found once the first backup is there"
                    + more, .working)
            return nil
        }
        let stalled = status.conditions?.condition(RunCondition.stalled).flatMap { $0.isTrue ? $0 : nil }
        if let ready = ready.flatMap({ $0.isTrue ? nil : $0 }) ?? stalled {
            let message = "BackupRepository \(name) is not ready, so this may be out of date: \(ready.message)"
            draft.judge(.no, "RepositoryNotReady", message, .working)
        } else if line.earliest == nil {
            let problem = line.problem ?? "NoUsableBackup: no base backup in it can be used"
            draft.judge(.no, reason(of: problem), "archive \(wanted): \(problem)", .working)
        } else {
            let note = line.problem.map { "; \($0)" } ?? ""
            draft.judge(.yes, "Restorable", "archive \(wanted) of BackupRepository \(name)\(note)", .settled)
        }
        return line
    }

    /// The word before the colon of a problem.
    private static func reason(of problem: String) -> String {
        let word = problem.prefix { $0 != ":" }
        let isWord = word.count < 64 && !word.isEmpty && word.allSatisfy { $0.isASCII && $0.isLetter }
        return isWord ? String(word) : "ArchiveProblem"
    }

    package static func notices(from old: ManagedServiceStatus?, to new: ManagedServiceStatus) -> [Notice] {
        guard let ready = new.conditions?.condition("Ready") else { return [] }
        let before = old?.conditions?.condition("Ready")
        guard before?.status != ready.status || before?.reason != ready.reason else { return [] }
        return [Notice(isWarning: !ready.isTrue, reason: ready.reason, message: ready.message)]
    }

    /// A service's status being written in one pass.
    private struct Draft {
        enum Outlook { case settled, working, stalled }

        var status: ManagedServiceStatus
        let generation: Int64?
        let now: Timestamp

        init(_ service: ManagedService, at now: Timestamp) {
            status = service.status ?? ManagedServiceStatus()
            generation = service.metadata.generation
            self.now = now
            status.observedGeneration = generation
            status.activeOperation = nil
        }

        mutating func judge(_ ready: ConditionStatus, _ reason: String, _ message: String, _ outlook: Outlook) {
            var conditions = status.conditions ?? []
            conditions.set("Ready", ready, reason, message, generation: generation, at: now)
            conditions.set(
                RunCondition.reconciling, outlook == .working ? .yes : .no, reason, message, generation: generation,
                at: now)
            conditions.set(
                RunCondition.stalled, outlook == .stalled ? .yes : .no, reason, message, generation: generation, at: now
            )
            status.conditions = conditions
        }
    }
}
