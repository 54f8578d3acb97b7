// SPDX-License-Identifier: Apache-2.0

import Resources

/// Builds the path and query of a request. Names come from users (decoding never validates), so each is checked here.
struct RequestTarget {
    private var path: String
    private var query: [String] = []

    /// The collection of a kind in one namespace, or everywhere.
    init(_ kind: ResourceKind, namespace: String?) throws(APIError) {
        path = kind.group.isEmpty ? "/api" : "/apis/" + (try Self.subdomain(kind.group, "API group"))
        path += "/" + (try Self.label(kind.version, "API version"))
        if let namespace { path += "/namespaces/" + (try Self.label(namespace, "namespace")) }
        path += "/" + (try Self.label(kind.plural, "plural name"))
    }

    /// One object.
    init(_ ref: Ref, subresource: String? = nil) throws(APIError) {
        try self.init(ref.kind, namespace: ref.namespace.isEmpty ? nil : ref.namespace)
        path += "/" + (try Self.subdomain(ref.name, "name"))
        if let subresource { path += "/" + (try Self.label(subresource, "subresource")) }
    }

    mutating func add(_ name: String, _ value: String) { query.append("\(name)=\(Self.encoded(value))") }

    mutating func add(_ name: String, _ value: String?) {
        if let value { add(name, value) }
    }

    var text: String { query.isEmpty ? path : "\(path)?\(query.joined(separator: "&"))" }

    /// A DNS-1123 subdomain: what every object that the controller touches is called.
    private static func subdomain(_ text: String, _ what: String) throws(APIError) -> String {
        guard text.utf8.count <= 253 else { throw refused(text, what) }
        for part in text.utf8.split(separator: 0x2E, omittingEmptySubsequences: false) where !isLabel(part) {
            throw refused(text, what)
        }
        return text
    }

    private static func label(_ text: String, _ what: String) throws(APIError) -> String {
        guard text.utf8.count <= 63, isLabel(text[...].utf8) else { throw refused(text, what) }
        return text
    }

    private static func isLabel(_ bytes: Substring.UTF8View) -> Bool {
        func isAlphanumeric(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte) }
        guard let first = bytes.first, let last = bytes.last, isAlphanumeric(first), isAlphanumeric(last) else {
            return false
        }
        return bytes.allSatisfy { isAlphanumeric($0) || $0 == 0x2D }
    }

    private static func refused(_ text: String, _ what: String) -> APIError {
        APIError(.invalidRequest, "not a valid \(what): '\(text.prefix(253))'")
    }

    /// RFC 3986: everything but the unreserved characters is escaped.
    private static func encoded(_ text: String) -> String {
        let digits: [Character] = Array("0123456789ABCDEF")
        var result = ""
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E:
                result.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                result.append("%")
                result.append(digits[Int(byte >> 4)])
                result.append(digits[Int(byte & 15)])
            }
        }
        return result
    }
}
