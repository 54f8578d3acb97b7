// SPDX-License-Identifier: Apache-2.0

/// The text being written, and the objects and arrays open in it.
///
/// Codable hands out containers that could be used in any order, but a text grows at its end only. So each container
/// is known by its depth and a number; writing to one closes those opened inside it, and writing to a closed one is an
/// error (``JSONError/Kind/misuse``). Ordinary `encode(to:)` code, which finishes one container before going on with
/// the outer one, never meets it.
final class JSONWriter {
    /// An open object or array.
    struct Frame {
        let number: Int
        /// Where it begins in the text.
        let start: Int
        let isArray: Bool
        let sorts: Bool
        var count = 0
        /// Where its members and their keys begin and the keys end, if they are to be sorted.
        var members: [Member] = []
    }

    /// A member of an object that will be sorted.
    struct Member {
        let start: Int
        let keyEnd: Int
    }

    /// The name of an open container.
    struct Handle {
        let depth: Int
        let number: Int
    }

    /// The deepest nesting written.
    private static var largestDepth: Int { 512 }

    let sortsKeys: Bool
    /// An error met where Codable does not allow throwing.
    var failure: JSONError?
    /// The key type of the object opened last.
    var lastKeys: ObjectIdentifier?
    private(set) var frames: [Frame] = []
    private var lastNumber = 0
    /// Where a super encoder waits for its value; -1 when none does.
    private var pending = -1

    // The text. Plain memory, because an array in a class is checked for exclusive access at every byte.
    private(set) var bytes: UnsafeMutablePointer<UInt8>
    private(set) var count = 0
    private var capacity: Int

    init(sortsKeys: Bool) {
        self.sortsKeys = sortsKeys
        capacity = 1024
        bytes = .allocate(capacity: capacity)
        frames.reserveCapacity(16)
    }

    deinit { bytes.deallocate() }

    /// The text written.
    func finish() -> [UInt8] { Array(UnsafeBufferPointer(start: bytes, count: count)) }

    /// Makes room for more bytes.
    @inline(__always)
    func reserve(_ more: Int) {
        if count + more > capacity { grow(more) }
    }

    @inline(never)
    private func grow(_ more: Int) {
        let larger = max(capacity * 2, count + more)
        let moved = UnsafeMutablePointer<UInt8>.allocate(capacity: larger)
        moved.update(from: bytes, count: count)
        bytes.deallocate()
        bytes = moved
        capacity = larger
    }

    /// Appends a byte for which there is room.
    @inline(__always)
    func push(_ byte: UInt8) {
        bytes[count] = byte
        count += 1
    }

    /// Moves the end over bytes to be filled in by the caller, for which there is room; returns the old end.
    @inline(__always)
    func skip(_ length: Int) -> Int {
        count += length
        return count - length
    }

    /// Appends bytes for which there is room.
    @inline(__always)
    func push(_ source: UnsafePointer<UInt8>, _ length: Int) {
        (bytes + count).update(from: source, count: length)
        count += length
    }

    // MARK: Containers

    /// Opens an object or array as the value at `slot`, or takes it up again if that is what is open there.
    func open(array: Bool, sorts: Bool, depth: Int, slot: Int) throws -> Handle {
        if frames.count > depth, frames[depth].start == slot, frames[depth].isArray == array {
            return Handle(depth: depth, number: frames[depth].number)
        }
        try claim(depth: depth, slot: slot)
        try checkDepth(depth)
        lastNumber += 1
        frames.append(Frame(number: lastNumber, start: slot, isArray: array, sorts: sorts))
        reserve(1)
        push(array ? UInt8(ascii: "[") : UInt8(ascii: "{"))
        return Handle(depth: depth, number: lastNumber)
    }

    /// Checks that a container may be opened inside `depth` others.
    @inline(__always)
    func checkDepth(_ depth: Int) throws {
        guard depth < Self.largestDepth else {
            throw JSONError(.tooDeep, detail: "more than \(Self.largestDepth) levels")
        }
    }

    /// Checks that the value at `slot` has not been written yet.
    @inline(__always)
    func claim(depth: Int, slot: Int) throws {
        guard count == slot, frames.count == depth else { throw Self.misuse }
    }

    /// Goes back to an open container: closes those inside it and writes the comma.
    @inline(__always)
    func resume(_ handle: Handle) throws {
        if frames.count != handle.depth + 1 || pending >= 0 { try close(to: handle.depth + 1) }
        let last = frames.count - 1
        guard last == handle.depth, frames[last].number == handle.number else { throw Self.misuse }
        reserve(1)
        if frames[last].count > 0 { push(UInt8(ascii: ",")) }
        frames[last].count += 1
    }

    /// Notes a member about to be written, if the object will be sorted; `keyEnd` is where the key's text ends.
    @inline(__always)
    func note(start: Int, keyEnd: Int) {
        let last = frames.count - 1
        if frames[last].sorts { frames[last].members.append(Member(start: start, keyEnd: keyEnd)) }
    }

    /// Marks the end of the text as the place of a super encoder's value.
    func awaitValue() { pending = count }

    /// Closes containers until `depth` are open.
    func close(to depth: Int) throws {
        if frames.count < depth { throw Self.misuse }
        settle()
        while frames.count > depth, let frame = frames.popLast() {
            if frame.members.count > 1 { sort(frame) }
            reserve(1)
            push(frame.isArray ? UInt8(ascii: "]") : UInt8(ascii: "}"))
        }
    }

    /// Writes `{}` where a super encoder was handed out and nothing written, as Foundation does.
    private func settle() {
        if pending == count { writeEmptyObject() }
        pending = -1
    }

    /// Writes an object without members.
    func writeEmptyObject() {
        reserve(2)
        push(UInt8(ascii: "{"))
        push(UInt8(ascii: "}"))
    }

    /// Remembers an error: the text is broken from here on and must not come out, even if the error is caught.
    func failed(_ error: any Error, at place: String) -> JSONError {
        let found = error as? JSONError ?? JSONError(.rejected, detail: "\(Swift.type(of: error)) from encode(to:)")
        let placed = found.prefixed(place)
        failure = placed
        return placed
    }

    static var misuse: JSONError { JSONError(.misuse, detail: "a container was used after its parent moved on") }

    // MARK: Sorting

    /// Puts the members of the object at the end of the text into the order of their keys' bytes.
    private func sort(_ frame: Frame) {
        let members = frame.members
        let order = members.indices.sorted { precedes(members[$0], members[$1]) }
        guard order != Array(members.indices) else { return }
        let first = members[0].start
        let text = Array(UnsafeBufferPointer(start: bytes + first, count: count - first))
        var target = first
        for (place, index) in order.enumerated() {
            let start = members[index].start
            let end = index + 1 < members.count ? members[index + 1].start - 1 : count
            for position in start..<end {
                bytes[target] = text[position - first]
                target += 1
            }
            if place + 1 < order.count {
                bytes[target] = UInt8(ascii: ",")
                target += 1
            }
        }
    }

    /// Whether a member's key comes first; equal keys keep their order, as `sorted` is stable.
    private func precedes(_ one: Member, _ other: Member) -> Bool {
        let left = UnsafeBufferPointer(start: bytes + one.start, count: one.keyEnd - one.start)
        let right = UnsafeBufferPointer(start: bytes + other.start, count: other.keyEnd - other.start)
        return left.lexicographicallyPrecedes(right)
    }
}
