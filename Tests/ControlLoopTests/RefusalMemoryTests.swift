// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Seams
import Testing

@testable import ControlLoop

/// Events of an owner without pods: read late, seldom, and only while somebody asks.
@Suite struct RefusalMemoryTests {
    private let settings = Settings(agentImage: "agent", controllerNamespace: "reprise-system")
    private let owner = Seen(ref: Ref(Job.resourceKind, "a", "j"), uid: "u-1", resourceVersion: "1")
    private let patience = PodRefusal.patience * 1_000

    private func fresh() -> (Memory, Key) {
        var memory = Memory()
        let kind = memory.watch(WatchedKind(ConfigMap.self))
        _ = memory.replace([], [], at: "10", begunAt: 0, on: .kind(kind))
        return (memory, Key(kind: kind, namespace: "a", name: "asker"))
    }

    @discardableResult
    private func ask(_ memory: inout Memory, _ key: Key, at now: Int64, asks: Bool = true) -> Observed<PodRefusal> {
        var reader = PassReader(
            borrowing: &memory, for: key, at: "1", now: Uptime(milliseconds: now), settings: settings)
        let value = asks ? reader.podRefusal(of: owner) : .unknown
        #expect(!reader.isWaiting, "no decision waits for words")
        reader.giveBack(to: &memory)
        return value
    }

    private func due(_ memory: inout Memory, at now: Int64) -> Fetch? {
        memory.fire(at: Uptime(milliseconds: now))
        return memory.fetches.take()
    }

    @Test func nothingIsReadBeforeThePodHasBeenMissingForLong() throws {
        var (memory, key) = fresh()
        #expect(ask(&memory, key, at: 5).isUnknown)
        #expect(due(&memory, at: 5 + patience - 1) == nil)
        ask(&memory, key, at: patience)
        let fetch = try #require(due(&memory, at: 5 + patience), "counted from when it was first asked for")
        #expect(memory.wanted(fetch) != nil)
    }

    @Test func aPodThatComesInTimeCostsNoRequest() {
        var (memory, key) = fresh()
        ask(&memory, key, at: 0)
        ask(&memory, key, at: 1_000, asks: false)
        #expect(due(&memory, at: 10 * patience) == nil)
        #expect(memory.answers.refusals.isEmpty && memory.timers.count == 0)
        ask(&memory, key, at: 20 * patience)
        #expect(due(&memory, at: 21 * patience - 1) == nil, "and the next one has its time as well")
    }

    @Test func othersWordsWakeTheReaderAndTheSameOnesDoNot() throws {
        var (memory, key) = fresh()
        ask(&memory, key, at: 0)
        var now = patience
        for (words, isNews) in [("one", true), ("one", false), ("two", true)] {
            let fetch = try #require(due(&memory, at: now))
            guard case .podRefusal(let request) = fetch, let generation = memory.wanted(fetch) else {
                Issue.record("\(fetch)")
                return
            }
            let again = Uptime(milliseconds: now + patience)
            memory.refusalArrived(request, generation, .present(.told(words)), askAgain: again)
            memory.finishFetch(fetch)
            #expect(memory.work.take() == (isNews ? key : nil))
            memory.finishWork(key)
            #expect(ask(&memory, key, at: now) == .present(.told(words)))
            #expect(due(&memory, at: now + patience - 1) == nil)
            now += patience
        }
    }

    @Test func anAnswerForWhoeverAskedBeforeIsThrownAway() throws {
        var (memory, key) = fresh()
        ask(&memory, key, at: 0)
        let fetch = try #require(due(&memory, at: patience))
        guard case .podRefusal(let request) = fetch, let generation = memory.wanted(fetch) else {
            Issue.record("\(fetch)")
            return
        }
        ask(&memory, key, at: patience, asks: false)
        ask(&memory, key, at: patience + 1)
        let moment = Uptime(milliseconds: patience + 2)
        memory.refusalArrived(request, generation, .present(.told("old")), askAgain: moment)
        #expect(ask(&memory, key, at: patience + 3).isUnknown)
    }
}
