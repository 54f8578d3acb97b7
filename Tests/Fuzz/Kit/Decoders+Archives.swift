// SPDX-License-Identifier: Apache-2.0

import Catalog
import JSON
import ObjectStore
import Reconciler
import Resources
import Scanning
import Seams

extension FuzzDecoder {
    private static let xmlTokens = [
        "<Contents>", "</Contents>", "<Key>", "</Key>", "<Size>", "<LastModified>", "<IsTruncated>true</IsTruncated>",
        "<NextContinuationToken>", "<CommonPrefixes>", "<Prefix>", "<EncodingType>url</EncodingType>", "%", "%41", "+",
        "&amp;",
        "&#x10FFFF;", "&#0;", "&#xD800;", "<![CDATA[", "]]>", "<!-- ", "-->", "<?pi ?>",
        "<!DOCTYPE a [<!ENTITY b \"c\">]>", "&b;",
        "xmlns:a=\"b\"", " a=\"b\"", "<a:b>", "<a/>", "<?xml version=\"1.0\" encoding=\"UTF-16\"?>", "<Code>",
        "</Code>", "<Region>",
    ]

    private static let contents =
        "<Contents><Key>a/#</Key><LastModified>2026-01-01T00:00:00Z</LastModified><Size>1</Size></Contents>"

    private static let walgTokens = [
        "LSN", "FinishLSN", "PgVersion", "SystemIdentifier", "DeltaFrom", "StartTime", "start_lsn", "finish_lsn",
        "start_time",
        "base_000000010000000000000004", "base_000000020000000000000004_D_000000010000000000000002",
        "000000010000000000000004",
        "00000002.history", "_backup_stop_sentinel.json", "orders/15/wal_005/", "orders/15/basebackups_005/",
        "tar_partitions/",
        "part_001.tar.lz4", "pg_control.tar.lz4", "metadata.json", "first", "last", "firstModified", "lastModified",
        "backups",
        "ranges", "timelines", "segmentSize", "busiestHour", "segments", "objects", "timeline", "parent", "switchLSN",
        "deltaFrom",
    ]

    private static let listing =
        "{\"v\":1,\"path\":\"a\",\"major\":15,\"objects\":1,\"seenAt\":\"2026-01-01T00:00:00Z\","
        + "\"backupsTotal\":1,\"backups\":["
    private static let delta =
        "{\"name\":\"base_0000000100000000#_D_00000001000000000\",\"lastModified\":"
        + "\"2026-01-01T00:00:00Z\",\"isDelta\":true,\"isPermanent\":false,\"pgVersion\":150000,"
        + "\"systemIdentifier\":\"7\",\"startLSN\":\"0/1\",\"finishLSN\":\"FF/1\",\"deltaFrom\":\"a\"},"
    private static let last =
        "{\"name\":\"a\",\"lastModified\":\"2026-01-01T00:00:00Z\",\"isDelta\":false,\"isPermanent\":false}"
    private static let range =
        "{\"first\":\"0000000100000000000000AA\",\"last\":\"0000000100000000000000AA\",\"firstModified\":"
        + "\"2026-01-01T00:00:00Z\",\"lastModified\":\"2026-01-01T00:00:00Z\"},"

    private static let catalogGrowth = [
        Growth(listing, delta, last + "],\"ranges\":[],\"timelines\":[]}"),
        Growth(listing + last + "],\"ranges\":[],\"timelines\":[", "{\"timeline\":1},", "{\"timeline\":7}]}"),
        Growth(listing + last + "],\"timelines\":[],\"ranges\":[", range, range.dropLast() + "]}"),
        Growth("a chain of deltas", chain), Growth("a chain of timelines", timelines),
        Growth("segments with holes", holes),
        Growth("backups without log", lone),
    ]

    private static func chain(_ bytes: Int) -> [UInt8] {
        var body = listing
        var number = 0
        while body.utf8.count < bytes {
            body +=
                "{\"name\":\"b\(number)\",\"lastModified\":\"2026-01-01T00:00:00Z\",\"isDelta\":true,"
                + "\"isPermanent\":false,\"deltaFrom\":\"b\(number + 1)\"},"
            number += 1
        }
        return Array((body + last + "],\"ranges\":[],\"timelines\":[]}").utf8)
    }

    private static func timelines(_ bytes: Int) -> [UInt8] {
        var body = listing + last + "],\"ranges\":[],\"timelines\":["
        var number = 2
        while body.utf8.count < bytes {
            body += "{\"timeline\":\(number),\"parent\":\(number - 1),\"switchLSN\":\"0/1\"},"
            number += 1
        }
        return Array((body.dropLast() + "]}").utf8)
    }

    private static func hex(_ number: Int) -> String {
        let digits = String(number, radix: 16, uppercase: true)
        return String(repeating: "0", count: max(0, 16 - digits.count)) + digits
    }

    /// Every other segment, each a range; in names of which the last eight digits stay below 256.
    private static func holes(_ bytes: Int) -> [UInt8] {
        var body = listing + last + "],\"timelines\":[],\"ranges\":["
        var number = 0
        while body.utf8.count < bytes {
            let name = "00000001" + hex((number / 100) << 32 | (number % 100) * 2)
            body +=
                "{\"first\":\"\(name)\",\"last\":\"\(name)\",\"firstModified\":\"2026-01-01T00:00:00Z\","
                + "\"lastModified\":\"2026-01-01T00:00:00Z\"},"
            number += 1
        }
        return Array((body.dropLast() + "]}").utf8)
    }

    /// Half of it base backups, half of it ranges that none of them lies in.
    private static func lone(_ bytes: Int) -> [UInt8] {
        var body = listing
        var number = 0
        while body.utf8.count < bytes / 2 {
            let start = (number / 100) << 32 | ((number % 100) * 2 + 1) << 24
            let name = hex((number / 100) << 32 | (number % 100) * 2 + 1)
            body +=
                "{\"name\":\"base_00000001\(name)\",\"lastModified\":\"2026-01-01T00:00:00Z\",\"isDelta\":false,"
                + "\"isPermanent\":false,\"pgVersion\":150000,\"systemIdentifier\":\"7\","
                + "\"startLSN\":\"\(LSN(UInt64(start) + 40))\",\"finishLSN\":\"\(LSN(UInt64(start) + 240))\"},"
            number += 1
        }
        let ranges = holes(bytes / 2 + listing.utf8.count)
        let rest = text(ranges).dropFirst(listing.utf8.count + last.utf8.count)
        return Array((body.dropLast() + rest).utf8)
    }

    static let archives = [
        FuzzDecoder(
            "listing", .xml, tokens: xmlTokens, allowance: Allowance(factor: 48),
            growth: [
                Growth("<ListBucketResult>", contents, "</ListBucketResult>"), Growth("<ListBucketResult>", "<a>"),
                Growth("<ListBucketResult><Contents><Key>", "a", "</Key>"), .nested("<a>", "</a>"),
                Growth("<ListBucketResult ", "a#=\"b\" ", "/>"), Growth("<ListBucketResult ", "xmlns:a#=\"b\" ", "/>"),
                Growth("<ListBucketResult>", "&amp;", "</ListBucketResult>"), Growth("<", "a"), Growth("<!--", "a"),
                Growth(
                    "<ListBucketResult>", "<CommonPrefixes><Prefix>#</Prefix></CommonPrefixes>", "</ListBucketResult>"),
                Growth("<!DOCTYPE a [", "<!ENTITY a# \"b\">", "]><a/>"),
                Growth("<ListBucketResult>", "<a/>", "</ListBucketResult>"),
                Growth("<ListBucketResult><Contents><Key>", "&#65;", "</Key>"), Growth("<ListBucketResult>", "<?a b?>"),
            ]
        ) { bytes in _ = try? ListingPage(xml: bytes, date: text(Array(bytes.prefix(40)))) },
        FuzzDecoder(
            "store-error", .xml, tokens: xmlTokens + ["SlowDown", "NoSuchKey", "AuthorizationHeaderMalformed"],
            growth: [Growth("<Code>", "<Code>"), Growth("", "<Code"), Growth("", "a")]
        ) { bytes in
            for status in [301, 400, 403, 404, 416, 429, 503] {
                let headers = [HTTPHeader("Retry-After", text(Array(bytes.prefix(20))))]
                _ = ObjectStoreError(HTTPResponse(status: status, headers: headers, body: bytes))
            }
            _ = S3Encoding.decoded(text(bytes))
        },
        FuzzDecoder(
            "sentinel", .json, tokens: walgTokens, allowance: treeAllowance,
            growth: [Growth("{\"Files\":{", "\"f#\":{\"a\":1},", "\"z\":1}}")], check: ArchiveOracle.sentinel
        ) { bytes in
            _ = ScannedBackup(
                name: "base_000000010000000000000004", lastModified: Timestamp(seconds: 0), sentinel: bytes,
                metadata: bytes)
            for key in [text(bytes)[...]] {
                _ = WalgLayout.walFile(key)
                _ = WalgLayout.backupName(ofSentinel: key)
                _ = WalgLayout.isPart(key) || WalgLayout.isControlPart(key)
            }
        },
        FuzzDecoder(
            "history", .lines, tokens: ["\t", "0/A0001C8", "#", "1\t0/1\tno recovery target specified\n"],
            allowance: Allowance(base: 3 << 20),
            growth: [Growth("plain\n", "1\t0/1\ta\n"), Growth("plain\n", "1\t"), Growth("lz4\n", "a")],
            wrap: Packing.packed
        ) { bytes in
            let end = bytes.firstIndex(of: 0x0A) ?? 0
            let suffix = text(Array(bytes[..<end]))
            _ = HistoryFile.parent(in: Array(bytes[min(end + 1, bytes.count)...]), key: "00000002.history.\(suffix)")
        },
        FuzzDecoder(
            "catalog", .json, tokens: walgTokens, allowance: treeAllowance, growth: catalogGrowth,
            check: ArchiveOracle.catalog,
            decode: ArchiveOracle.answers),
        FuzzDecoder(
            "scan", .json, tokens: walgTokens, allowance: Allowance(base: 4 << 20, factor: 256),
            check: ArchiveOracle.scan
        ) { bytes in _ = await Bucket(bytes)?.scanned() },
    ]
}

/// What is asked of archives, and must hold of the answers.
enum ArchiveOracle {
    @Sendable static func sentinel(_ bytes: [UInt8]) async -> String? {
        let backup = ScannedBackup(
            name: "base_000000010000000000000004", lastModified: Timestamp(seconds: 0), sentinel: bytes, metadata: nil)
        return Kinds.roundTrip(backup)
    }

    /// Every question that a run can ask.
    @Sendable static func answers(_ bytes: [UInt8]) async {
        guard let listing = try? JSON.decode(ArchiveListing.self, from: bytes) else { return }
        ask(listing)
        _ = PublishedCatalog.bounded(listing)
    }

    static func ask(_ listing: ArchiveListing) {
        let catalog = ArchiveCatalog(listing)
        let now = Timestamp(seconds: 1_900_000_000)
        let moments: [RecoveryRequest.Moment] = [
            .latest, .backupEnd, .time(Timestamp(seconds: 1_767_225_600)), .lsn(LSN(.max)), .lsn(LSN(1)), .xid("3"),
            .name("a"),
        ]
        for moment in moments {
            for line in [RecoveryRequest.Line.latest, .current, .timeline(1), .timeline(0xFFFF_FFFF)] {
                _ = catalog.answer(RecoveryRequest(moment, line: line, backup: nil), at: now)
            }
        }
        for backup in listing.backups.prefix(2) {
            _ = catalog.answer(RecoveryRequest(.latest, line: .latest, backup: backup.name), at: now)
        }
        _ = catalog.problem
        _ = (
            catalog.earliest, catalog.latestCertain, catalog.latestEstimated, catalog.systemIdentifier, catalog.lostGaps
        )
    }

    @Sendable static func catalog(_ bytes: [UInt8]) async -> String? {
        guard let listing = try? JSON.decode(ArchiveListing.self, from: bytes) else { return nil }
        return Kinds.roundTrip(listing)
    }

    /// What the agent reports can be read where it goes, and says something.
    @Sendable static func scan(_ bytes: [UInt8]) async -> String? {
        guard let results = await Bucket(bytes)?.scanned() else { return nil }
        for listing in results.1.archives.compactMap(\.listing) { ask(listing) }
        return Kinds.roundTrip(results.0) ?? Kinds.roundTrip(results.1)
    }
}
