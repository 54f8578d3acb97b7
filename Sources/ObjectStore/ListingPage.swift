// SPDX-License-Identifier: Apache-2.0

import Foundation
import FoundationXML
package import Resources

/// One object in a listing.
package struct ListedObject: Equatable, Sendable {
    package var key: String
    /// The store's clock; S3 gives whole seconds or milliseconds.
    package var lastModified: Timestamp
    /// With its quotes removed.
    package var etag: String
    package var size: Int64

    package init(key: String, lastModified: Timestamp, etag: String, size: Int64) {
        self.key = key
        self.lastModified = lastModified
        self.etag = etag
        self.size = size
    }
}

/// One page of `ListObjectsV2`.
package struct ListingPage: Equatable, Sendable {
    package var objects: [ListedObject]
    /// With a delimiter: the folders directly below the prefix, with their trailing slash.
    package var folders: [String]
    /// Set when there is another page.
    package var nextContinuation: String?
    /// The store's clock when it answered, from the `Date` header.
    package var date: Timestamp?

    /// - Throws: `ObjectStoreError` when the body is no listing.
    package init(xml: [UInt8], date: String?) throws {
        let reader = ListingReader()
        let parser = XMLParser(data: Data(xml))
        parser.delegate = reader
        guard parser.parse(), reader.sawRoot, reader.problem == nil else {
            throw ObjectStoreError(.unexpected, reader.problem ?? "the answer is no listing of a bucket")
        }
        if reader.isTruncated && reader.continuation == nil {
            throw ObjectStoreError(.unexpected, "a truncated listing without a continuation token")
        }
        objects = reader.objects
        folders = reader.folders
        nextContinuation = reader.isTruncated ? reader.continuation : nil
        self.date = date.flatMap(Self.httpDate)
    }

    private static func httpDate(_ text: String) -> Timestamp? {
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.timeZone = TimeZone(identifier: "GMT")
        formatter.dateFormat = "EEE, dd MMM yyyy HH:mm:ss zzz"
        return formatter.date(from: text).map { Timestamp(seconds: Int64($0.timeIntervalSince1970)) }
    }
}

/// Reads `ListBucketResult`; unknown elements are passed over.
private final class ListingReader: NSObject, XMLParserDelegate {
    var objects: [ListedObject] = []
    var folders: [String] = []
    var isTruncated = false
    var continuation: String?
    var sawRoot = false
    var problem: String?

    private var path: [String] = []
    private var text = ""
    private var key: String?
    private var modified: Timestamp?
    private var etag = ""
    private var size: Int64?

    func parser(
        _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
        attributes: [String: String] = [:]
    ) {
        path.append(name)
        text = ""
        if name == "ListBucketResult" && path.count == 1 { sawRoot = true }
        if name == "Contents" { (key, modified, etag, size) = (nil, nil, "", nil) }
    }

    func parser(_ parser: XMLParser, foundCharacters string: String) { text += string }

    func parser(
        _ parser: XMLParser, didEndElement name: String, namespaceURI: String?, qualifiedName: String?
    ) {
        switch (path.dropLast().last ?? "", name) {
        case ("Contents", "Key"): key = text
        case ("Contents", "LastModified"): modified = Timestamp(rfc3339: text)
        case ("Contents", "ETag"): etag = text.filter { $0 != "\"" }
        case ("Contents", "Size"): size = Int64(text)
        case ("ListBucketResult", "Contents"): endObject()
        case ("CommonPrefixes", "Prefix"): folders.append(text)
        case ("ListBucketResult", "IsTruncated"): isTruncated = text == "true"
        case ("ListBucketResult", "NextContinuationToken"): continuation = text
        default: break
        }
        _ = path.popLast()
        text = ""
    }

    private func endObject() {
        guard let key, let modified, let size else {
            problem = "an object in the listing lacks its key, time or size"
            return
        }
        objects.append(ListedObject(key: key, lastModified: modified, etag: etag, size: size))
    }
}
