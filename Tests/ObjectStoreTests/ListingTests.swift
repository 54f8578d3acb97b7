// SPDX-License-Identifier: Apache-2.0

import Foundation
import Resources
import Testing

@testable import ObjectStore

@Suite struct ListingTests {
    static func item(_ key: String, size: String = "5") -> String {
        """
        <Contents><Key>\(key)</Key><LastModified>2025-12-19T02:00:05.123Z</LastModified>\
        <ETag>&quot;0a&quot;</ETag><Size>\(size)</Size><Owner><ID>x</ID><Key>not this</Key></Owner></Contents>
        """
    }

    static func document(_ inside: String, type: String = "") -> String {
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\(type)<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
            + "<Name>b</Name><Prefix>p/</Prefix>\(inside)</ListBucketResult>"
    }

    private func page(_ text: String, date: String? = nil) throws -> ListingPage {
        try ListingPage(xml: Array(text.utf8), date: date)
    }

    @Test("a page as S3 gives it")
    func fixture() throws {
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(
            path: "../Fixtures/walg/list-wal-1.xml")
        let page = try ListingPage(xml: [UInt8](try Data(contentsOf: file)), date: "Fri, 19 Dec 2025 02:00:07 GMT")
        #expect(page.objects.count == 11)
        #expect(page.nextContinuation == "1Xb2cFtZr0JqkF1b3Ywz7g==")
        #expect(page.date == Timestamp(rfc3339: "2025-12-19T02:00:07Z"))
        let first = ListedObject(
            key: "orders/15/wal_005/000000010000000000000001.lz4",
            lastModified: try #require(Timestamp(rfc3339: "2025-12-19T02:00:05Z")),
            etag: "000000616f2a4d1bb37c9e05aa10f2d4", size: 68_112)
        #expect(page.objects.first == first)
    }

    @Test(
        "keys are read as they are",
        arguments: [
            ("a&amp;b&lt;c&gt;&quot;&apos;", "a&b<c>\"'"), ("&#228;&#x65E5;", "ä日"),
            ("<![CDATA[<x>&amp;]]>", "<x>&amp;"),
            ("a<!-- no -->b", "ab"), ("日本語/ü", "日本語/ü"), (" ", " "), ("", ""), ("%41+b", "%41+b"),
        ])
    func keys(_ text: String, _ key: String) throws {
        let page = try page(Self.document(Self.item(text) + Self.item("z")))
        #expect(page.objects.map(\.key) == [key, "z"])
        #expect(page.objects.first?.etag == "0a")
    }

    @Test("keys that the store encoded are decoded, wherever it says so")
    func encodedKeys() throws {
        let folder = "<CommonPrefixes><Prefix>f%20o/</Prefix></CommonPrefixes>"
        for order in 0...1 {
            let parts = [Self.item("a%01+b%2B/%C3%A4"), "<EncodingType>url</EncodingType>"]
            let page = try page(Self.document(parts[order] + folder + parts[1 - order]))
            #expect(page.objects.map(\.key) == ["a\u{1} b+/ä"])
            #expect(page.folders == ["f o/"])
        }
        for broken in ["a%", "a%4", "a%zz", "%FF"] {
            #expect(throws: ObjectStoreError.self) {
                try page(Self.document("<EncodingType>url</EncodingType>" + Self.item(broken)))
            }
        }
    }

    @Test("the last page has no continuation, whatever it says")
    func lastPage() throws {
        let token = "<NextContinuationToken>t</NextContinuationToken>"
        #expect(try page(Self.document("<IsTruncated>false</IsTruncated>" + token)).nextContinuation == nil)
        #expect(try page(Self.document("<IsTruncated>true</IsTruncated>" + token)).nextContinuation == "t")
    }

    @Test("a page that was cut off anywhere is an error, never a shorter page")
    func truncated() {
        let whole = Array(Self.document(Self.item("one") + Self.item("two")).utf8)
        for length in 0..<whole.count {
            #expect(throws: ObjectStoreError.self, "\(length)") {
                try ListingPage(xml: Array(whole.prefix(length)), date: nil)
            }
        }
        #expect(throws: Never.self) { try ListingPage(xml: whole, date: nil) }
    }

    static let hostile: [String] = [
        "", "{}", "<html><body>hello</body></html>", "<Error><Code>AccessDenied</Code></Error>",
        document(item("a"), type: "<!DOCTYPE ListBucketResult>"),
        document(item("&a;"), type: "<!DOCTYPE ListBucketResult [<!ENTITY a \"x\">]>"),
        document(item("&a;"), type: "<!DOCTYPE ListBucketResult [<!ENTITY a SYSTEM \"file:///etc/hostname\">]>"),
        document(item("a"), type: "<!DOCTYPE ListBucketResult SYSTEM \"http://127.0.0.1:1/x.dtd\">"),
        document(item("&unknown;")), document(item("a\u{1}b")), document(item("&#1;")), document(item("a") + "</x>"),
        document("<Contents><Key>a</Key><Size>1</Size></Contents>"),
        document("<Contents><Key>a</Key><LastModified>yesterday</LastModified><Size>1</Size></Contents>"),
        document(item("a", size: "1e3")), document(item("a", size: "99999999999999999999")),
        document("<IsTruncated>true</IsTruncated>"), document("") + document(""),
        document(String(repeating: "<a>", count: 5_000)), "<a>" + document(item("a")) + "</a>",
    ]

    @Test("what is no listing, or wants to be more than one, is refused", arguments: hostile)
    func refused(_ text: String) {
        #expect { try page(text) } throws: { ($0 as? ObjectStoreError)?.code == .unexpected }
    }

    @Test("a tag of megabytes is refused before anything compares its attributes with each other")
    func longTag() {
        let attributes = (0..<100_000).map { "a\($0)=\"b\"" }.joined(separator: " ")
        let start = ContinuousClock.now
        #expect(throws: ObjectStoreError.self) { try page("<ListBucketResult \(attributes)/>") }
        #expect(throws: ObjectStoreError.self) { try page("<ListBucketResult \(attributes)") }
        // It would take minutes.
        #expect(ContinuousClock.now - start < .seconds(20))
    }

    @Test("bytes that are no UTF-8 are refused")
    func notUnicode() {
        var bytes = Array(Self.document(Self.item("Xa")).utf8)
        bytes[bytes.firstIndex(of: UInt8(ascii: "X")) ?? 0] = 0xFF
        #expect(throws: ObjectStoreError.self) { try ListingPage(xml: bytes, date: nil) }
    }

    @Test(
        "dates of HTTP",
        arguments: [
            ("Sun, 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37Z"),
            ("Sat, 01 Jan 2028 00:00:00 GMT", "2028-01-01T00:00:00Z"),
            ("Sun, 6 Nov 1994 08:49:37 GMT", nil), ("Sunday, 06-Nov-94 08:49:37 GMT", nil), ("", nil),
            ("Sun, 31 Feb 1994 08:49:37 GMT", nil), ("Sun, 06 Nov 1994 08:49:37 CET", nil),
        ] as [(String, String?)])
    func dates(_ text: String, _ moment: String?) {
        #expect(ListingPage.httpDate(text)?.rfc3339 == moment)
    }
}
