// SPDX-License-Identifier: Apache-2.0

import JSON
package import Resources

/// Brings spooled outcomes into the ledger when it is back, and then removes them.
///
/// A run that ended while the ledger was away left its row in a ConfigMap of the controller's own namespace, so that its
/// deletion never waits for the ledger and nothing is lost.
package enum SpoolBehavior: Behavior {
    package typealias Object = ConfigMap
    package typealias Status = NoStatus

    /// The key that holds the entry's JSON.
    package static let key = "entry.json"

    package struct Snapshot: Equatable, Sendable {
        package var configMap: ConfigMap
        package var entry: LedgerEntry?
        package var ledger: Observed<LedgerAnswer>
    }

    package static func status(of object: ConfigMap) -> NoStatus? { nil }
    package static func notices(from old: NoStatus?, to new: NoStatus) -> [Notice] { [] }

    package static func observe(_ object: ConfigMap, through reader: inout some Reader) -> Snapshot {
        let isSpool =
            object.metadata.labels?[Label.spool] == "true" && !object.metadata.isDeleting
            && object.metadata.namespace == reader.settings.controllerNamespace
        guard isSpool, let text = object.data?[key],
            let entry = try? JSON.decode(LedgerEntry.self, from: Array(text.utf8))
        else { return Snapshot(configMap: object, entry: nil, ledger: .unknown) }
        return Snapshot(configMap: object, entry: entry, ledger: reader.ledger(.run(uid: entry.runUID)))
    }

    package static func decide(_ snapshot: Snapshot, at now: Timestamp) -> Decision<NoStatus> {
        guard let entry = snapshot.entry else { return Decision() }
        switch snapshot.ledger {
        case .unknown, .present(.unavailable): return Decision()
        case .absent: return Decision(effects: [.record(entry)])
        case .present(.run(let row)):
            guard row.isTerminal, row.status == entry.status || !row.inferred else {
                return Decision(effects: [.record(entry)])
            }
            return Decision(effects: [.delete(snapshot.configMap.seen)])
        }
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
