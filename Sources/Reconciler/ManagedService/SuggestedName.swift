// SPDX-License-Identifier: Apache-2.0

package import Resources

/// A name for a new service that is restored from another: `<source>-restore-<yyyymmdd-hhmm>` in UTC.
package enum SuggestedName {
    /// - Parameter moment: Of the data, so that the name stays the same until there is newer data to restore.
    /// - Returns: A DNS-1035 label of at most 52 characters; only the source's part is ever cut.
    package static func make(source: String, moment: Timestamp) -> String {
        let text = moment.rfc3339.utf8.prefix(16).filter { (0x30...0x39).contains($0) }
        let digits = String(decoding: text, as: UTF8.self)
        let suffix = "-restore-\(digits.prefix(8))-\(digits.dropFirst(8))"
        var stem = source.map { $0.isASCII && ($0.isLowercase || $0.isNumber) ? $0 : "-" }
        if stem.first?.isLowercase != true { stem.insert(contentsOf: "s-", at: 0) }
        stem = Array(stem.prefix(Names.longestService - suffix.utf8.count))
        while stem.last == "-" { stem.removeLast() }
        return String(stem) + suffix
    }
}
