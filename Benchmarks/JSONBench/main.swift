// SPDX-License-Identifier: Apache-2.0

// Times JSON against Foundation on the StatefulSet fixture.
//
//     swift run -c release JSONBench [Tests/Fixtures/kube/statefulset.json]
//
// Each line is the median over 101 batches, in microseconds of processor time for one call (other work on the machine
// disturbs it less than the clock on the wall).

import Foundation
import JSON

/// Only what a watch needs to file an object.
struct Meta: Codable { var metadata: Metadata }

/// A partial read, as the controller's facts are.
struct Facts: Decodable {
    struct Name: Decodable {
        var name: String
        var uid: String
        var resourceVersion: String
    }
    struct Spec: Decodable { var replicas: Int? }
    struct Status: Decodable { var readyReplicas: Int? }
    var metadata: Name
    var spec: Spec
    var status: Status?
}

struct Empty: Decodable {}

func measure(_ name: String, batch: Int = 50, _ body: () throws -> Void) rethrows {
    var times: [Double] = []
    for _ in 0..<101 {
        let start = clock()
        for _ in 0..<batch { try body() }
        times.append(Double(clock() - start) * 1e6 / Double(CLOCKS_PER_SEC) / Double(batch))
    }
    times.sort()
    print("\(name.padding(toLength: 34, withPad: " ", startingAt: 0)) \(String(format: "%8.2f", times[50])) us")
}

let path = CommandLine.arguments.dropFirst().first ?? "Tests/Fixtures/kube/statefulset.json"
let data = try Data(contentsOf: URL(fileURLWithPath: path))
let bytes = [UInt8](data)
let decoder = JSONDecoder()
let encoder = JSONEncoder()
encoder.outputFormatting = .withoutEscapingSlashes
let full = try JSON.decode(StatefulSet.self, from: bytes)
guard try decoder.decode(StatefulSet.self, from: data) == full else { fatalError("the decoders disagree") }
let value = try JSON.decode(JSONValue.self, from: bytes)
print("\(bytes.count) bytes in, \(try JSON.encode(full).count) bytes out")

try measure("decode full, Foundation") { _ = try decoder.decode(StatefulSet.self, from: data) }
try measure("decode full, JSON") { _ = try JSON.decode(StatefulSet.self, from: bytes) }
try measure("decode metadata, Foundation") { _ = try decoder.decode(Meta.self, from: data) }
try measure("decode metadata, JSON") { _ = try JSON.decode(Meta.self, from: bytes) }
try measure("decode 5 fields, Foundation") { _ = try decoder.decode(Facts.self, from: data) }
try measure("decode 5 fields, JSON") { _ = try JSON.decode(Facts.self, from: bytes) }
try measure("parse only, JSON") { _ = try JSON.decode(Empty.self, from: bytes) }
try measure("decode JSONValue, JSON") { _ = try JSON.decode(JSONValue.self, from: bytes) }
try measure("encode full, Foundation") { _ = try encoder.encode(full) }
try measure("encode full, JSON") { _ = try JSON.encode(full) }
try measure("encode full, JSON sorted keys") { _ = try JSON.encode(full, sortedKeys: true) }
try measure("encode JSONValue, JSON") { _ = try JSON.encode(value) }

let list =
    Array("{\"kind\":\"List\",\"items\":[".utf8) + Array(repeatElement(bytes, count: 500).joined(separator: [44]))
    + Array("]}".utf8)
try measure("list of 500, full, JSON", batch: 1) {
    _ = try JSON.decodeItems(Empty.self, StatefulSet.self, from: list)
}
try measure("list of 500, 5 fields, JSON", batch: 1) { _ = try JSON.decodeItems(Empty.self, Facts.self, from: list) }
