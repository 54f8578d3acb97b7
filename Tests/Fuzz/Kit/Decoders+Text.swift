// SPDX-License-Identifier: Apache-2.0

import JSON
import Postgres
import Reconciler
import Resources

extension FuzzDecoder {
    private static let digits = [Growth("", "1"), Growth("0.", "0", "1"), Growth("", "a"), Growth("", "/")]

    static let texts = [
        FuzzDecoder(
            "quantity", .text,
            tokens: [
                "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "n", "u", "m", "k", "M", "G", "T", "P", "E", "e", "e9", "E-3", ".",
                "+", "-",
            ],
            growth: digits, check: TextOracle.quantity
        ) { bytes in
            _ = Quantity.bytes(text(bytes))
            _ = Quantity.isValid(text(bytes))
        },
        FuzzDecoder(
            "timestamp", .text,
            tokens: ["T", "Z", "+00:00", "-23:59", "+23:59", ".123456789", "9999-12-31", "0001-01-01", ":60", "24:"],
            growth: digits, check: TextOracle.timestamp
        ) { bytes in
            _ = Timestamp(rfc3339: text(bytes))
            _ = Timestamp(postgres: text(bytes))
        },
        FuzzDecoder("lsn", .text, tokens: ["/", "FFFFFFFF", "0/0", "+", "-"], growth: digits, check: TextOracle.lsn) {
            bytes in
            _ = LSN(text(bytes))
        },
        FuzzDecoder(
            "segment", .text, tokens: ["FFFFFFFF", "00000001", "base_", "_D_", "_backup_stop_sentinel.json"],
            growth: digits,
            check: TextOracle.segment
        ) { bytes in
            for size in [1, 16, 1_024] {
                _ = WalGeometry(segmentSize: UInt64(size) << 20)?.segment(named: text(bytes))
            }
        },
        FuzzDecoder("duration", .text, tokens: ["h", "m", "s", "999999h", "999999999s"], growth: digits) { bytes in
            _ = Durations.seconds(text(bytes))
        },
        FuzzDecoder(
            "address", .text,
            tokens: ["s3://", "/", "basebackups_005", "base_000000010000000000000004", "15", "..", ".", "//"],
            allowance: Allowance(factor: 64),
            growth: digits + [Growth("s3://b", "/a", "/15")]
        ) { bytes in _ = BackupURI(text(bytes)) },
        FuzzDecoder(
            "specs", .text,
            tokens: [
                "https://", "http://", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "0xA9FEA9FE", "127.1", "@",
                ":443", "::",
                "@sha256:", "docker.io/a/b:15", "0 3 * * *", "*/5", "mon-fri", "1-30/7", "localhost", ".", "0x",
                "99999999999",
            ],
            // The text stands in some thirty fields, which are written as JSON and read.
            allowance: Allowance(base: 2 << 20, factor: 2_048),
            growth: digits + [
                Growth("https://", "1."), Growth("https://[", ":"), Growth("https://[::", "f"), Growth("", "*,"),
            ],
            decode: TextOracle.specs),
        FuzzDecoder("names", .text, tokens: [".", "/", "-"], growth: digits) { bytes in
            let name = text(bytes)
            _ = Names.isDNS1035Label(name) || Names.isDNS1123Subdomain(name) || Names.isQualifiedName(name)
            _ = Names.isLabelValue(name) || Names.isVariable(name) || Names.isDataKey(name)
            _ = PublishedCatalog.label(repository: name)
        },
        FuzzDecoder("ledger-row", .text, tokens: ["t", "f", "true", "-9223372036854775808"], growth: digits) { bytes in
            let cell = text(bytes)
            _ = Int(postgresText: cell)
            _ = Int64(postgresText: cell)
            _ = Bool(postgresText: cell)
            _ = LedgerWords.isTerminal(cell)
        },
    ]
}

/// What the short texts are held against.
enum TextOracle {
    /// The grammar, and the value as a double, which is exact enough to notice a wrong digit.
    @Sendable static func quantity(_ bytes: [UInt8]) async -> String? {
        let input = text(bytes)
        let expected = bytes.count <= Quantity.maximumLength ? double(bytes) : nil
        if Quantity.isValid(input) != (expected != nil) {
            return "valid: \(expected == nil), by the grammar: \(expected != nil)"
        }
        guard let expected else { return Quantity.bytes(input) == nil ? nil : "a value of no quantity" }
        guard let value = Quantity.bytes(input) else { return expected.magnitude < 9.22e18 ? "has no value" : nil }
        let error = Double(value) - expected
        return error >= -1 - expected.magnitude * 1e-9 && error <= 1 + expected.magnitude * 1e-9
            ? nil : "\(value), not \(expected)"
    }

    /// `nil` for what is no quantity.
    private static func double(_ bytes: [UInt8]) -> Double? {
        var rest = bytes[...]
        if let first = rest.first, first == 0x2B || first == 0x2D { rest = rest.dropFirst() }
        func digits(_ rest: inout ArraySlice<UInt8>) -> String {
            let taken = rest.prefix { (0x30...0x39).contains($0) }
            rest = rest.dropFirst(taken.count)
            return text(Array(taken))
        }
        let whole = digits(&rest)
        var fraction = ""
        if rest.first == 0x2E {
            rest = rest.dropFirst()
            fraction = digits(&rest)
        }
        guard !(whole + fraction).isEmpty, let number = Double("0\(whole).\(fraction)0") else { return nil }
        let sign: Double = bytes.first == 0x2D ? -1 : 1
        let scales: [String: Double] = [
            "n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
            "Ki": 0x1p10, "Mi": 0x1p20, "Gi": 0x1p30, "Ti": 0x1p40, "Pi": 0x1p50, "Ei": 0x1p60,
        ]
        if let scale = scales.first(where: { Array($0.key.utf8) == Array(rest) })?.value {
            return sign * number * scale
        }
        guard let mark = rest.first, mark == 0x65 || mark == 0x45 else { return nil }
        rest = rest.dropFirst()
        let isNegative = rest.first == 0x2D
        if let first = rest.first, first == 0x2B || first == 0x2D { rest = rest.dropFirst() }
        let exponent = digits(&rest)
        guard rest.isEmpty, (1...4).contains(exponent.count) else { return nil }
        return Double("\(whole.isEmpty ? "0" : whole).\(fraction)0e\(isNegative ? "-" : "")\(exponent)").map {
            sign * $0
        }
    }

    /// What is printed is read as the same moment.
    @Sendable static func timestamp(_ bytes: [UInt8]) async -> String? {
        for moment in [Timestamp(rfc3339: text(bytes)), Timestamp(postgres: text(bytes))] {
            guard let moment else { continue }
            if Timestamp(rfc3339: moment.rfc3339) != moment { return "\(moment) is not read again" }
            if Timestamp(rfc3339: moment.rfc3339Micro) != moment { return "\(moment.rfc3339Micro) is not read again" }
        }
        return nil
    }

    @Sendable static func lsn(_ bytes: [UInt8]) async -> String? {
        guard let lsn = LSN(text(bytes)) else { return nil }
        if LSN(lsn.description) != lsn { return "\(lsn) is not read again" }
        let isPlain = bytes.allSatisfy { $0 == 0x2F || text([$0]).first?.isHexDigit == true }
        return isPlain ? nil : "is no LSN"
    }

    @Sendable static func segment(_ bytes: [UInt8]) async -> String? {
        for size in [1, 16, 64, 1_024] {
            guard let geometry = WalGeometry(segmentSize: UInt64(size) << 20),
                let segment = geometry.segment(named: text(bytes))
            else { continue }
            if Array(geometry.name(segment).utf8) != bytes { return "\(geometry.name(segment)) is another name" }
            if geometry.number(containing: geometry.start(ofSegment: segment.number)) != segment.number {
                return "is not where it starts"
            }
        }
        return nil
    }

    /// The text in every field of a spec that has a grammar.
    @Sendable static func specs(_ bytes: [UInt8]) async {
        let word = JSONValue.string(text(bytes))
        let service: JSONValue = [
            "name": word, "image": word, "storage": ["size": word, "className": word],
            "archive": ["path": word, "schedule": word],
            "env": [["name": word, "value": word]], "labels": ["app": word], "database": word,
            "resources": ["limits": ["cpu": word]],
        ]
        let source: JSONValue = ["location": ["uri": word], "archive": ["path": word, "repository": ["name": word]]]
        let target: JSONValue = ["kind": word, "time": word, "xid": word, "lsn": word, "name": word, "timeline": word]
        let run: JSONValue = [
            "mode": "NewService", "source": source, "recoveryTarget": target, "target": ["newService": service],
            "deadlines": ["restore": word, "recover": word],
        ]
        if let spec = try? run.decoded(as: RestoreRunSpec.self) { _ = validate(spec) }
        let repository: JSONValue = [
            "s3": ["endpoint": word, "bucket": word, "prefix": word, "region": word], "allowedImages": [word],
            "scan": ["interval": word],
        ]
        if let spec = try? repository.decoded(as: BackupRepositorySpec.self) { _ = validate(spec) }
    }
}
