// SPDX-License-Identifier: Apache-2.0

internal import CLibXML
internal import Resources

/// Reads `ListBucketResult` with libxml2's SAX interface: a page is never held as a tree.
///
/// Attributes and unknown elements are passed over. A document type is refused, so there are no entities but XML's own
/// five, and nothing is ever fetched.
struct ListingParser {
    var objects: [ListedObject] = []
    var folders: [String] = []
    var isTruncated = false
    var continuation: String?
    /// Keys and prefixes are percent-encoded, as `encoding-type=url` asks for. Not every store does so, and it may say
    /// so behind the first key.
    var isEncoded = false
    private var sawRoot = false
    private var problem: String?
    /// Elements deeper than this are none that count.
    private var path: [Element] = []
    private var depth = 0
    private var text: [UInt8] = []
    private var isReadingText = false
    private var object = PartialObject()

    private struct PartialObject {
        var key: String?
        var modified: Timestamp?
        var etag = ""
        var size: Int64?
    }

    private enum Element {
        case list, contents, commonPrefixes
        case key, lastModified, etag, size, prefix, isTruncated, continuation, encodingType
        case other

        var holdsText: Bool {
            switch self {
            case .list, .contents, .commonPrefixes, .other: false
            default: true
            }
        }
    }

    /// - Throws: `ObjectStoreError` when the bytes are no complete listing.
    init(_ xml: [UInt8]) throws(ObjectStoreError) {
        let isWhole = withUnsafeMutablePointer(to: &self) { Self.parse(xml, into: $0) }
        if let problem { throw ObjectStoreError(.unexpected, problem) }
        guard isWhole, sawRoot else { throw ObjectStoreError(.unexpected, "the answer is no listing of a bucket") }
        if isTruncated && continuation == nil {
            throw ObjectStoreError(.unexpected, "a truncated listing without a continuation token")
        }
        if isEncoded { try decodeNames() }
    }

    private mutating func decodeNames() throws(ObjectStoreError) {
        for index in objects.indices {
            guard let key = S3Encoding.decoded(objects[index].key) else {
                throw ObjectStoreError(.unexpected, "a key in the listing is not encoded as it says")
            }
            objects[index].key = key
        }
        for index in folders.indices {
            guard let folder = S3Encoding.decoded(folders[index]) else {
                throw ObjectStoreError(.unexpected, "a prefix in the listing is not encoded as it says")
            }
            folders[index] = folder
        }
    }

    // MARK: libxml2

    /// The longest tag that is read, in bytes; those of a listing have less than a hundred. libxml2 compares each
    /// attribute of a tag with all others, so that a tag of megabytes would take minutes.
    private static let longestTag = 4 << 10

    private static func hasLongTag(_ xml: [UInt8]) -> Bool {
        xml.withUnsafeBufferPointer { bytes in
            var open: Int?
            for (index, byte) in bytes.enumerated() {
                switch byte {
                case UInt8(ascii: "<"): if open == nil { open = index }
                case UInt8(ascii: ">"):
                    if let start = open, index - start > longestTag { return true }
                    open = nil
                default: break
                }
            }
            return open.map { bytes.count - $0 > longestTag } ?? false
        }
    }

    private static func parse(_ xml: [UInt8], into parser: UnsafeMutablePointer<ListingParser>) -> Bool {
        if hasLongTag(xml) { return false }
        var handler = reprise_sax_handler()
        handler.internalSubset = { user, _, _, _ in ListingParser.at(user)?.pointee.sawDocumentType() }
        handler.startElementNs = { user, name, _, _, _, _, _, _, _ in ListingParser.at(user)?.pointee.started(name) }
        handler.endElementNs = { user, _, _, _ in ListingParser.at(user)?.pointee.ended() }
        handler.characters = { user, bytes, count in ListingParser.at(user)?.pointee.read(bytes, count) }
        // White space between two elements of text is text: a key may be a blank.
        handler.ignorableWhitespace = { user, bytes, count in ListingParser.at(user)?.pointee.read(bytes, count) }
        guard let context = xmlCreatePushParserCtxt(&handler, parser, nil, 0, nil) else { return false }
        defer { xmlFreeParserCtxt(context) }
        let options = XML_PARSE_NONET.rawValue | XML_PARSE_NOERROR.rawValue | XML_PARSE_NOWARNING.rawValue
        _ = xmlCtxtUseOptions(context, Int32(options))
        // In pieces: once something is wrong the rest is not looked at.
        let piece = 64 << 10
        var start = 0
        repeat {
            let end = min(start + piece, xml.count)
            let code = xml[start..<end].withContiguousStorageIfAvailable { bytes in
                bytes.withMemoryRebound(to: CChar.self) { chars in
                    xmlParseChunk(context, chars.baseAddress, Int32(chars.count), end == xml.count ? 1 : 0)
                }
            }
            guard code == 0, parser.pointee.problem == nil else { return false }
            start = end
        } while start < xml.count
        return context.pointee.wellFormed == 1
    }

    private static func at(_ user: UnsafeMutableRawPointer?) -> UnsafeMutablePointer<ListingParser>? {
        user?.assumingMemoryBound(to: ListingParser.self)
    }

    private mutating func sawDocumentType() { problem = "a listing with a document type is not read" }

    private mutating func started(_ name: UnsafePointer<xmlChar>?) {
        depth += 1
        guard depth <= 3 else {
            isReadingText = false
            return
        }
        let element = name.map(Self.element) ?? .other
        path.append(element)
        text.removeAll(keepingCapacity: true)
        isReadingText = element.holdsText
        if depth == 1, element == .list { sawRoot = true }
        if depth == 2, element == .contents { object = PartialObject() }
    }

    private mutating func read(_ bytes: UnsafePointer<xmlChar>?, _ count: Int32) {
        guard isReadingText, let bytes, count > 0 else { return }
        text.append(contentsOf: UnsafeBufferPointer(start: bytes, count: Int(count)))
    }

    private mutating func ended() {
        defer { depth -= 1 }
        guard depth <= 3, let element = path.popLast(), path.first == .list else { return }
        isReadingText = false
        switch (path.count, path.last, element) {
        case (2, .contents, .key): object.key = string
        case (2, .contents, .lastModified): object.modified = Timestamp(rfc3339: string)
        case (2, .contents, .etag):
            text.removeAll { $0 == UInt8(ascii: "\"") }
            object.etag = string
        case (2, .contents, .size): object.size = Int64(string)
        case (1, _, .contents): endObject()
        case (2, .commonPrefixes, .prefix): folders.append(string)
        case (1, _, .isTruncated): isTruncated = string == "true"
        case (1, _, .continuation): continuation = string
        case (1, _, .encodingType): isEncoded = string == "url"
        default: break
        }
    }

    private var string: String { String(decoding: text, as: UTF8.self) }

    private mutating func endObject() {
        guard let key = object.key, let modified = object.modified, let size = object.size else {
            problem = "an object in the listing lacks its key, time or size"
            return
        }
        objects.append(ListedObject(key: key, lastModified: modified, etag: object.etag, size: size))
    }

    /// By first letter, then by the whole word: this runs some thousand times for each page.
    private static func element(_ name: UnsafePointer<xmlChar>) -> Element {
        func isWord(_ word: StaticString) -> Bool { xmlStrEqual(name, word.utf8Start) == 1 }
        switch name.pointee {
        case UInt8(ascii: "K"): return isWord("Key") ? .key : .other
        case UInt8(ascii: "L"):
            return isWord("LastModified") ? .lastModified : isWord("ListBucketResult") ? .list : .other
        case UInt8(ascii: "E"): return isWord("ETag") ? .etag : isWord("EncodingType") ? .encodingType : .other
        case UInt8(ascii: "S"): return isWord("Size") ? .size : .other
        case UInt8(ascii: "C"):
            return isWord("Contents") ? .contents : isWord("CommonPrefixes") ? .commonPrefixes : .other
        case UInt8(ascii: "P"): return isWord("Prefix") ? .prefix : .other
        case UInt8(ascii: "I"): return isWord("IsTruncated") ? .isTruncated : .other
        case UInt8(ascii: "N"): return isWord("NextContinuationToken") ? .continuation : .other
        default: return .other
        }
    }
}
