// SPDX-License-Identifier: Apache-2.0

import Glibc
import JSON
import Synchronization

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
final class ModelRoutes: Sendable {
    /// Of all worlds: a target means the same in each.
    static let shared = ModelRoutes()

    private let known = Mutex<[String: Route]>([:])

    func route(_ target: String) throws -> Route {
        // A watch begins at another version each time, and lasts as long as chance will have it; the rest is the same.
        let version = Self.number(of: "resourceVersion=", in: target)
        let rest = version?.rest ?? target
        let seconds = Self.number(of: "timeoutSeconds=", in: rest)
        var route = try plain(seconds?.rest ?? rest)
        if let version { route.query["resourceVersion"] = version.digits }
        if let seconds { route.query["timeoutSeconds"] = seconds.digits }
        return route
    }

    private func plain(_ target: String) throws -> Route {
        if let route = known.withLock({ $0[target] }) { return route }
        let route = try Route(target)
        known.withLock { known in
            if known.count >= 4_000 { known.removeAll() }
            known[target] = route
        }
        return route
    }

    /// The number that a target's query has under a name, and the target without it; `nil` when there is none, or anything
    /// unusual about it.
    private static func number(of name: StaticString, in target: String) -> (rest: String, digits: String)? {
        var text = target
        return text.withUTF8 { bytes in
            guard let start = place(of: name, in: bytes) else { return nil }
            let end = start + name.utf8CodeUnitCount
            let digits = bytes[end...].prefix { (0x30...0x39).contains($0) }
            let rest = bytes[digits.endIndex...]
            guard start > 0, [UInt8(ascii: "&"), UInt8(ascii: "?")].contains(bytes[start - 1]), !digits.isEmpty,
                rest.first ?? UInt8(ascii: "&") == UInt8(ascii: "&"), place(of: name, in: bytes, from: end) == nil
            else { return nil }
            return (
                String(decoding: bytes[..<start], as: UTF8.self) + String(decoding: rest, as: UTF8.self),
                String(decoding: digits, as: UTF8.self)
            )
        }
    }
}

extension String {
    /// Whether the bytes of another text occur in it. (`contains` looks for canonical equivalents, which takes longer
    /// than the call that is looked at.)
    func holds(_ other: StaticString) -> Bool {
        var text = self
        return text.withUTF8 { place(of: other, in: $0) } != nil
    }
}

/// Where the bytes of a text begin among others.
private func place(of text: StaticString, in bytes: UnsafeBufferPointer<UInt8>, from start: Int = 0) -> Int? {
    guard let base = bytes.baseAddress else { return nil }
    let length = text.utf8CodeUnitCount
    var place = start
    while place + length <= bytes.count,
        let found = memchr(base + place, Int32(text.utf8Start.pointee), bytes.count - length - place + 1)
    {
        place = UnsafeRawPointer(found) - UnsafeRawPointer(base)
        if memcmp(base + place, text.utf8Start, length) == 0 { return place }
        place += 1
    }
    return nil
}

// A kind is told by its plural alone, here as in a request's path.
extension ModelKind {
    package static func == (left: ModelKind, right: ModelKind) -> Bool { left.plural == right.plural }
    package func hash(into hasher: inout Hasher) { hasher.combine(plural) }
}
