// SPDX-License-Identifier: Apache-2.0

// An untyped value without the way through Codable's containers: the same text and the same errors, for a fraction of
// the time. Not for sorted keys, which need the containers' bookkeeping.
extension JSONWriter {
    /// Writes any value at the end of the text, with `depth` containers open.
    func write(_ value: JSONValue, depth: Int) throws {
        switch value {
        case .object(let object): try write(object.members, depth: depth)
        case .array(let elements): try write(elements, depth: depth)
        case .string(let value): write(value)
        case .integer(let value): write(value)
        case .unsigned(let value): write(value)
        case .number(let value): try write(value)
        case .bool(let value): write(value)
        case .null: writeNull()
        }
    }

    private func write(_ members: [JSONObject.Member], depth: Int) throws {
        try checkDepth(depth)
        reserve(1)
        push(UInt8(ascii: "{"))
        var isFirst = true
        for member in members {
            reserve(1)
            if !isFirst { push(UInt8(ascii: ",")) }
            isFirst = false
            write(member.key)
            reserve(1)
            push(UInt8(ascii: ":"))
            do { try write(member.value, depth: depth + 1) } catch { throw failed(error, at: member.key) }
        }
        reserve(1)
        push(UInt8(ascii: "}"))
    }

    private func write(_ elements: [JSONValue], depth: Int) throws {
        try checkDepth(depth)
        reserve(1)
        push(UInt8(ascii: "["))
        for (index, element) in elements.enumerated() {
            reserve(1)
            if index > 0 { push(UInt8(ascii: ",")) }
            do { try write(element, depth: depth + 1) } catch { throw failed(error, at: "[\(index)]") }
        }
        reserve(1)
        push(UInt8(ascii: "]"))
    }
}
