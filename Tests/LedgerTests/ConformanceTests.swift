// SPDX-License-Identifier: Apache-2.0

import Postgres
import Resources
import Seams
import TestSupport
import Testing

@testable import Ledger

/// The model against the real ledger: the same generated calls, the same answers.
@Suite(.enabled(if: TestDatabase.isAvailable)) struct ConformanceTests {
    /// SplitMix64: the same numbers for the same seed everywhere.
    struct Numbers: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var mixed = state
            mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
            return mixed ^ (mixed >> 31)
        }

        mutating func pick<Value>(_ values: [Value]) -> Value { values[Int(next() % UInt64(values.count))] }

        mutating func chance(_ percent: UInt64) -> Bool { next() % 100 < percent }
    }

    /// 4 x 600 calls: inserts, changes, no changes, epochs, the unique indexes, the triggers, CHECKs and the audit.
    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func sameCallsSameAnswers(_ seed: UInt64) async throws {
        let database = try TestDatabase()
        let store = ModelLedgerStore()
        var numbers = Numbers(state: seed)
        let real = try ["a", "b"].map { try database.ledger($0) }
        let model = ["a", "b"].map { ModelLedger(store: store, clusterUID: $0) }
        var codes: Set<String> = []
        var repeated = 0
        for step in 0..<600 {
            let cluster = numbers.chance(80) ? 0 : 1
            let entry = Self.entry(&numbers)
            let epoch = Int64(step / 100) + (numbers.chance(10) ? -1 : 1)
            let isLost = numbers.chance(8)
            let expected = await Self.answer(model[cluster], entry, epoch, isLost: isLost)
            let actual = await Self.answer(real[cluster], entry, epoch, isLost: isLost)
            repeated += expected.row?.repeats == nil ? 0 : 1
            codes.insert(expected.code)
            guard expected == actual else {
                Issue.record("step \(step): \(entry) at \(epoch): model \(expected), PostgreSQL \(actual)")
                return
            }
        }
        #expect(codes.isSuperset(of: ["ok", "busy", "terminalRow", "fenced", "invalid"]), "\(codes)")
        #expect(repeated > 5, "\(repeated)")
        #expect(try await Self.audited(database) == Self.audited(store))
        #expect(try await database.sql("SELECT 1 FROM reprise.audit_breaks").isEmpty)
    }

    private struct Reply: Equatable {
        var code: String
        var row: LedgerRow?
        var hasAudit = false
        var open: [String] = []
    }

    private static func answer(
        _ ledger: any RunLedger, _ entry: LedgerEntry, _ epoch: Int64, isLost: Bool
    ) async -> Reply {
        var code = "ok"
        do {
            if isLost {
                try await ledger.presumeInterrupted(uid: entry.runUID, at: dawn, epoch: epoch)
            } else {
                _ = try await ledger.record(entry, epoch: epoch)
            }
        } catch {
            code = (error as? LedgerError)?.code.rawValue ?? "\(error)"
        }
        // Read back: what was answered and what is there are the same; a refusal has changed nothing.
        var row = try? await ledger.run(uid: entry.runUID)
        let hasAudit = row?.auditHead != nil
        row?.auditHead = nil
        row?.id = ""
        row?.repeats?.id = ""
        let open = (try? await ledger.unfinished(beyond: 0)) ?? []
        return Reply(code: code, row: row, hasAudit: hasAudit, open: open.map { "\($0.runUID) \($0.name)" })
    }

    /// Who did what in which attempt, of all runs.
    private static func audited(_ store: ModelLedgerStore) -> [String] {
        store.runs.flatMap { key, _ in
            store.audit(key).map { "\(key.cluster)/\(key.run)/\($0.operation.rawValue)/\($0.attempt)" }
        }.sorted()
    }

    private static func audited(_ database: TestDatabase) async throws -> [String] {
        try await database.sql(
            "SELECT cluster_uid || '/' || run_uid || '/' || operation || '/' || attempt AS x FROM reprise.restore_audit"
        ).compactMap { try $0.value("x") }.sorted()
    }

    private static func entry(_ numbers: inout Numbers) -> LedgerEntry {
        let uid = "run-\(numbers.next() % 40)"
        // A run is of one kind for all its life, mostly.
        let isInPlace = uid.hashValueForTests.isMultiple(of: 2) != numbers.chance(2)
        let states =
            Array(repeating: "running", count: 14) + Array(repeating: "pending", count: 4)
            + ["completed", "failed", "cancelled", "interrupted", "interrupted"]
        var entry = cloneEntry(
            uid, status: numbers.pick(states), phase: numbers.pick(["prepare", "restore", "verify"]))
        if isInPlace { entry.mode = "in_place" }
        entry.destructive = isInPlace
        entry.toNewService = !isInPlace
        entry.targetUID = numbers.chance(80) ? numbers.pick(["sts-1", "sts-2"]) : nil
        entry.targetServiceName = numbers.chance(90) ? numbers.pick(["orders", "users", "mail"]) : nil
        entry.inferred = entry.status == "interrupted" && numbers.chance(70) || numbers.chance(1)
        entry.sourceBackup = numbers.chance(50) ? numbers.pick(["b1", "b2"]) : nil
        entry.bytesRestored = numbers.chance(50) ? Int64(numbers.next() % 3) : nil
        entry.attempt = Int(numbers.next() % 3) + (numbers.chance(98) ? 1 : 0)
        entry.specDigest = "digest-\(uid.hashValueForTests % 3)"
        if numbers.chance(50) { entry.finishedAt = dawn.adding(seconds: Int64(numbers.next() % 5)) }
        if numbers.chance(2) { entry.phase = "nonsense" }
        if numbers.chance(20) { entry.audit = [audit(numbers.pick([.accepted, .started, .finished]))] }
        return entry
    }
}

extension String {
    /// A small number that is the same in every process.
    fileprivate var hashValueForTests: Int { utf8.reduce(0) { $0 + Int($1) } }
}
