// SPDX-License-Identifier: Apache-2.0

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

    /// - Throws: `ObjectStoreError` when the body is no listing, or is cut off.
    package init(xml: [UInt8], date: String?) throws {
        let parsed = try ListingParser(xml)
        objects = parsed.objects
        folders = parsed.folders
        nextContinuation = parsed.isTruncated ? parsed.continuation : nil
        self.date = date.flatMap(Self.httpDate)
    }

    /// Reads `Sun, 06 Nov 1994 08:49:37 GMT`, the one form of a date that servers write.
    static func httpDate(_ text: String) -> Timestamp? {
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let words = text.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 6, words[5] == "GMT", words[1].count == 2,
            let month = months.firstIndex(where: { $0 == words[2] })
        else { return nil }
        let number = month < 9 ? "0\(month + 1)" : "\(month + 1)"
        return Timestamp(rfc3339: "\(words[3])-\(number)-\(words[1])T\(words[4])Z")
    }
}
