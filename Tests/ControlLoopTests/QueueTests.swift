// SPDX-License-Identifier: Apache-2.0

import Seams
import Testing

@testable import ControlLoop

@Suite struct QueueTests {
    @Test func itemsWaitOnce() {
        var queue = KeyedQueue<String>()
        #expect(queue.add("a"))
        #expect(!queue.add("a"))
        queue.add("b")
        #expect(queue.depth == 2)
        #expect([queue.take(), queue.take(), queue.take()] == ["a", "b", nil])
    }

    @Test func itemAddedWhileItRunsRunsAgainAndNotBeside() {
        var queue = KeyedQueue<String>()
        queue.add("a")
        #expect(queue.take() == "a")
        queue.add("a")
        queue.add("a")
        #expect(queue.take() == nil)
        #expect(queue.finish("a"))
        #expect(queue.take() == "a")
        #expect(!queue.finish("a"))
        #expect(queue.isIdle)
    }

    @Test func orderHoldsOverManyItems() {
        var queue = KeyedQueue<Int>()
        var taken: [Int] = []
        for number in 0..<1_000 {
            queue.add(number)
            if number % 3 == 0, let item = queue.take() {
                taken.append(item)
                queue.finish(item)
            }
        }
        while let item = queue.take() { taken.append(item) }
        #expect(taken == Array(0..<1_000))
    }
}

@Suite struct TimerTests {
    private func at(_ milliseconds: Int64) -> Uptime { Uptime(milliseconds: milliseconds) }

    @Test func oneMomentForEachItem() {
        var timers = Timers<String>()
        timers.set("a", at: at(50), for: .wake)
        timers.set("b", at: at(30), for: .retry)
        timers.set("a", at: at(20), for: .retry)
        #expect(timers.earliest == Timers.Moment(at: at(20), purpose: .retry))
        timers.set("a", at: at(90), for: .wake)
        #expect(timers.earliest == Timers.Moment(at: at(30), purpose: .retry))
        timers.cancel("b")
        #expect(timers.earliest == Timers.Moment(at: at(90), purpose: .wake))
        #expect(timers.takeDue(at: at(89)) == [])
        #expect(timers.takeDue(at: at(90)) == ["a"])
        #expect(timers.earliest == nil)
        #expect(timers.count == 0)
    }

    @Test func dueInOrderOfMomentsAndOfSetting() {
        var timers = Timers<Int>()
        let moments: [Int64] = [40, 10, 30, 10, 20, 40, 5]
        for (number, moment) in moments.enumerated() { timers.set(number, at: at(moment), for: .wake) }
        for _ in 0..<200 { timers.set(99, at: at(1_000), for: .wake) }
        #expect(timers.takeDue(at: at(40)) == [6, 1, 3, 4, 2, 0, 5])
        #expect(timers.earliest?.at == at(1_000))
    }
}

@Suite struct SubscriptionTests {
    private let one = Key(kind: 0, namespace: "a", name: "one")
    private let two = Key(kind: 0, namespace: "a", name: "two")
    private let pod = Topic.object(Key(kind: 1, namespace: "a", name: "pod"))
    private let query = Topic.labelled(LabelQuery(kind: 1, namespace: "a", pair: LabelPair("run", "1")))

    @Test func readersAreToldOfWhatTheyReadLast() {
        var subscriptions = Subscriptions()
        #expect(subscriptions.replace(two, with: [pod, query]) == [])
        #expect(subscriptions.replace(one, with: [pod]) == [])
        #expect(subscriptions.readers(of: pod) == [one, two])
        #expect(subscriptions.readersOfLabels(kind: 1, namespace: "a") == [two])
        #expect(subscriptions.replace(two, with: [query]) == [.init(topic: pod, isOrphaned: false)])
        #expect(subscriptions.readers(of: pod) == [one])
        #expect(subscriptions.replace(one, with: []) == [.init(topic: pod, isOrphaned: true)])
        #expect(subscriptions.readerCount == 1)
        #expect(subscriptions.topicCount == 1)
    }
}
