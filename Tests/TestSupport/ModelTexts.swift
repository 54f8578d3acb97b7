// SPDX-License-Identifier: Apache-2.0

import Glibc
import JSON

/// The JSON texts of stored objects, each made once for a version: answers, lists and watches carry the same bytes.
final class ModelTexts {
    private var texts: [String: [UInt8]] = [:]

    /// The text of an object as it was committed; no other object has its version.
    func text(of stored: JSONValue) -> [UInt8] {
        guard let version = stored["metadata"]?["resourceVersion"]?.string else { return stored.bytes }
        if let text = texts[version] { return text }
        let text = stored.bytes
        texts[version] = text
        return text
    }

    func forget() { texts.removeAll() }

    /// One line of a watch.
    func line(_ type: String, _ stored: JSONValue) -> [UInt8] {
        let object = text(of: stored)
        var line: [UInt8] = []
        line.reserveCapacity(object.count + 40)
        line += #"{"type":""#.utf8
        line += type.utf8
        line += #"","object":"#.utf8
        line += object
        line += "}\n".utf8
        return line
    }

    /// An object with a last member `items`.
    func list(_ head: JSONValue, of stored: [JSONValue]) -> [UInt8] {
        var bytes = head.bytes
        bytes.removeLast()
        bytes += #","items":["#.utf8
        for (index, object) in stored.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            bytes += text(of: object)
        }
        bytes += "]}".utf8
        return bytes
    }
}

/// Targets taken apart: most are sent again and again.
final class ModelRoutes {
    private var known: [String: Route] = [:]

    func route(_ target: String) throws -> Route {
        if let route = known[target] { return route }
        let route = try Route(target)
        if known.count >= 1_000 { known.removeAll() }
        known[target] = route
        return route
    }
}

extension String {
    /// Whether the bytes of another text occur in it. (`contains` looks for canonical equivalents, which takes longer
    /// than the call that is looked at.)
    func holds(_ other: StaticString) -> Bool {
        var text = self
        let length = other.utf8CodeUnitCount
        return text.withUTF8 { bytes in
            guard let start = bytes.baseAddress, bytes.count >= length else { return false }
            return (0...bytes.count - length).contains { memcmp(start + $0, other.utf8Start, length) == 0 }
        }
    }
}

// A kind is told by its plural alone, here as in a request's path.
extension ModelKind {
    package static func == (left: ModelKind, right: ModelKind) -> Bool { left.plural == right.plural }
    package func hash(into hasher: inout Hasher) { hasher.combine(plural) }
}
