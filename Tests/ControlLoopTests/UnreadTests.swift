// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Seams
import Testing

@testable import ControlLoop

/// Reads that are refused: whoever reads is told, and goes on being told until there is an answer.
@Suite struct UnreadTests {
    private let refusal = ReadFailure(what: "object ConfigMap a/x", message: "no right")

    private func fresh() -> (Memory, Key, Key) {
        var memory = Memory()
        let kind = memory.watch(WatchedKind(ConfigMap.self))
        _ = memory.replace([], [], at: "10", begunAt: 0, on: .kind(kind))
        return (memory, Key(kind: kind, namespace: "a", name: "asker"), Key(kind: kind, namespace: "a", name: "x"))
    }

    private func told(
        _ memory: inout Memory, _ key: Key, at version: String = "1", _ body: (inout PassReader) -> Bool
    ) -> ReadFailure? {
        var reader = PassReader(
            borrowing: &memory, for: key, at: version, now: Uptime(milliseconds: 0),
            settings: Settings(agentImage: "agent", controllerNamespace: "reprise-system"))
        #expect(body(&reader), "it is unknown")
        let told = reader.readFailure()
        reader.giveBack(to: &memory)
        return told
    }

    private func object(_ reader: inout PassReader) -> Bool { reader.confirmed(ConfigMap.self, "a", "x").isUnknown }

    /// - Returns: Whether the reader was woken.
    private func fail(_ memory: inout Memory, _ fetch: Fetch, _ refusal: ReadFailure?) -> Bool {
        _ = memory.failed(fetch, refusal)
        guard let key = memory.work.take() else { return false }
        memory.finishWork(key)
        return true
    }

    @Test func whoIsRefusedThreeTimesIsToldSoInEachVersionUntilThereIsAnAnswer() throws {
        var (memory, key, target) = fresh()
        let fetch = Fetch.confirmed(asker: key, target: target)
        #expect(told(&memory, key, object) == nil)
        for _ in 1..<ReadFailure.patience { #expect(!fail(&memory, fetch, refusal)) }
        #expect(told(&memory, key, object) == nil)
        #expect(fail(&memory, fetch, refusal), "it is woken to hear of it")
        #expect(told(&memory, key, object) == refusal)
        #expect(
            told(&memory, key, at: "2", object) == refusal, "having said so it is asked for anew, and stays refused")
        let generation = try #require(memory.answers.wanted(fetch))
        memory.confirmedArrived(key, target, generation, .absent)
        #expect(told(&memory, key, at: "2") { $0.confirmed(ConfigMap.self, "a", "x").isConfirmedAbsent } == nil)
        #expect(told(&memory, key, at: "3", object) == nil, "the count begins anew")
    }

    @Test func whatSomebodyElseHasReadIsReadForAll() {
        var (memory, key, target) = fresh()
        _ = told(&memory, key, object)
        for _ in 1...ReadFailure.patience { _ = fail(&memory, .confirmed(asker: key, target: target), refusal) }
        #expect(told(&memory, key, object) == refusal)
        memory.learned(target, .absent)
        #expect(told(&memory, key, at: "2", object) == nil)
    }

    @Test func whatPassesByItselfIsNotTold() {
        var (memory, key, target) = fresh()
        _ = told(&memory, key, object)
        for failure in [nil, nil, nil, refusal, refusal, nil, refusal, refusal] {
            #expect(!fail(&memory, .confirmed(asker: key, target: target), failure))
        }
        #expect(told(&memory, key, object) == nil, "never three in a row")
        #expect(fail(&memory, .confirmed(asker: key, target: target), refusal))
        #expect(told(&memory, key, object) == refusal)
    }

    @Test func soAreListsLogsAndWhatIsWatchedByItself() {
        var (memory, key, target) = fresh()
        let query = LabelQuery(kind: target.kind, namespace: "a", pair: LabelPair("l", "v"))
        let pod = Seen(ref: Ref(Pod.resourceKind, "a", "p"), uid: "u", resourceVersion: "1")
        let format = LogFormat(.scan, attempt: "", message: "")
        func list(_ reader: inout PassReader) -> Bool {
            reader.confirmedObjects(ConfigMap.self, "a", labelled: "l", "v").isUnknown
        }
        func log(_ reader: inout PassReader) -> Bool { reader.log(of: pod, container: "main", as: format).isUnknown }
        func watched(_ reader: inout PassReader) -> Bool { reader.watched(ConfigMap.self, "a", "x").isUnknown }
        let request = LogRequest(namespace: "a", pod: "p", podUID: "u", container: "main", format: format)
        #expect(told(&memory, key, list) == nil)
        #expect((1...3).map { _ in fail(&memory, .confirmedList(asker: key, query: query), refusal) }.last == true)
        #expect(told(&memory, key, list) == refusal)
        #expect(told(&memory, key, log) == nil)
        #expect((1...3).map { _ in fail(&memory, .log(request), refusal) }.last == true)
        #expect(told(&memory, key, log) == refusal)
        #expect(told(&memory, key, watched) == nil)
        let opening = memory.sights[target]?.opening ?? 0
        memory.sightFailed(target, opening + 1, refusal)
        for _ in 1...3 { memory.sightFailed(target, opening, refusal) }
        #expect(memory.work.take() == key)
        #expect(told(&memory, key, watched) == refusal)
    }
}
