// SPDX-License-Identifier: Apache-2.0

/// Work to be done, each item once and by one worker at a time, in the order in which it became due.
///
/// An item that is added while it waits is not added twice; one that is added while a worker has it is due again when
/// that worker has finished. So whatever happened before the add is seen by a run that began after it.
struct KeyedQueue<Item: Hashable & Sendable>: Sendable {
    private enum State {
        /// Waits for a worker. Next: `running`.
        case waiting
        /// A worker has it. Next: `due`, or gone.
        case running
        /// A worker has it, and it must run again. Next: `waiting`.
        case due
    }

    private var states: [Item: State] = [:]
    private var line: [Item] = []
    private var head = 0

    /// How many items wait.
    var depth: Int { line.count - head }

    /// Whether nothing waits and nobody works.
    var isIdle: Bool { states.isEmpty }

    /// Asks for a run of this item.
    /// - Returns: Whether it now waits and did not before.
    @discardableResult
    mutating func add(_ item: Item) -> Bool {
        switch states[item] {
        case .waiting, .due: return false
        case .running:
            states[item] = .due
            return false
        case nil:
            states[item] = .waiting
            line.append(item)
            return true
        }
    }

    /// Hands the next item to a worker, which must `finish` it.
    mutating func take() -> Item? {
        guard head < line.count else { return nil }
        let item = line[head]
        head += 1
        if head > 64, head * 2 > line.count {
            line.removeFirst(head)
            head = 0
        }
        states[item] = .running
        return item
    }

    /// Takes an item back from a worker.
    /// - Returns: Whether it waits again.
    @discardableResult
    mutating func finish(_ item: Item) -> Bool {
        guard states.removeValue(forKey: item) == .due else { return false }
        return add(item)
    }
}
