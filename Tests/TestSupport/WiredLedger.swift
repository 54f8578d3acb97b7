// SPDX-License-Identifier: Apache-2.0

package import Resources
import Seams

/// `RunLedger` onto the model ledger, over the same wire.
package final class WiredLedger: RunLedger, @unchecked Sendable {
    private let wire: ModelWire
    private let port: Port
    private let ledger: ModelLedgerStore
    private let cluster: String

    package init(_ wire: ModelWire, _ port: Port, _ ledger: ModelLedgerStore, cluster: String) {
        self.wire = wire
        self.port = port
        self.ledger = ledger
        self.cluster = cluster
    }

    package func record(_ entry: LedgerEntry, epoch: Int64) async throws -> LedgerRow {
        try await call("RECORD", "ledger/\(entry.name)/\(entry.status)/\(entry.phase)") { ledger, cluster in
            try ledger.record(entry, cluster: cluster, epoch: epoch)
        }
    }

    package func run(uid: String) async throws -> LedgerRow? {
        try await call("ASK", "ledger/\(uid)") { ledger, cluster in
            try ledger.run(ModelLedgerStore.Key(cluster: cluster, run: uid))
        }
    }

    package func unfinished(beyond id: Int64) async throws -> [UnfinishedRun] {
        try await call("SEEK", "ledger/") { ledger, cluster in try ledger.unfinished(cluster, beyond: id) }
    }

    package func presumeInterrupted(uid: String, at moment: Timestamp, epoch: Int64) async throws {
        try await call("PRESUME", "ledger/\(uid)") { ledger, cluster in
            try ledger.presumeInterrupted(
                ModelLedgerStore.Key(cluster: cluster, run: uid), at: moment, epoch: epoch)
        }
    }

    private func call<Value: Sendable>(
        _ verb: String, _ target: String, _ act: @escaping (ModelLedgerStore, String) throws -> Value
    ) async throws -> Value {
        try Task.checkCancellation()
        guard !port.isSevered else { throw LedgerError(.unavailable, "the port is severed") }
        let promise = Promise<Value>()
        let (ledger, cluster) = (ledger, cluster)
        let call = wire.begin(port.incarnation, verb, target)
        wire.carry(call, on: port, into: promise) {
            Result { try act(ledger, cluster) }
        } instead: { _ in
            nil
        } summary: { [wire] value in
            (wire.keepsTrace ? "\(value)" : "", 1)
        }
        do { return try await promise.wait() } catch let error as ExchangeError {
            throw LedgerError(.unavailable, error.message)
        }
    }
}
