// SPDX-License-Identifier: Apache-2.0

import JSON
package import Resources

/// Brings spooled outcomes into the ledger when it is back, and then removes them.
///
/// A run that ended while the ledger was away left its row in a ConfigMap of the controller's own namespace, so that its
/// deletion never waits for the ledger and nothing is lost. One that began without the ledger (`ledger: BestEffort`)
/// left there that it runs. What the run itself writes is later than that: such an entry is only brought in when the run
/// is gone, as that of an interrupted one, and goes when the ledger has the run under way.
package enum SpoolBehavior: Behavior {
    package typealias Object = ConfigMap
    package typealias Status = NoStatus

    /// The key that holds the entry's JSON.
    package static let key = "entry.json"

    package struct Snapshot: Equatable, Sendable {
        package var configMap: ConfigMap
        package var entry: LedgerEntry?
        package var ledger: Observed<LedgerAnswer>
        /// The run of an entry that is no outcome.
        package var run: Observed<RestoreRun> = .unknown
    }

    package static func status(of object: ConfigMap) -> NoStatus? { nil }
    package static func notices(from old: NoStatus?, to new: NoStatus) -> [Notice] { [] }

    package static func observe(_ object: ConfigMap, through reader: inout some Reader) -> Snapshot {
        let isSpool =
            object.metadata.labels?[Label.spool] == "true" && !object.metadata.isDeleting
            && object.metadata.namespace == reader.settings.controllerNamespace
        guard isSpool, let entry = entry(in: object) else {
            return Snapshot(configMap: object, entry: nil, ledger: .unknown)
        }
        var snapshot = Snapshot(configMap: object, entry: entry, ledger: reader.ledger(.run(uid: entry.runUID)))
        if !LedgerWords.isTerminal(entry.status) {
            snapshot.run = RestoreRunBehavior.confirming(RestoreRun.self, entry.namespace, entry.name, &reader)
        }
        return snapshot
    }

    package static func decide(_ snapshot: Snapshot, at now: Timestamp) -> Decision<NoStatus> {
        guard let entry = snapshot.entry else { return Decision() }
        let isOutcome = LedgerWords.isTerminal(entry.status)
        switch snapshot.ledger {
        case .unknown, .present(.unavailable): return Decision()
        case .absent: break
        case .present(.run(let row)):
            let isOvertaken =
                isOutcome
                ? row.isTerminal && (row.status == entry.status || !row.inferred)
                : row.status != LedgerWords.state(.pending)
            if isOvertaken { return Decision(effects: [.delete(snapshot.configMap.seen)]) }
        }
        if isOutcome { return Decision(effects: [.record(entry)]) }
        // Of one that began and is gone nobody knows what has become.
        return isRunGone(snapshot, entry)
            ? Decision(effects: [.record(LostRun.presumed(entry, at: now.wholeSecond))]) : Decision()
    }

    /// Nobody will write the row of this entry any more.
    private static func isRunGone(_ snapshot: Snapshot, _ entry: LedgerEntry) -> Bool {
        switch snapshot.run {
        case .unknown, .absent(confirmed: false): false
        case .absent(confirmed: true): true
        case .present(let run): run.metadata.uid != entry.runUID
        }
    }

    /// What a ConfigMap keeps; `nil` when that can't be read.
    package static func entry(in map: ConfigMap) -> LedgerEntry? {
        map.data?[key].flatMap { try? JSON.decode(LedgerEntry.self, from: Array($0.utf8)) }
    }

    /// The ConfigMap that keeps an entry.
    package static func manifest(_ entry: LedgerEntry, in namespace: String) throws -> ConfigMapManifest {
        let text = String(decoding: try JSON.encode(entry), as: UTF8.self)
        return ConfigMapManifest(
            metadata: ManifestMeta(
                name: spoolName(runUID: entry.runUID), namespace: namespace,
                labels: [
                    Label.managedBy: Label.managedByValue, Label.spool: "true", Label.runUID: entry.runUID,
                ]),
            data: [key: text])
    }
}
