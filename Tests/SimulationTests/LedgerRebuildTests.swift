// SPDX-License-Identifier: Apache-2.0

import JSON
import KubeClient
import Reconciler
import Resources
import Seams
import Synchronization
import TestSupport
import Testing
import Wiring

/// What a ledger that was lost gets back from the objects.
@Suite struct LedgerRebuildTests {
    /// Answers each request with one list.
    private struct Fixed: Exchange {
        var body: [UInt8]

        func send(_ request: HTTPRequest) async throws -> HTTPResponse { HTTPResponse(status: 200, body: body) }
        func open(_ request: HTTPRequest) async throws -> any HTTPStream {
            throw ExchangeError(.invalidRequest, "nothing is watched")
        }
    }

    private static func run(_ name: String, _ state: String, status: JSONValue? = nil) -> JSONValue {
        [
            "apiVersion": "reprise.dev/v1alpha1", "kind": "RestoreRun",
            "metadata": [
                "name": .string(name), "namespace": "staging", "uid": .string("uid-\(name)"), "resourceVersion": "7",
                "creationTimestamp": "2026-05-04T08:00:00Z",
            ],
            "spec": [
                "mode": "NewService", "source": ["service": ["name": "orders"]],
                "target": ["newService": ["name": .string(name)]],
            ],
            "status": status ?? [
                "state": .string(state), "phase": state == "Completed" ? "Completed" : "Failed", "attempt": 1,
                "startedAt": "2026-05-04T08:01:00Z", "finishedAt": "2026-05-04T08:05:00Z",
            ],
        ]
    }

    private func rebuild(
        _ runs: [JSONValue], into store: ModelLedgerStore, isDryRun: Bool = false
    ) async throws -> (summary: LedgerRebuild.Summary, said: [String]) {
        let list: JSONValue = [
            "apiVersion": "reprise.dev/v1alpha1", "kind": "RestoreRunList", "metadata": ["resourceVersion": "9"],
            "items": .array(runs),
        ]
        let client = APIClient(Fixed(body: try JSON.encode(list)))
        let said = Lines()
        let ledger = ModelLedger(store: store, clusterUID: "here")
        let summary = try await LedgerRebuild(client, ledger, isDryRun: isDryRun) { said.add($0) }.run()
        return (summary, said.all)
    }

    private final class Lines: Sendable {
        private let lines = Mutex<[String]>([])
        var all: [String] { lines.withLock { $0 } }
        func add(_ line: String) { lines.withLock { $0.append(line) } }
    }

    @Test func whatHasEndedComesBackAndTheRestIsLeftToTheController() async throws {
        let store = ModelLedgerStore()
        let runs = [
            Self.run("done", "Completed"), Self.run("failed", "Failed"), Self.run("busy", "Running"),
            Self.run("new", "", status: .null), Self.run("odd", "", status: ["state": 7]),
            Self.run("later", "FromANewerVersion"),
        ]
        let dry = try await rebuild(runs, into: store, isDryRun: true)
        #expect(dry.summary.written == 2 && store.runs.isEmpty)
        let real = try await rebuild(runs, into: store)
        #expect(real.summary == LedgerRebuild.Summary(written: 2, alreadyThere: 0, stillOpen: 3, failed: 1))
        #expect(real.said.contains { $0.contains("staging/odd") && $0.contains("can't be read") })
        #expect(store.runs.map(\.key.run) == ["uid-done", "uid-failed"])
        #expect(store.runs.map(\.run.columns.status) == ["completed", "failed"])
        let key = ModelLedgerStore.Key(cluster: "here", run: "uid-done")
        #expect(store.audit(key).map(\.operation) == [.accepted, .started, .finished])
        let again = try await rebuild(runs, into: store)
        #expect(again.summary.alreadyThere == 2 && again.summary.written == 0)
    }

    @Test func aRowThatIsThereIsNotTouched() async throws {
        let store = ModelLedgerStore()
        let ledger = ModelLedger(store: store, clusterUID: "here")
        var entry = LedgerEntry(
            runUID: "uid-done", namespace: "staging", name: "done", specDigest: "d", createdAt: Timestamp(seconds: 1))
        entry.status = "running"
        _ = try await ledger.record(entry, epoch: 5)
        let real = try await rebuild([Self.run("done", "Completed")], into: store)
        #expect(real.summary.alreadyThere == 1)
        #expect(store.runs.map(\.run.columns.status) == ["running"], "its controller will say what became of it")
    }

    @Test func aLedgerThatIsAwayIsAnErrorAndNoEmptyOne() async throws {
        let store = ModelLedgerStore()
        store.setDown(true)
        await #expect(throws: LedgerError.self) { try await rebuild([Self.run("done", "Completed")], into: store) }
    }
}
