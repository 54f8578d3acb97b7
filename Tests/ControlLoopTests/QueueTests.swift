// SPDX-License-Identifier: Apache-2.0

import Seams
import Testing

@testable import ControlLoop

@Suite struct QueueTests {
    @Test func itemsWaitOnce() {
        var queue = KeyedQueue<String>()
        let seen1 = queue.add("a")
        #expect(seen1)
        let seen2 = queue.add("a")
        #expect(!seen2)
        queue.add("b")
        #expect(queue.depth == 2)
        let taken = [queue.take(), queue.take(), queue.take()]
        #expect(taken == ["a", "b", nil])
    }

    @Test func itemAddedWhileItRunsRunsAgainAndNotBeside() {
        var queue = KeyedQueue<String>()
        queue.add("a")
        let seen3 = queue.take()
        #expect(seen3 == "a")
        queue.add("a")
        queue.add("a")
        let seen4 = queue.take()
        #expect(seen4 == nil)
        let seen5 = queue.finish("a")
        #expect(seen5)
        let seen6 = queue.take()
        #expect(seen6 == "a")
        let seen7 = queue.finish("a")
        #expect(!seen7)
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
        let seen8 = timers.takeDue(at: at(89))
        #expect(seen8 == [])
        let seen9 = timers.takeDue(at: at(90))
        #expect(seen9 == ["a"])
        #expect(timers.earliest == nil)
        #expect(timers.count == 0)
    }

    @Test func dueInOrderOfMomentsAndOfSetting() {
        var timers = Timers<Int>()
        let moments: [Int64] = [40, 10, 30, 10, 20, 40, 5]
        for (number, moment) in moments.enumerated() { timers.set(number, at: at(moment), for: .wake) }
        for _ in 0..<200 { timers.set(99, at: at(1_000), for: .wake) }
        let seen10 = timers.takeDue(at: at(40))
        #expect(seen10 == [6, 1, 3, 4, 2, 0, 5])
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
        let seen11 = subscriptions.replace(two, with: [pod, query])
        #expect(seen11 == [])
        let seen12 = subscriptions.replace(one, with: [pod])
        #expect(seen12 == [])
        #expect(subscriptions.readers(of: pod) == [one, two])
        #expect(subscriptions.readersOfLabels(kind: 1, namespace: "a") == [two])
        let seen13 = subscriptions.replace(two, with: [query])
        #expect(seen13 == [.init(topic: pod, isOrphaned: false)])
        #expect(subscriptions.readers(of: pod) == [one])
        let seen14 = subscriptions.replace(one, with: [])
        #expect(seen14 == [.init(topic: pod, isOrphaned: true)])
        #expect(subscriptions.readerCount == 1)
        #expect(subscriptions.topicCount == 1)
    }
}
