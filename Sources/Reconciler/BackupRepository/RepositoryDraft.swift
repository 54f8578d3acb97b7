// SPDX-License-Identifier: Apache-2.0

import Resources

/// The condition that tells whether the store answered.
let reachableCondition = "Reachable"

/// A repository's status being written in one pass.
struct RepositoryDraft {
    /// The reason, and the agent's code, of a scan that tells nothing.
    static let scanFailed = "ScanFailed"

    var status: BackupRepositoryStatus
    let now: Timestamp
    private let spec: BackupRepositorySpec?
    private let generation: Int64?
    private let before: [Condition]

    init(_ repository: BackupRepository, at now: Timestamp) {
        status = repository.status ?? BackupRepositoryStatus()
        before = status.conditions ?? []
        spec = repository.spec
        generation = repository.metadata.generation
        self.now = now
        status.observedGeneration = generation
    }

    // MARK: When

    /// Somebody asked for a scan, or changed the spec, since the last one was made.
    var isAskedFor: Bool {
        guard let last = status.lastScan else { return true }
        return last.generation != generation ?? 0 || (spec?.scan?.requestID).map { $0 != last.requestID } ?? false
    }

    /// When the next scan begins.
    var due: Timestamp {
        guard !isAskedFor, let last = status.lastScan?.time else { return now }
        let interval = spec?.scan?.interval.flatMap(Durations.seconds) ?? BackupRepositoryBehavior.defaultInterval
        return last.adding(seconds: max(interval, BackupRepositoryBehavior.shortestInterval))
    }

    var wake: Wake { .at(max(due, now.adding(seconds: 1))) }

    var isFullDue: Bool {
        guard !isAskedFor, let last = status.lastScan?.fullAt else { return true }
        return now.seconds(since: last) >= BackupRepositoryBehavior.fullInterval
    }

    // MARK: What

    private mutating func set(_ type: String, _ value: ConditionStatus, _ reason: String, _ message: String) {
        var conditions = status.conditions ?? []
        conditions.set(type, value, reason, message, generation: generation, at: now)
        conditions.keepTransition(of: type, from: before)
        status.conditions = conditions
    }

    private mutating func settle(_ isStalled: Bool, _ reason: String, _ message: String) {
        set(RunCondition.reconciling, .no, reason, message)
        set(RunCondition.stalled, isStalled ? .yes : .no, reason, message)
    }

    /// A scan goes on. Says so only when somebody waits for it, or when something has held it up: the scans that come by
    /// themselves are not worth a write.
    mutating func scanning() {
        let stalled = status.conditions?.condition(RunCondition.stalled)
        let verdict = status.conditions?.condition(reachableCondition)?.reason
        let wasHindered = stalled?.isTrue == true && stalled?.reason != verdict
        guard isAskedFor || wasHindered else { return }
        let message = "the store is looked through"
        if status.lastScan == nil {
            set(reachableCondition, .unknown, "Scanning", message)
            set("Ready", .unknown, "Scanning", message)
        }
        set(RunCondition.reconciling, .yes, "Scanning", message)
        set(RunCondition.stalled, .no, "Scanning", message)
    }

    /// The spec can't be carried out.
    mutating func refused(_ reason: String, _ message: String) {
        set("Ready", .no, reason, message)
        settle(true, reason, message)
    }

    /// The scan does not come on. What the last one found stays as it is.
    mutating func hindered(_ reason: String, _ message: String) {
        if status.lastScan == nil { set("Ready", .no, reason, message) }
        set(RunCondition.reconciling, .yes, reason, message)
        set(RunCondition.stalled, .yes, reason, message)
    }

    /// What this pass is about to send was refused before.
    mutating func note(_ failure: Failure?) {
        guard let failure, failure.count > 1 || failure.disposition == .terminal else { return }
        hindered(failure.reason, "\(failure.effect): \(failure.message)")
    }

    /// A scan has ended, in whatever way.
    mutating func end(_ snapshot: BackupRepositorySnapshot, objects: Int64, seconds: Int64?) {
        var scan = status.lastScan ?? .init()
        let asked = snapshot.scan.job?.metadata.annotations
        scan.time = now.wholeSecond
        scan.duration = seconds.map { "\($0)s" }
        scan.objects = objects
        scan.sequence = snapshot.sequence
        scan.requestID = asked?[Label.scanRequestID]
        scan.generation = asked?[Label.scanGeneration].flatMap { Int64($0) }
        status.lastScan = scan
    }

    mutating func reached(
        _ result: RepositoryScanResult, _ lines: [BackupRepositoryStatus.ArchiveSummary], note: String?
    ) {
        status.archives = lines
        status.archivesTotal = result.archivesTotal
        status.truncated = result.archivesTotal > lines.count
        set(reachableCondition, .yes, "Reached", "the store answered")
        var parts = [lines.count == 1 ? "1 archive" : "\(lines.count) archives"]
        if result.archivesTotal > lines.count { parts[0] += " of \(result.archivesTotal)" }
        let broken = lines.count { $0.problem != nil }
        if broken > 0 { parts.append("\(broken) with a problem") }
        if !result.unversioned.isEmpty {
            parts.append(
                "not shown, because no major version is in their path: "
                    + result.unversioned.map { quoted($0) }.joined(separator: ", "))
        }
        if let note { parts.append("ServiceBackups are missing, because the server refuses them: \(note)") }
        let message = parts.joined(separator: "; ")
        set("Ready", .yes, "Scanned", message)
        settle(false, "Scanned", message)
        goOnIfAskedFor()
    }

    /// The store refused.
    mutating func unreachable(_ code: String, _ message: String) {
        set(reachableCondition, .no, code, message)
        set("Ready", .no, code, message)
        settle(true, code, message)
        goOnIfAskedFor()
    }

    /// No scan told anything.
    mutating func failed(_ message: String) {
        set(reachableCondition, .unknown, Self.scanFailed, message)
        set("Ready", .no, Self.scanFailed, message)
        settle(true, Self.scanFailed, message)
        goOnIfAskedFor()
    }

    /// The spec was changed while the scan went on: the next one follows at once.
    private mutating func goOnIfAskedFor() {
        if isAskedFor { set(RunCondition.reconciling, .yes, "Scanning", "the store is looked through again") }
    }
}
