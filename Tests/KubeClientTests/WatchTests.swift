// SPDX-License-Identifier: Apache-2.0

import KubeClient
import Resources
import Seams
import Testing

@Suite struct WatchTests {
    private func label(_ event: WatchEvent<Pod>) -> String {
        switch event {
        case .added(let pod): "added \(pod.metadata.name) \(event.resourceVersion)"
        case .modified(let pod): "modified \(pod.metadata.name) \(pod.status?.phase ?? "") \(event.resourceVersion)"
        case .deleted(let pod): "deleted \(pod.status?.message ?? "") \(event.resourceVersion)"
        case .bookmark(let version): "bookmark \(version)"
        case .known(let version): "known \(version)"
        case .undecodable(let object, let change): "\(change) \(object.ref) \(event.resourceVersion) \(object.message)"
        }
    }

    private func events(_ pieces: [[UInt8]]) async throws -> (events: [String], error: (any Error)?, closed: Int) {
        let exchange = ScriptedExchange([.stream(200, pieces)])
        var stream = try await APIClient(exchange).watch(Pod.self, from: "1")
        var labels: [String] = []
        var failure: (any Error)?
        do { while let event = try await stream.next() { labels.append(label(event)) } } catch { failure = error }
        #expect(try await stream.next() == nil)
        return (labels, failure, exchange.closedStreams)
    }

    private static let expected = [
        "added orders-0 1001", "modified orders-0 Succeeded 1005",
        "modified Pod tenant/orders-1 1002 JSON wrongType at object.spec.containers: Array<Any> expected",
        "bookmark 1500", "deleted größe ✓ 1009",
    ]

    @Test func everyKindOfEventCutAtEveryByte() async throws {
        let text = try fixture("watch-pods.jsonl")
        // Cut once at every 7th place, and once into single bytes.
        var cuts = stride(from: 1, to: text.count, by: 7).map { [Array(text[..<$0]), Array(text[$0...])] }
        cuts.append(text.map { [$0] })
        cuts.append([text])
        for pieces in cuts {
            let result = try await events(pieces)
            #expect(result.events == Self.expected)
            #expect((result.error as? APIError)?.code == .expired)
            #expect((result.error as? APIError)?.message == "too old resource version: 1500 (2000)")
            #expect(result.closed == 1)
        }
    }

    /// Of what is held already only the version is read, even if the rest could not be.
    @Test func whatIsKnownIsNotReadAgain() async throws {
        func line(_ type: String, _ version: String) -> String {
            let metadata = #"{"name":"x","namespace":"a","uid":"u","resourceVersion":"\#(version)"}"#
            return #"{"type":"\#(type)","object":{"metadata":\#(metadata),"status":5}}"# + "\n"
        }
        let text = line("MODIFIED", "7") + line("MODIFIED", "8") + line("DELETED", "7")
        var stream = try await APIClient(ScriptedExchange([.stream(200, [Array(text.utf8)])]))
            .watch(Pod.self, from: "1")
        let held = ObjectVersion(namespace: "a", name: "x", uid: "u", resourceVersion: "7")
        var events: [WatchEvent<Pod>] = []
        while let event = try await stream.next(unless: { $0 == held }) { events.append(event) }
        #expect(events.first == .known(resourceVersion: "7"))
        #expect(events.map(\.resourceVersion) == ["7", "8", "7"])
        for (event, change) in zip(events.dropFirst(), [WatchChange.modified, .deleted]) {
            guard case .undecodable(_, change) = event else {
                Issue.record("a change and a deletion are read: \(event)")
                continue
            }
        }
    }

    @Test func aRegularEnd() async throws {
        let line = Array(#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"5"}}}"#.utf8) + [0x0A]
        let result = try await events([line + [0x0A] + line])
        #expect(result.events == ["bookmark 5", "bookmark 5"])
        #expect(result.error == nil)
        #expect(result.closed == 1)
        #expect(try await events([]).error == nil)
    }

    private static let endings: [(String, APIError.Code)] = [
        (#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"5"}}}"#, .connectionLost),
        ("{\n", .undecodable), ("null\n", .undecodable), ("{\"type\":\"ADDED\"}\n", .undecodable),
        ("{\"type\":\"FUTURE\",\"object\":{}}\n", .undecodable),
        ("{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{}}}\n", .undecodable),
        ("{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"uid\":\"u\"}}}\n", .undecodable),
        ("{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":500,\"message\":\"etcd\"}}\n", .serverError),
        ("{\"type\":\"ERROR\",\"object\":{\"code\":410,\"reason\":\"Gone\"}}\n", .expired),
        ("{\"type\":\"ERROR\",\"object\":{}}\n", .serverError),
    ]

    @Test(arguments: endings)
    func badEnds(_ text: String, _ code: APIError.Code) async throws {
        let result = try await events([Array(text.utf8)])
        #expect(result.events.isEmpty)
        #expect((result.error as? APIError)?.code == code)
        #expect((result.error as? APIError)?.outcomeUnknown == false)
        #expect(result.closed == 1)
    }

    @Test func anOversizeLineEndsTheWatch() async throws {
        for text in [String(repeating: "hunter2", count: 20), String(repeating: "hunter2", count: 20) + "\n"] {
            let exchange = ScriptedExchange([.stream(200, [Array(text.utf8)])])
            var stream = try await APIClient(exchange, maximumLine: 100).watch(Pod.self, from: "1")
            let error = try await apiError { _ = try await stream.next() }
            #expect(error.code == .lineTooLong)
            #expect(!"\(error)".contains("hunter2"))
            #expect(exchange.closedStreams == 1)
        }
    }

    @Test func aRefusedWatch() async throws {
        let exchange = ScriptedExchange([
            .json(410, try fixture("status-expired.json")), .json(404, try fixture("status-notfound-resource.json")),
        ])
        let client = APIClient(exchange)
        #expect(try await apiError { _ = try await client.watch(RestoreRun.self, from: "1") }.code == .expired)
        #expect(try await apiError { _ = try await client.watch(RestoreRun.self, from: "1") }.code == .unknownResource)
        #expect(exchange.closedStreams == 2)
    }
}

@Suite struct BackoffTests {
    struct Highest: Entropy {
        func below(_ bound: Int64, for purpose: String) -> Int64 { max(0, bound - 1) }
        func secret(bytes: Int, for purpose: String) -> [UInt8] { [] }
    }

    @Test func bounds() {
        let backoff = Backoff(base: 100, cap: 1_000)
        #expect((-1...6).map { backoff.bound(failures: $0) } == [100, 100, 100, 200, 400, 800, 1_000, 1_000])
        #expect(backoff.bound(failures: .max) == 1_000)
        #expect(Backoff(base: 1, cap: .max).bound(failures: 100) == 86_400_000)
        #expect(Backoff(base: -5, cap: -9) == Backoff(base: 1, cap: 1))
        #expect(backoff.wait(failures: 2, entropy: Highest(), for: "x") == 200)
        #expect(backoff.wait(failures: 2, atLeast: 5_000, entropy: Highest(), for: "x") == 5_200)
    }
}
