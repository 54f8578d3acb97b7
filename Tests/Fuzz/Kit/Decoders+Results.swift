// SPDX-License-Identifier: Apache-2.0

import ControlLoop
import Frames
import JSON
import Reconciler
import Resources

extension FuzzDecoder {
    private static let frameTokens = [
        "reprise-result v1 ", "reprise-end v1\n", "reprise-result v2 ", "\n1 ", "\n2 ", "=", "==", "H4sIAAAAAAAAA",
        "\n",
        "4194304", "4194305", "0", String(repeating: "0", count: 64),
    ]

    private static let logTokens =
        PostgresLog.patterns.flatMap(\.pieces) + [
            "\n", "2026-01-01T00:00:00.123456789Z ", "2026-01-01T00:00:00+01:00 ",
        ]

    static let results = [
        FuzzDecoder(
            "frame", .lines, tokens: frameTokens,
            // A frame may hold 4 MiB, compressed to 4 KiB, and the array that it goes into grows by doubling.
            allowance: Allowance(base: 16 << 20),
            growth: [
                Growth("", "a"), Growth("", "a\n"),
                Growth("reprise-result v1 10 \(String(repeating: "0", count: 64))\n1 ", "A"),
                Growth("a bomb of 4 MiB") { _ in Packing.bomb(claimed: 4 << 20, actual: 4 << 20) },
                Growth("a bomb of 64 MiB") { _ in Packing.bomb(claimed: 4 << 20, actual: 64 << 20) },
                Growth("a bomb of 64 MiB that says 10") { _ in Packing.bomb(claimed: 10, actual: 64 << 20) },
            ], wrap: Packing.framed, check: ResultOracle.frame
        ) { bytes in _ = ResultFrame.decode(bytes) },
        FuzzDecoder(
            "termination", .json, tokens: ["v", "code", "bytes", "sha256", "OK"], check: ResultOracle.termination
        ) { bytes in
            guard let message = try? TerminationMessage(decoding: bytes) else { return }
            _ = message.believable(.complete(bytes: bytes, sha256: message.sha256))
        },
        FuzzDecoder(
            "results", .json,
            tokens: ["v", "attempt", "code", "archives", "listing", "seconds", "objects", "timeline", "dataBytes"],
            allowance: treeAllowance, check: ResultOracle.results
        ) { bytes in
            _ = try? JSON.decode(ScanResult.self, from: bytes)
            _ = try? JSON.decode(RepositoryScanResult.self, from: bytes)
            _ = try? JSON.decode(SealResult.self, from: bytes)
            _ = try? JSON.decode(BackupResult.self, from: bytes)
            let message = try? TerminationMessage(code: "OK", result: bytes).encoded()
            guard let log = try? ResultFrame.encode(bytes) else { return }
            for content in [LogFormat.Content.scan, .repositoryScan, .seal, .backup] {
                _ = LogReading.facts(in: log, as: LogFormat(content, attempt: "a", message: message.map(text)))
            }
        },
        FuzzDecoder(
            "log", .lines, tokens: logTokens,
            growth: [
                Growth("", "2026-01-01T00:00:00Z restored log file \"000000010000000000000004\"\n"), Growth("", "a"),
                Growth("2026-01-01T00:00:00Z ", "requested timeline "),
                Growth("2026-01-01T00:00:00Z ", "restored log file \""),
                Growth("", "\n"),
            ], check: ResultOracle.lines
        ) { bytes in _ = ResultOracle.read([bytes]) },
        FuzzDecoder(
            "published", .json, tokens: ["v", "path", "major", "backups", "ranges"], allowance: treeAllowance,
            check: ResultOracle.published
        ) { bytes in
            var map = ConfigMap(metadata: ObjectMeta(name: "a"))
            map.data = [PublishedCatalog.key: text(bytes)]
            _ = PublishedCatalog.listing(in: map)
        },
        FuzzDecoder(
            "spool", .json, tokens: ["runUID", "status", "phase", "audit", "plan"], allowance: treeAllowance,
            check: ResultOracle.spool
        ) {
            bytes in _ = try? JSON.decode(LedgerEntry.self, from: bytes)
        },
    ]
}

/// What must hold of results, logs and what is kept of them.
enum ResultOracle {
    /// Wherever the log is cut, the same comes out; and what came out can be framed and read again.
    @Sendable static func frame(_ bytes: [UInt8]) async -> String? {
        let whole = ResultFrame.decode(bytes)
        let step = max(1, bytes.count / (bytes.count < 4_096 ? 8 : 2))
        for cut in stride(from: 1, to: bytes.count, by: step) {
            var decoder = FrameDecoder()
            decoder.feed(bytes[..<cut])
            decoder.feed(bytes[cut...])
            if decoder.finish() != whole { return "depends on a cut at \(cut)" }
        }
        guard case .complete(let json, let sha256) = whole else { return nil }
        guard let again = try? ResultFrame.encode(json) else { return "can't be framed again" }
        return ResultFrame.decode(again) == .complete(bytes: json, sha256: sha256)
            ? nil : "is another when framed again"
    }

    @Sendable static func termination(_ bytes: [UInt8]) async -> String? {
        (try? TerminationMessage(decoding: bytes)).flatMap(Kinds.roundTrip)
    }

    @Sendable static func results(_ bytes: [UInt8]) async -> String? {
        (try? JSON.decode(ScanResult.self, from: bytes)).flatMap(Kinds.roundTrip)
            ?? (try? JSON.decode(RepositoryScanResult.self, from: bytes)).flatMap(Kinds.roundTrip)
            ?? (try? JSON.decode(SealResult.self, from: bytes)).flatMap(Kinds.roundTrip)
            ?? (try? JSON.decode(BackupResult.self, from: bytes)).flatMap(Kinds.roundTrip)
    }

    static func read(_ pieces: [[UInt8]]) -> LineFacts {
        var reading = LineReading(following: PostgresLog.patterns)
        for piece in pieces { _ = reading.take(piece) }
        _ = reading.finish()
        return reading.facts
    }

    @Sendable static func lines(_ bytes: [UInt8]) async -> String? {
        let whole = read([bytes])
        let step = max(1, bytes.count / (bytes.count < 4_096 ? 8 : 2))
        for cut in stride(from: 1, to: bytes.count, by: step) {
            if read([Array(bytes[..<cut]), Array(bytes[cut...])]) != whole { return "depends on a cut at \(cut)" }
        }
        let long = whole.words.values.filter { $0.utf8.count > 128 }
        return long.isEmpty ? nil : "keeps a word of \(long[0].utf8.count) bytes"
    }

    /// A listing that is published is read as it was, as far as there was room.
    @Sendable static func published(_ bytes: [UInt8]) async -> String? {
        guard let listing = try? JSON.decode(ArchiveListing.self, from: bytes) else { return nil }
        return Kinds.roundTrip(PublishedCatalog.bounded(listing))
    }

    @Sendable static func spool(_ bytes: [UInt8]) async -> String? {
        guard let entry = try? JSON.decode(LedgerEntry.self, from: bytes) else { return nil }
        guard (try? SpoolBehavior.manifest(entry, in: "ns")) != nil else { return "can't be spooled" }
        return Kinds.roundTrip(entry)
    }
}
