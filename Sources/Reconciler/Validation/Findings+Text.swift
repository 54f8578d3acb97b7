// SPDX-License-Identifier: Apache-2.0

import Resources

// Forms of text that many fields share.
extension Findings {
    /// A reference to something in the same namespace.
    mutating func reference(_ reference: NameReference?, _ field: String) {
        objectName(reference?.name, "\(field).name")
    }

    mutating func objectName(_ name: String?, _ field: String) {
        check(
            name, field, maximum: 253, reason: FindingReason.invalidName,
            form: "the name of an object: write lower case letters, digits, dashes and dots, and no namespace",
            Names.isDNS1123Subdomain)
    }

    mutating func label(_ name: String?, _ field: String) {
        check(
            name, field, maximum: 63, reason: FindingReason.invalidName,
            form: "a name of lower case letters, digits and dashes: correct it"
        ) { Names.isDNS1123Label($0) }
    }

    mutating func dataKey(_ key: String?, _ field: String) {
        check(
            key, field, maximum: 253, form: "a key: write letters, digits, dashes, dots and underscores",
            Names.isDataKey)
    }

    mutating func requestID(_ text: String?, _ field: String) {
        check(
            text, field, maximum: 64,
            form: "a request ID: write letters, digits, dots, dashes and underscores, beginning with a letter or digit"
        ) { $0.utf8.allSatisfy { isWord($0) || "._-".utf8.contains($0) } && $0.utf8.first.map(isWord) == true }
    }

    mutating func duration(_ text: String?, _ field: String) {
        guard let text else { return }
        let seconds = Durations.seconds(text)
        check(text, field, maximum: 24, form: "a duration: write it as 90s, 30m or 4h") { _ in seconds != nil }
        if seconds == 0 { add(field, "\(quoted(text)) is no time at all: write it as 90s, 30m or 4h, or remove it") }
    }

    /// A path in an object store, and without the major version that image profiles add.
    mutating func archivePath(_ path: String?, _ field: String) {
        storePath(path, field)
        guard let path, isStorePath(path), let last = path.split(separator: "/").last,
            last.utf8.allSatisfy({ (0x30...0x39).contains($0) })
        else { return }
        add(
            field,
            "must not end in a major version: write orders-db instead of \(quoted(path)), the image profile adds "
                + "the number itself")
    }

    mutating func storePath(_ path: String?, _ field: String) {
        check(
            path, field, maximum: 512,
            form:
                "a path: write letters, digits and ._=+@:~- in parts with single slashes between them, each beginning "
                + "with a letter, digit or underscore", isStorePath)
    }

    /// A size: more than zero, and one that fits into 63 bits.
    mutating func size(_ text: String?, _ field: String) {
        quantity(text, field)
        guard let text, Quantity.isValid(text), text.utf8.count <= 32, text.utf8.first != UInt8(ascii: "-") else {
            return
        }
        switch Quantity.bytes(text) {
        case .none: add(field, "\(quoted(text)) is more than any volume can hold: write how much to ask for, as 20Gi")
        case .some(0): add(field, "must be more than zero: write how much to ask for, as 20Gi")
        case .some: break
        }
    }

    /// A quantity that is not negative, of whatever size.
    mutating func quantity(_ text: String?, _ field: String) {
        check(text, field, maximum: 32, form: "a quantity: write it as 20Gi, 1.5G or 500m, without a sign") {
            Quantity.isValid($0) && $0.utf8.first != UInt8(ascii: "-")
        }
    }

    mutating func cron(_ text: String?, _ field: String) {
        check(
            text, field, maximum: 128,
            form: "a cron expression: write minute, hour, day of month, month and day of week, as 0 3 * * *",
            Cron.isValid)
    }

    mutating func image(_ text: String?, _ field: String) {
        check(
            text, field, maximum: 512,
            form:
                "an image reference: write it as registry.example.com/postgres-walg:18, or with @sha256: and a digest",
            ImageReference.isValid)
    }

    /// Names of entries in a list must differ: the API server makes sure of it, except where a list was stored before.
    mutating func unique(_ names: [String?], _ field: String) {
        var seen: Set<String> = []
        for case let name? in names where !seen.insert(name).inserted {
            add(field, "has \(quoted(name)) more than once: keep one of them")
            return
        }
    }
}

/// A letter or a digit, in ASCII.
func isWord(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
}

/// Parts with single slashes between them. None begins with a dot or a dash, which leaves out `..`, hidden folders and
/// what a program would take for an option; no character means anything to a shell.
func isStorePath(_ path: String) -> Bool {
    path.split(separator: "/", omittingEmptySubsequences: false).allSatisfy { part in
        guard let first = part.utf8.first, isWord(first) || first == UInt8(ascii: "_") else { return false }
        return part.utf8.allSatisfy { isWord($0) || "._=+@:~-".utf8.contains($0) }
    }
}

/// Whether one path is the other, or below it.
func pathsOverlap(_ one: String, _ other: String) -> Bool {
    "\(one)/".hasPrefix("\(other)/") || "\(other)/".hasPrefix("\(one)/")
}

/// Image references: `[registry[:port]/]name[:tag][@sha256:digest]`.
enum ImageReference {
    static func isValid(_ text: String) -> Bool {
        let halves = text.split(separator: "@", omittingEmptySubsequences: false)
        guard halves.count <= 2, halves.count == 1 || isDigest(halves[1]) else { return false }
        var parts = halves[0].split(separator: "/", omittingEmptySubsequences: false)
        guard let last = parts.popLast() else { return false }
        let named = last.split(separator: ":", omittingEmptySubsequences: false)
        guard named.count <= 2, isComponent(named[0]), named.count == 1 || isTag(named[1]) else { return false }
        guard let first = parts.first else { return true }
        return isHost(first) && parts.dropFirst().allSatisfy(isComponent)
    }

    static func isDigest(_ text: Substring) -> Bool {
        text.hasPrefix("sha256:") && text.utf8.count == 71
            && text.utf8.dropFirst(7).allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }

    private static func isComponent(_ text: Substring) -> Bool {
        guard let first = text.utf8.first, isLowerWord(first) else { return false }
        return text.utf8.allSatisfy { isLowerWord($0) || "._-".utf8.contains($0) }
    }

    private static func isTag(_ text: Substring) -> Bool {
        guard let first = text.utf8.first, isWord(first) || first == UInt8(ascii: "_") else { return false }
        return text.utf8.count <= 128 && text.utf8.allSatisfy { isWord($0) || "._-".utf8.contains($0) }
    }

    private static func isHost(_ text: Substring) -> Bool {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard let first = parts[0].utf8.first, isWord(first), parts.count <= 2 else { return false }
        if parts.count == 2, UInt16(parts[1]) == nil || parts[1].utf8.first == UInt8(ascii: "+") { return false }
        return parts[0].utf8.allSatisfy { isWord($0) || ".-_".utf8.contains($0) }
    }

    private static func isLowerWord(_ byte: UInt8) -> Bool { isWord(byte) && !(0x41...0x5A).contains(byte) }
}

/// Five-field cron expressions.
enum Cron {
    private static let months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
    private static let days = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]

    static func isValid(_ text: String) -> Bool {
        let fields = text.split(separator: " ", omittingEmptySubsequences: true)
        let limits: [(ClosedRange<Int>, [String])] = [
            (0...59, []), (0...23, []), (1...31, []), (1...12, months), (0...7, days),
        ]
        guard fields.count == 5, text.first != " ", text.last != " " else { return false }
        return zip(fields, limits).allSatisfy { field, limit in
            field.split(separator: ",", omittingEmptySubsequences: false)
                .allSatisfy { isItem($0, limit.0, limit.1) }
        }
    }

    /// `*`, `*/2`, `5`, `1-5`, `1-30/7`, `mon-fri`.
    private static func isItem(_ text: Substring, _ range: ClosedRange<Int>, _ names: [String]) -> Bool {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, parts.count == 1 || (number(parts[1], []) ?? 0) >= 1 else { return false }
        if parts[0] == "*" { return true }
        let ends = parts[0].split(separator: "-", omittingEmptySubsequences: false)
        guard ends.count <= 2, let first = number(ends[0], names, range.lowerBound), range.contains(first) else {
            return false
        }
        guard ends.count == 2 else { return parts.count == 1 }
        guard let last = number(ends[1], names, range.lowerBound) else { return false }
        return range.contains(last) && first <= last
    }

    private static func number(_ text: Substring, _ names: [String], _ base: Int = 0) -> Int? {
        if let index = names.firstIndex(of: text.lowercased()) { return index + base }
        guard (1...2).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return nil
        }
        return Int(text)
    }
}
