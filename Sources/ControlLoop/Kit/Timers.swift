// SPDX-License-Identifier: Apache-2.0

import Seams

/// Moments at which items become due: at most one for each item, each with its purpose.
struct Timers<Item: Hashable & Sendable>: Sendable {
    /// A moment with what it is for.
    struct Moment: Equatable, Sendable {
        var at: Uptime
        var purpose: TimerPurpose
    }

    private struct Entry {
        var at: Uptime
        var serial: UInt64
        var item: Item

        static func < (left: Entry, right: Entry) -> Bool { (left.at, left.serial) < (right.at, right.serial) }
    }

    private var current: [Item: (serial: UInt64, purpose: TimerPurpose)] = [:]
    /// A binary heap; entries whose serial is not the item's current one are void.
    private var heap: [Entry] = []
    private var serial: UInt64 = 0

    /// How many items have a moment.
    var count: Int { current.count }

    /// The first moment of all.
    var earliest: Moment? {
        guard let first = heap.first, let purpose = current[first.item]?.purpose else { return nil }
        return Moment(at: first.at, purpose: purpose)
    }

    /// Sets the item's moment in place of any that it had.
    mutating func set(_ item: Item, at moment: Uptime, for purpose: TimerPurpose) {
        serial += 1
        current[item] = (serial, purpose)
        heap.append(Entry(at: moment, serial: serial, item: item))
        rise(from: heap.count - 1)
        dropVoid()
        if heap.count > 64, heap.count > current.count * 2 { rebuild() }
    }

    /// Forgets the item's moment.
    mutating func cancel(_ item: Item) {
        guard current.removeValue(forKey: item) != nil else { return }
        dropVoid()
    }

    /// Takes out all items whose moment has come, the earliest first.
    mutating func takeDue(at now: Uptime) -> [Item] {
        var due: [Item] = []
        while let first = heap.first, first.at <= now {
            current[first.item] = nil
            due.append(first.item)
            removeFirst()
            dropVoid()
        }
        return due
    }

    /// Keeps the invariant that the heap's first entry is a current one.
    private mutating func dropVoid() {
        while let first = heap.first, current[first.item]?.serial != first.serial { removeFirst() }
    }

    private mutating func rebuild() {
        heap = heap.filter { current[$0.item]?.serial == $0.serial }
        heap.sort { $0 < $1 }
    }

    private mutating func removeFirst() {
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child] < heap[least] {
                least = child
            }
            if least == parent { return }
            heap.swapAt(parent, least)
            parent = least
        }
    }

    private mutating func rise(from index: Int) {
        var child = index
        while child > 0, heap[child] < heap[(child - 1) / 2] {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }
}
