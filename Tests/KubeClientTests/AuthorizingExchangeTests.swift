// SPDX-License-Identifier: Apache-2.0

import KubeClient
import Seams
import Synchronization
import Testing

@Suite struct AuthorizingExchangeTests {
    /// A file that changes.
    final class File: Sendable {
        private let state: Mutex<(text: String?, reads: Int)>
        init(_ text: String?) { state = Mutex((text, 0)) }
        func set(_ text: String?) { state.withLock { $0.text = text } }
        var reads: Int { state.withLock { $0.reads } }
        func read() -> [UInt8]? {
            state.withLock { state in
                state.reads += 1
                return state.text.map { Array($0.utf8) }
            }
        }
    }

    private static let ok = ScriptedExchange.Step.json(200, [])
    private static let refused = ScriptedExchange.Step.json(401, [])
    private static let request = HTTPRequest(.get, "/api")

    private func tokens(_ exchange: ScriptedExchange) -> [String] {
        exchange.requests.map { request in
            request.headers.first { $0.name == "Authorization" }?.value ?? ""
        }
    }

    @Test func fixedOrNone() async throws {
        let base = ScriptedExchange([Self.ok, Self.ok, Self.refused])
        let none = AuthorizingExchange(base, token: .none, pathPrefix: "/p", time: FixedTime(), readFile: { _ in nil })
        _ = try await none.send(Self.request)
        let fixed = AuthorizingExchange(base, token: .fixed("t"), time: FixedTime(), readFile: { _ in nil })
        _ = try await fixed.send(Self.request)
        #expect(try await fixed.send(Self.request).status == 401)
        #expect(tokens(base) == ["", "Bearer t", "Bearer t"])
        #expect(base.targets == ["/p/api", "/api", "/api"])
    }

    @Test func aFileIsReadOnceAMinute() async throws {
        let (base, file, time) = (ScriptedExchange(Array(repeating: Self.ok, count: 5)), File("one\n"), FixedTime())
        let exchange = AuthorizingExchange(base, token: .file("f"), time: time, readFile: { _ in file.read() })
        _ = try await exchange.send(Self.request)
        file.set("two")
        time.advance(59_999)
        _ = try await exchange.send(Self.request)
        time.advance(1)
        _ = try await exchange.send(Self.request)
        file.set(nil)
        time.advance(60_000)
        _ = try await exchange.send(Self.request)
        file.set("bad\u{1}token")
        time.advance(60_000)
        _ = try await exchange.send(Self.request)
        #expect(tokens(base) == ["Bearer one", "Bearer one", "Bearer two", "Bearer two", "Bearer two"])
        #expect(file.reads == 4)
    }

    @Test func a401ReadsAtOnceAndTriesAgainOnlyWithAnotherToken() async throws {
        let base = ScriptedExchange(
            [Self.ok, Self.refused, Self.ok] + Array(repeating: Self.refused, count: 4) + [Self.ok])
        let (file, time) = (File("one"), FixedTime())
        let exchange = AuthorizingExchange(base, token: .file("f"), time: time, readFile: { _ in file.read() })
        _ = try await exchange.send(Self.request)
        file.set("two")
        #expect(try await exchange.send(Self.request).status == 200)
        #expect(try await exchange.send(Self.request).status == 401)
        file.set("three")
        #expect(try await exchange.send(Self.request).status == 401)
        file.set("four")
        let stream = try await exchange.open(Self.request)
        #expect(stream.head.status == 200)
        #expect(base.remaining == 0)
        #expect(
            tokens(base) == [
                "Bearer one", "Bearer one", "Bearer two", "Bearer two", "Bearer two", "Bearer three", "Bearer three",
                "Bearer four",
            ])
    }

    @Test func noTokenAtAll() async throws {
        let (base, file) = (ScriptedExchange([Self.ok]), File(nil))
        let exchange = AuthorizingExchange(base, token: .file("f"), time: FixedTime(), readFile: { _ in file.read() })
        let error = await #expect(throws: ExchangeError.self) { try await exchange.send(Self.request) }
        #expect(error?.code == .unreachable)
        #expect(base.requests.isEmpty)
        file.set("t")
        _ = try await exchange.send(Self.request)
        #expect(tokens(base) == ["Bearer t"])
    }
}
