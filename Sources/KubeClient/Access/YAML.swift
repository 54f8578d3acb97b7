// SPDX-License-Identifier: Apache-2.0

import CYAML

/// Why a YAML text can't be read. Names lines, never values.
package struct YAMLError: Error, Equatable, Sendable, CustomStringConvertible {
    package var line: Int
    package var message: String

    package var description: String { "line \(line): \(message)" }
}

/// A YAML document as a tree. Keys keep their order and are unique; aliases are resolved; scalars stay text.
package indirect enum YAMLNode: Equatable, Sendable {
    case scalar(String, isPlain: Bool)
    case sequence([YAMLNode])
    case mapping([Entry])

    package struct Entry: Equatable, Sendable {
        package var key: String
        package var value: YAMLNode
        /// Where the key stands, from 1.
        package var line: Int
    }

    /// The value of a key of a mapping.
    package subscript(_ key: String) -> YAMLNode? {
        guard case .mapping(let entries) = self else { return nil }
        return entries.first { $0.key == key }?.value
    }

    /// Whether this is YAML's null: nothing, `~` or `null`, not quoted.
    package var isNull: Bool {
        guard case .scalar(let text, isPlain: true) = self else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(text)
    }

    /// The only document of a text; null when there is none.
    package static func document(_ bytes: [UInt8]) throws(YAMLError) -> YAMLNode {
        var reader = YAMLReader(bytes)
        defer { reader.finish() }
        return try reader.document()
    }
}

/// Walks libyaml's events. Bounded in bytes, depth and nodes (counted again wherever an alias repeats them).
private struct YAMLReader {
    private static let maximumBytes = 4 << 20
    private static let maximumDepth = 32
    private static let maximumNodes = 100_000

    /// Both have stable addresses, since libyaml keeps pointers to them.
    private let parser: UnsafeMutablePointer<yaml_parser_t>
    private let input: UnsafeMutableBufferPointer<UInt8>
    private let isReady: Bool
    private var nodes = 0
    /// What was read under each anchor, and how many nodes that is.
    private var anchors: [String: (node: YAMLNode, size: Int)] = [:]

    /// What of an event is needed, copied out of libyaml's memory.
    private struct Event {
        var type: yaml_event_type_t
        var text = ""
        var anchor: String?
        var isPlain = false
        var line: Int
    }

    init(_ bytes: [UInt8]) {
        parser = .allocate(capacity: 1)
        input = .allocate(capacity: max(1, bytes.count))
        _ = input.initialize(from: bytes)
        isReady = bytes.count <= Self.maximumBytes && yaml_parser_initialize(parser) == 1
        if isReady { yaml_parser_set_input_string(parser, UnsafePointer(input.baseAddress), bytes.count) }
    }

    func finish() {
        if isReady { yaml_parser_delete(parser) }
        parser.deallocate()
        input.deallocate()
    }

    mutating func document() throws(YAMLError) -> YAMLNode {
        guard isReady else { throw YAMLError(line: 1, message: "the text is too long") }
        _ = try next()  // stream start
        if try next().type == YAML_STREAM_END_EVENT { return .scalar("", isPlain: true) }
        let root = try node(try next(), depth: 0)
        _ = try next()  // document end
        let end = try next()
        guard end.type == YAML_STREAM_END_EVENT else {
            throw YAMLError(line: end.line, message: "more than one document")
        }
        return root
    }

    private mutating func node(_ event: Event, depth: Int) throws(YAMLError) -> YAMLNode {
        guard depth < Self.maximumDepth else { throw YAMLError(line: event.line, message: "nested too deeply") }
        let before = nodes
        try count(1, at: event.line)
        let result: YAMLNode
        switch event.type {
        case YAML_ALIAS_EVENT:
            guard let known = anchors[event.text] else {
                throw YAMLError(line: event.line, message: "an alias of an unknown anchor")
            }
            try count(known.size, at: event.line)
            return known.node
        case YAML_SCALAR_EVENT: result = .scalar(event.text, isPlain: event.isPlain)
        case YAML_SEQUENCE_START_EVENT: result = .sequence(try items(depth: depth + 1))
        case YAML_MAPPING_START_EVENT: result = .mapping(try entries(depth: depth + 1))
        default: throw YAMLError(line: event.line, message: "not a value")
        }
        if let anchor = event.anchor { anchors[anchor] = (result, nodes - before) }
        return result
    }

    private mutating func items(depth: Int) throws(YAMLError) -> [YAMLNode] {
        var result: [YAMLNode] = []
        while true {
            let event = try next()
            if event.type == YAML_SEQUENCE_END_EVENT { return result }
            result.append(try node(event, depth: depth))
        }
    }

    private mutating func entries(depth: Int) throws(YAMLError) -> [YAMLNode.Entry] {
        var result: [YAMLNode.Entry] = []
        var seen: Set<String> = []
        while true {
            let key = try next()
            if key.type == YAML_MAPPING_END_EVENT { return result }
            guard key.type == YAML_SCALAR_EVENT else { throw YAMLError(line: key.line, message: "a key is not text") }
            if key.text == "<<", key.isPlain {
                throw YAMLError(line: key.line, message: "merge keys (<<) are not supported")
            }
            guard seen.insert(key.text).inserted else {
                throw YAMLError(line: key.line, message: "the key '\(cleaned(key.text, 64))' stands here twice")
            }
            let value = try node(try next(), depth: depth)
            result.append(YAMLNode.Entry(key: key.text, value: value, line: key.line))
        }
    }

    private mutating func count(_ more: Int, at line: Int) throws(YAMLError) {
        nodes += more
        if nodes > Self.maximumNodes { throw YAMLError(line: line, message: "too many values") }
    }

    private func next() throws(YAMLError) -> Event {
        var event = yaml_event_t()
        guard yaml_parser_parse(parser, &event) == 1 else {
            let problem = parser.pointee.problem.map { String(cString: $0) } ?? "not YAML"
            throw YAMLError(line: parser.pointee.problem_mark.line + 1, message: problem)
        }
        defer { yaml_event_delete(&event) }
        let line = event.start_mark.line + 1
        switch event.type {
        case YAML_SCALAR_EVENT:
            let scalar = event.data.scalar
            let bytes = UnsafeBufferPointer(start: scalar.value, count: scalar.length)
            return Event(
                type: event.type, text: String(decoding: bytes, as: UTF8.self), anchor: Self.text(scalar.anchor),
                isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE, line: line)
        case YAML_ALIAS_EVENT:
            return Event(type: event.type, text: Self.text(event.data.alias.anchor) ?? "", line: line)
        case YAML_SEQUENCE_START_EVENT:
            return Event(type: event.type, anchor: Self.text(event.data.sequence_start.anchor), line: line)
        case YAML_MAPPING_START_EVENT:
            return Event(type: event.type, anchor: Self.text(event.data.mapping_start.anchor), line: line)
        default:
            return Event(type: event.type, line: line)
        }
    }

    private static func text(_ pointer: UnsafeMutablePointer<yaml_char_t>?) -> String? {
        pointer.map { String(cString: $0) }
    }
}
