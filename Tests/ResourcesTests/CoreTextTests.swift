// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Resources

/// Names, quantities, durations and log positions: text that people write and the controller calculates with.
@Suite struct CoreTextTests {
    /// What the kubelet makes of a command or a value, where there are no variables of that name.
    private static func expanded(_ text: String) -> String {
        var result = ""
        var rest = Substring(text)
        while let first = rest.popFirst() {
            if first == "$", rest.first == "$" { rest.removeFirst() }
            result.append(first)
        }
        return result
    }

    @Test(
        "what a pod is to get as it is comes out of the kubelet's expansion as it was",
        arguments: [
            "plain", "a $x and ${y}", "$$", "do $$ begin end $$", "cost: 5$", "$(hostname)", "$$(POD)", "x$(a)$b$$c$$$",
            "",
            "$", "größe: $(x)",
        ])
    func expansion(_ text: String) {
        let escaped = Expansion.escaped(text)
        #expect(Self.expanded(escaped) == text)
        // A reference must not be left: there may be a variable of that name.
        #expect(!escaped.replacing("$$", with: "").contains("$("))
        #expect(VariableManifest("A", value: text).value == escaped)
        #expect(Expansion.shell(text) == ["/bin/sh", "-c", escaped, "reprise"])
    }

    @Test(
        arguments: [
            ("0", 0), ("1", 1), ("20Gi", 21_474_836_480), ("1Ki", 1_024), ("1Mi", 1 << 20), ("1Ti", 1 << 40),
            ("1Pi", 1 << 50), ("7Ei", 7 << 60), ("1k", 1_000), ("1M", 1_000_000), ("1.5G", 1_500_000_000),
            ("2T", 2_000_000_000_000), ("3P", 3_000_000_000_000_000), ("9E", 9_000_000_000_000_000_000),
            ("1e3", 1_000), ("1E3", 1_000), ("1e-3", 1), ("1500m", 2), ("1m", 1), ("1n", 1), ("1u", 1), ("0.1", 1),
            ("0.5Ki", 512), ("0.0001Ki", 1), (".5", 1), ("5.", 5), ("+5", 5), ("-5", -5), ("-0.5", 0), ("-1500m", -1),
            ("1.0000000000000000000001", 2), ("0.0000000000000000000000000000000000000001Ei", 1), ("0e9999", 0),
            ("0E", 0), ("9223372036854775807", Int64.max), ("-9223372036854775808", Int64.min), ("00000000001", 1),
            ("9223372036854775807000m", Int64.max), ("1e18", 1_000_000_000_000_000_000), ("1000000e-6", 1),
        ] as [(String, Int64)])
    func quantity(text: String, bytes: Int64) {
        #expect(Quantity.bytes(text) == bytes)
        #expect(Quantity.isValid(text))
    }

    @Test(arguments: [
        "9223372036854775808", "9223372036854775806.5e1", "8Ei", "10E", "1e19", "1e400", "9223372036854775807.1",
    ])
    func quantityTooLarge(text: String) {
        #expect(Quantity.bytes(text) == nil)
        #expect(Quantity.isValid(text))
    }

    @Test(arguments: [
        "", " ", "10GB", "1e400Gi", "Gi", ".", "+", "-", "1..5", "1.5.5", "1,5", "1 Gi", "20gi", "1K", "1kb", "1e",
        "1e+",
        "1e12345", "1\u{212A}i", "0x10", "١", "1Gi\n", "--1", "1e1.5", "NaN", "inf", "1_000",
        String(repeating: "1", count: 65),
    ])
    func noQuantity(text: String) {
        #expect(Quantity.bytes(text) == nil)
        #expect(!Quantity.isValid(text))
    }

    @Test(
        arguments: [
            ("90s", 90), ("30m", 1_800), ("4h", 14_400), ("1h30m", 5_400), ("1h1s", 3_601), ("0s", 0),
            ("1h0m1s", 3_601),
            ("999999h", 3_599_996_400), ("007s", 7),
        ] as [(String, Int64)])
    func duration(text: String, seconds: Int64) {
        #expect(Durations.seconds(text) == seconds)
    }

    @Test(arguments: [
        "", "90", "h", "7d", "1.5h", "-1h", "+1h", "1h ", " 1h", "30m1h", "1s1s", "1H", "1ms", "1h30", "9999999h", "١h",
        "1\u{0}s", "9999999999s",
    ])
    func noDuration(text: String) {
        #expect(Durations.seconds(text) == nil)
    }

    @Test(
        arguments: [
            ("0/0", 0), ("0/1", 1), ("16/B374D848", 0x16_B374_D848), ("16/b374d848", 0x16_B374_D848),
            ("FFFFFFFF/FFFFFFFF", UInt64.max), ("1/0", 1 << 32), ("00000001/00000002", 1 << 32 | 2),
        ] as [(String, UInt64)])
    func position(text: String, value: UInt64) throws {
        #expect(LSN(text)?.value == value)
        #expect(LSN(LSN(value).description)?.value == value)
    }

    @Test func positionAsText() {
        #expect(LSN(0x16_B374_D848).description == "16/B374D848")
        #expect(LSN(0).description == "0/0")
        #expect(LSN(1 << 32 | 0xF).description == "1/F")
        #expect(LSN(1 << 32) > LSN(0xFFFF_FFFF))
    }

    @Test(arguments: [
        "", "/", "1/", "/1", "1", "1/2/3", "-1/1", "+1/1", "1/+1", "G/1", "123456789/1", "1/123456789", "0x1/1", "1 /1",
        "1/1\n", "１/1",
    ])
    func noPosition(text: String) {
        #expect(LSN(text) == nil)
    }

    @Test(arguments: [
        "0001-01-01T00:00:00+00:01", "0001-01-01T00:00:00.5+00:30", "9999-12-31T23:59:59-00:01",
        "9999-12-31T23:59:59-23:59",
    ])
    func noMomentOutsideOfTheYearsThatCanBeWritten(text: String) {
        #expect(Timestamp(rfc3339: text) == nil)
    }

    @Test(arguments: ["0001-01-01T00:00:00Z", "0001-01-01T23:59:00+23:59", "9999-12-31T00:00:00.999999-23:59"])
    func momentAtTheEdge(text: String) throws {
        let moment = try #require(Timestamp(rfc3339: text))
        #expect(Timestamp(rfc3339: moment.rfc3339) == moment)
    }

    @Test(
        arguments: [
            // text, DNS-1035 label, DNS-1123 label, DNS-1123 subdomain
            ("a", true, true, true), ("orders-db", true, true, true), ("a1", true, true, true),
            ("9a", false, true, true),
            ("a.b", false, false, true), ("", false, false, false), ("-a", false, false, false),
            ("a-", false, false, false),
            ("A", false, false, false), ("a_b", false, false, false), ("a..b", false, false, false),
            (".a", false, false, false),
            ("a.", false, false, false), ("a\n", false, false, false), ("а", false, false, false),
            ("a b", false, false, false),
            ("a-.b", false, false, false), ("é", false, false, false), ("a\u{301}", false, false, false),
        ] as [(String, Bool, Bool, Bool)])
    func names(text: String, label1035: Bool, label1123: Bool, subdomain: Bool) {
        #expect(Names.isDNS1035Label(text) == label1035)
        #expect(Names.isDNS1123Label(text) == label1123)
        #expect(Names.isDNS1123Subdomain(text) == subdomain)
    }

    @Test(arguments: [52, 53, 63, 64, 253, 254])
    func lengths(count: Int) {
        let text = String(repeating: "a", count: count)
        #expect(Names.isDNS1035Label(text, maximum: Names.longestService) == (count <= 52))
        #expect(Names.isDNS1035Label(text) == (count <= 63))
        #expect(Names.isDNS1123Subdomain(text) == (count <= 253))
        #expect(Names.isLabelValue(text) == (count <= 63))
        #expect(Names.isVariable(text) == (count <= 128))
        #expect(Names.isDataKey(text) == (count <= 253))
    }

    @Test(arguments: [
        ("team", true), ("example.com/team", true), ("a.b_c-D", true), ("a/b/c", false), ("/a", false), ("a/", false),
        ("A.com/b", false), ("", false), ("a b", false), ("-a", false), ("a..b/c", false),
        ("x/\(String(repeating: "a", count: 64))", false),
    ])
    func labelKeys(text: String, isValid: Bool) {
        #expect(Names.isQualifiedName(text) == isValid)
    }

    @Test(arguments: [("", true), ("x_1.y", true), ("x y", false), ("-x", false), ("x.", false), ("ü", false)])
    func labelValues(text: String, isValid: Bool) {
        #expect(Names.isLabelValue(text) == isValid)
    }

    @Test(arguments: [
        ("A", true), ("_a1", true), ("1A", false), ("A-B", false), ("A=B", false), ("", false), ("Ä", false),
    ])
    func variables(text: String, isValid: Bool) {
        #expect(Names.isVariable(text) == isValid)
    }

    @Test(arguments: [
        ("ca.crt", true), ("_K-1", true), (".", false), ("..", false), ("..a", false), ("a/b", false), ("", false),
    ])
    func dataKeys(text: String, isValid: Bool) {
        #expect(Names.isDataKey(text) == isValid)
    }
}
