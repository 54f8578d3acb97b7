// SPDX-License-Identifier: Apache-2.0

import KubeClient
import Reconciler
import Resources
import Seams
import Testing

@testable import ControlLoop

@Suite struct MemoryTests {
    private let settings = Settings(agentImage: "agent", controllerNamespace: "reprise-system")

    private func configMap(
        _ name: String, _ version: String, uid: String? = nil, labels: [String: String]? = nil
    ) -> ConfigMap {
        ConfigMap(
            metadata: ObjectMeta(
                name: name, namespace: "a", uid: uid ?? "uid of \(name)", resourceVersion: version, labels: labels))
    }

    private func live(_ object: ConfigMap) -> Live { Live(object) }

    /// A memory that has listed nothing yet up to version 10, and one key in it.
    private func fresh() -> (Memory, Int, Key) {
        var memory = Memory()
        let kind = memory.watch(WatchedKind(ConfigMap.self))
        _ = memory.replace([], [], at: "10", begunAt: 0, on: .kind(kind))
        return (memory, kind, Key(kind: kind, namespace: "a", name: "asker"))
    }

    private func read<Value>(
        _ memory: inout Memory, _ key: Key, at version: String = "1", _ body: (inout PassReader) -> Value
    ) -> Value {
        var reader = PassReader(
            borrowing: &memory, for: key, at: version, now: Uptime(milliseconds: 0), settings: settings)
        let value = body(&reader)
        reader.giveBack(to: &memory)
        return value
    }

    private func confirmed(_ memory: inout Memory, _ key: Key, at version: String = "1") -> Observed<ConfigMap> {
        read(&memory, key, at: version) { $0.confirmed(ConfigMap.self, "a", "x") }
    }

    private func answer(_ memory: inout Memory, _ fetch: Fetch, _ live: Live) throws {
        #expect(memory.fetches.take() == fetch)
        let generation = try #require(memory.answers.wanted(fetch))
        if case .confirmed(let asker, let target) = fetch {
            memory.confirmedArrived(asker, target, generation, live)
        }
        memory.finishFetch(fetch)
    }

    @Test func whatFollowsFromTheSameInputIsConcludedOnce() {
        var (memory, kind, key) = fresh()
        var times = 0
        func conclude(_ key: Key, _ topic: String, _ input: String) -> Int {
            read(&memory, key) { reader in
                reader.remembered(topic, of: input) {
                    times += 1
                    return $0.count
                }
            }
        }
        #expect(conclude(key, "length", "abc") == 3)
        #expect(conclude(key, "length", "abc") == 3)
        #expect(times == 1)
        #expect(conclude(key, "length", "abcd") == 4, "another input is another question")
        #expect(conclude(key, "size", "abcd") == 4, "and so is another topic")
        #expect(conclude(Key(kind: kind, namespace: "a", name: "other"), "length", "abcd") == 4)
        #expect(times == 4)
        memory.forget(key)
        #expect(memory.conclusions[key] == nil, "nothing is kept of an object that is gone")
    }

    @Test func quorumReadHoldsForOneVersionOfTheAsker() throws {
        var (memory, kind, key) = fresh()
        let target = Key(kind: kind, namespace: "a", name: "x")
        let fetch = Fetch.confirmed(asker: key, target: target)
        #expect(confirmed(&memory, key).isUnknown)
        try answer(&memory, fetch, .absent)
        #expect(memory.work.take() == key)
        memory.finishWork(key)
        #expect(confirmed(&memory, key).isConfirmedAbsent)
        #expect(memory.fetches.depth == 0)
        #expect(confirmed(&memory, key, at: "2").isUnknown)
        #expect(memory.fetches.depth == 1)
    }

    @Test func quorumReadOfBeforeATimerDoesNotCount() throws {
        var (memory, kind, key) = fresh()
        let fetch = Fetch.confirmed(asker: key, target: Key(kind: kind, namespace: "a", name: "x"))
        _ = confirmed(&memory, key)
        try answer(&memory, fetch, .absent)
        memory.setTimer(key, nil, Uptime(milliseconds: 5))
        memory.fire(at: Uptime(milliseconds: 5))
        #expect(confirmed(&memory, key).isUnknown)
    }

    @Test func answerThatAWriteOvertookIsThrownAway() throws {
        var (memory, kind, key) = fresh()
        let target = Key(kind: kind, namespace: "a", name: "x")
        let fetch = Fetch.confirmed(asker: key, target: target)
        _ = confirmed(&memory, key)
        #expect(memory.fetches.take() == fetch)
        let generation = try #require(memory.answers.wanted(fetch))
        memory.store(configMap("x", "11"), from: .answer, kind: kind)
        memory.confirmedArrived(key, target, generation, .absent)
        #expect(confirmed(&memory, key).isUnknown)
        memory.finishFetch(fetch)
        try answer(&memory, fetch, live(configMap("x", "11")))
        #expect(confirmed(&memory, key).value?.metadata.resourceVersion == "11")
        // What the watch tells later of the same incarnation is newer still.
        memory.store(configMap("x", "12"), from: .watch, kind: kind)
        #expect(confirmed(&memory, key).value?.metadata.resourceVersion == "12")
        #expect(memory.fetches.depth == 0)
    }

    @Test func listOfBeforeATimerDoesNotCount() throws {
        var (memory, _, key) = fresh()
        func list() -> Observed<[ConfigMap]> {
            read(&memory, key) { $0.confirmedObjects(ConfigMap.self, "a", labelled: "run", "1") }
        }
        #expect(list().isUnknown)
        let fetch = memory.fetches.take()
        guard let fetch, case .confirmedList(let asker, let query) = fetch else {
            Issue.record("a list is asked for, and not \(String(describing: fetch))")
            return
        }
        let generation = try #require(memory.answers.wanted(fetch))
        let newer = configMap("y", "12", labels: ["run": "1"])
        memory.setTimer(key, nil, Uptime(milliseconds: 5))
        memory.fire(at: Uptime(milliseconds: 5))
        memory.listArrived(asker, query, generation, [])
        #expect(list().isUnknown, "it was made before the moment had come")
        memory.finishFetch(fetch)
        #expect(memory.fetches.take() == fetch)
        let next = try #require(memory.answers.wanted(fetch))
        memory.listArrived(asker, query, next, [newer])
        #expect(list().value?.map(\.metadata.name) == ["y"])
    }

    @Test func changeWakesExactlyItsReaders() {
        var (memory, kind, key) = fresh()
        let other = Key(kind: kind, namespace: "a", name: "other")
        _ = read(&memory, key) { $0.object(ConfigMap.self, "a", "x") }
        _ = read(&memory, other) { $0.objects(ConfigMap.self, "a", labelled: "run", "1") }
        memory.store(configMap("x", "11"), from: .watch, kind: kind)
        #expect(memory.work.take() == key)
        memory.store(configMap("y", "12", labels: ["run": "1"]), from: .watch, kind: kind)
        #expect(memory.work.take() == other)
        #expect(memory.work.take() == nil)
        memory.finishWork(key)
        memory.finishWork(other)
        #expect(memory.work.isIdle)
    }

    @Test func unreadableObjectWakesWhoAsksForItsNamespace() {
        var (memory, kind, key) = fresh()
        _ = read(&memory, key) { $0.objects(ConfigMap.self, "a", labelled: "run", "1") }
        let ref = Ref(ConfigMap.resourceKind, "a", "x")
        let broken = UndecodableObject(ref: ref, uid: "u", resourceVersion: "11", message: "")
        memory.hear(on: .kind(kind)) { $0.markUnreadable(broken) }
        #expect(memory.work.take() == key)
        let seen = read(&memory, key) { $0.objects(ConfigMap.self, "a", labelled: "run", "1") }
        #expect(seen.isUnknown)
    }

    @Test func ownRowBeatsAnAnswerThatWasUnderWay() throws {
        var (memory, _, key) = fresh()
        let question = LedgerQuestion.run(uid: "r")
        #expect(read(&memory, key) { $0.ledger(question) }.isUnknown)
        let generation = try #require(memory.answers.wanted(.ledger(question)))
        let row = LedgerRow(id: "1", status: "running", phase: "restore", attempt: 1)
        memory.ledgerWritten("r", row)
        memory.ledgerArrived(question, generation, .absent(confirmed: true), askAgain: nil)
        #expect(read(&memory, key) { $0.ledger(question) } == .present(.run(row)))
    }

    @Test func answersLiveAsLongAsTheyAreRead() {
        var (memory, _, key) = fresh()
        _ = read(&memory, key) { $0.ledger(.run(uid: "r")) }
        _ = confirmed(&memory, key)
        #expect(memory.answers.ledger.isEmpty)
        #expect(memory.answers.confirmed.count == 1)
        memory.forget(key)
        #expect(memory.answers.confirmed.isEmpty)
        #expect(memory.subscriptions.topicCount == 0)
    }

    /// With a copy of the tables in each pass this would take minutes.
    @Test func passesDoNotCopyTheMemory() {
        var (memory, kind, _) = fresh()
        let count = 20_000
        for number in 0..<count {
            let key = Key(kind: kind, namespace: "a", name: "\(number)")
            _ = read(&memory, key) { $0.object(ConfigMap.self, "a", "child of \(number)") }
        }
        #expect(memory.subscriptions.readerCount == count)
    }
}
