// SPDX-License-Identifier: Apache-2.0

import JSON
import ObjectStore
import Resources
import Scanning
import Seams

/// Stands in for a bucket: `{"objects": [{"key", "modified", "size", "body"}], "known": listing}`.
///
/// Answered as S3 would, in whatever order the objects stand.
struct Bucket: Exchange, Timekeeper {
    private struct Object {
        var key: String
        var modified: String
        var size: String
        var body: [UInt8]
    }

    private var objects: [Object] = []
    private var known: ArchiveListing?

    /// - Returns: `nil` for what is no bucket.
    init?(_ bytes: [UInt8]) {
        guard let value = try? JSON.decode(JSONValue.self, from: bytes), let list = value["objects"]?.array else {
            return nil
        }
        for item in list.prefix(2_000) {
            let body = item["body"].map { $0.string.map { Array($0.utf8) } ?? ((try? JSON.encode($0)) ?? []) }
            objects.append(
                Object(
                    key: item["key"]?.string ?? "", modified: item["modified"]?.string ?? "2026-01-01T00:00:00Z",
                    size: item["size"].flatMap { try? JSON.encode($0) }.map(text) ?? "1", body: body ?? []))
        }
        known = value["known"].flatMap { try? $0.decoded(as: ArchiveListing.self) }
    }

    /// One archive, and all of a repository: anew, and beside what is known.
    func scanned() async -> (ScanResult, RepositoryScanResult) {
        let store = ObjectStore(exchange: self, time: self, bucket: "b", pathStyle: true, retries: 0)
        var request = ScanRequest()
        request.bucket = "b"
        request.path = "orders"
        request.major = 15
        let one = await Scan(store: store, time: self, request: request, attempt: "a").run()
        request.path = ""
        request.isRepository = true
        let before = known.map { [RepositoryFolders.Archive(path: $0.path, major: $0.major): $0] } ?? [:]
        let all = await RepositoryScan(store: store, time: self, request: request, attempt: "a", known: before).run()
        return (one, all)
    }

    // MARK: S3

    func send(_ request: HTTPRequest) async throws -> HTTPResponse {
        let parts = request.target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2 else {
            let key = S3Encoding.decoded(String(parts[0].dropFirst(3)))
            guard let object = objects.first(where: { $0.key == key }) else { return HTTPResponse(status: 404) }
            return HTTPResponse(status: 200, body: object.body)
        }
        var query: [String: String] = [:]
        for field in parts[1].split(separator: "&") {
            let halves = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            query[String(halves[0])] = S3Encoding.decoded(String(halves.last ?? ""))
        }
        return HTTPResponse(
            status: 200, headers: [HTTPHeader("Date", "Thu, 01 Jan 2026 00:00:00 GMT")], body: listing(query))
    }

    private func listing(_ query: [String: String]) -> [UInt8] {
        let prefix = query["prefix"] ?? ""
        var folders: [String] = []
        var xml = "<ListBucketResult><EncodingType>url</EncodingType>"
        for object in objects where object.key.hasPrefix(prefix) && object.key > query["start-after"] ?? "" {
            let rest = object.key.dropFirst(prefix.count)
            if query["delimiter"] == "/", let slash = rest.firstIndex(of: "/") {
                let folder = prefix + rest[...slash]
                if folders.last != folder { folders.append(folder) }
                continue
            }
            xml +=
                "<Contents><Key>\(S3Encoding.path(object.key))</Key>"
                + "<LastModified>\(escaped(object.modified))</LastModified><ETag>e</ETag><Size>\(escaped(object.size))</Size></Contents>"
        }
        for folder in folders { xml += "<CommonPrefixes><Prefix>\(S3Encoding.path(folder))</Prefix></CommonPrefixes>" }
        return Array((xml + "</ListBucketResult>").utf8)
    }

    private func escaped(_ text: String) -> String { text.replacing("&", with: "&amp;").replacing("<", with: "&lt;") }

    func open(_ request: HTTPRequest) async throws -> any HTTPStream {
        throw ExchangeError(.invalidRequest, "no streams")
    }

    // MARK: Time

    var now: Timestamp { Timestamp(seconds: 1_800_000_000) }
    var uptime: Uptime { Uptime(milliseconds: 0) }
    func sleep(until moment: Uptime, for purpose: TimerPurpose) async throws {}
}
