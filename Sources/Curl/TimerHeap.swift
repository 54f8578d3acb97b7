// SPDX-License-Identifier: Apache-2.0

/// Something to do at a moment, unless withdrawn before. Belongs to the loop's thread.
final class LoopTimer {
    /// Nanoseconds on CLOCK_BOOTTIME.
    let deadline: Int64
    let action: () -> Void
    /// Where it stands in the heap; negative when it is in none.
    fileprivate(set) var position = -1

    init(deadline: Int64, action: @escaping () -> Void) {
        self.deadline = deadline
        self.action = action
    }
}

/// A binary heap of timers, earliest first. Each timer knows its place, so that withdrawing one really removes it: most
/// timers are request deadlines and never fire.
struct TimerHeap {
    private var timers: [LoopTimer] = []

    var isEmpty: Bool { timers.isEmpty }
    var count: Int { timers.count }
    var earliest: Int64? { timers.first?.deadline }

    mutating func insert(_ timer: LoopTimer) {
        guard timer.position < 0 else { return }
        timers.append(timer)
        timer.position = timers.count - 1
        rise(from: timer.position)
    }

    mutating func remove(_ timer: LoopTimer) {
        let hole = timer.position
        guard timers.indices.contains(hole), timers[hole] === timer else { return }
        timer.position = -1
        let last = timers.removeLast()
        guard last !== timer else { return }
        timers[hole] = last
        last.position = hole
        rise(from: hole)
        sink(from: last.position)
    }

    /// Takes the earliest timer out if its moment has come.
    mutating func popDue(at now: Int64) -> LoopTimer? {
        guard let first = timers.first, first.deadline <= now else { return nil }
        remove(first)
        return first
    }

    /// Takes all timers out, in no order.
    mutating func removeAll() -> [LoopTimer] {
        defer { timers = [] }
        for timer in timers { timer.position = -1 }
        return timers
    }

    private mutating func rise(from start: Int) {
        var child = start
        while child > 0 {
            let parent = (child - 1) / 2
            guard timers[child].deadline < timers[parent].deadline else { return }
            exchange(child, parent)
            child = parent
        }
    }

    private mutating func sink(from start: Int) {
        var parent = start
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < timers.count && timers[child].deadline < timers[least].deadline {
                least = child
            }
            guard least != parent else { return }
            exchange(parent, least)
            parent = least
        }
    }

    private mutating func exchange(_ left: Int, _ right: Int) {
        timers.swapAt(left, right)
        timers[left].position = left
        timers[right].position = right
    }
}
