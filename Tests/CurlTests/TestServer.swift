// SPDX-License-Identifier: Apache-2.0

import Foundation
import Seams
import Testing

@testable import Curl

/// The servers of `Fixtures/server.py`, one process for the whole test run; it ends when our end of its input closes.
struct TestServer: Sendable {
    struct Ports: Decodable, Sendable {
        var folder: String
        var plain: Int
        var tls: Int
        /// Wants a client certificate.
        var mutual: Int
        /// Nobody listens there.
        var refusing: Int
        /// Connections are taken up by the system and by nobody else.
        var silent: Int
        /// A relay before nghttpd; 0 without one.
        var http2: Int
    }

    let ports: Ports

    /// Started by the first test that asks.
    static let shared = Result { try TestServer() }

    static let hasHTTP2 = ["/usr/bin", "/usr/sbin", "/usr/local/bin"].contains {
        FileManager.default.isExecutableFile(atPath: "\($0)/nghttpd")
    }

    private init() throws {
        let script = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Fixtures/server.py")
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["python3", script.path]
        let output = Pipe()
        let input = Pipe()
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        var line = Data()
        while !line.contains(0x0A) {
            let more = output.fileHandleForReading.availableData
            guard !more.isEmpty else { throw TestFailure("the test server did not start") }
            line += more
        }
        ports = try JSONDecoder().decode(Ports.self, from: line)
        // Open as long as this process lives.
        _ = Unmanaged.passRetained(input)
    }

    func pem(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: URL(filePath: "\(ports.folder)/\(name).pem")))
    }

    func key(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: URL(filePath: "\(ports.folder)/\(name).key")))
    }
}

struct TestFailure: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}

/// What most tests need: a loop, and a way to hear what happened on the server.
struct Bench: Sendable {
    let server: TestServer
    let loop: EventLoop
    /// An exchange of its own for the events, so that it shares nothing with what is tested.
    private let control: CurlExchange

    /// Runs `body`, shuts the loop down and checks that nothing is left.
    static func run(_ body: (Bench) async throws -> Void) async throws {
        let bench = try Bench()
        do {
            try await body(bench)
        } catch {
            bench.loop.shutdown()
            throw error
        }
        bench.loop.shutdown()
        let counts = await bench.loop.counts()
        #expect(counts == EventLoopCounts(transfers: 0, multis: 0, timers: 0))
    }

    private init() throws {
        server = try TestServer.shared.get()
        loop = try EventLoop(name: "test-loop")
        var settings = CurlExchange.Settings()
        settings.connections = 16
        control = try CurlExchange(
            loop: loop, origin: "http://127.0.0.1:\(server.ports.plain)", settings: settings)
    }

    func plain(_ change: (inout CurlExchange.Settings) -> Void = { _ in }) throws -> CurlExchange {
        try exchange("http", server.ports.plain, change)
    }

    func exchange(
        _ scheme: String, _ port: Int, _ change: (inout CurlExchange.Settings) -> Void = { _ in }
    ) throws -> CurlExchange {
        var settings = CurlExchange.Settings()
        change(&settings)
        return try CurlExchange(loop: loop, origin: "\(scheme)://127.0.0.1:\(port)", settings: settings)
    }

    /// Nghttpd behind its relay.
    func http2() throws -> CurlExchange {
        let authority = try server.pem("server-ca")
        return try exchange("https", server.ports.http2) { $0.tls.authorities = authority }
    }

    /// Waits until something has happened on the server; answers with the event's value.
    @discardableResult
    func happened(_ event: String) async throws -> String {
        let response = try await control.send(HTTPRequest(.get, "/wait/\(event)", timeout: 40_000))
        guard response.status == 200 else { throw TestFailure("\(event) never happened") }
        return String(decoding: response.body, as: UTF8.self)
    }

    /// The value of an event or counter just now.
    func value(_ event: String) async throws -> Int {
        let response = try await control.send(HTTPRequest(.get, "/value/\(event)"))
        return Int(String(decoding: response.body, as: UTF8.self)) ?? -1
    }

    func record(_ event: String) async throws { _ = try await control.send(HTTPRequest(.post, "/record/\(event)")) }
}

/// A name for the events of one test.
func freshKey() -> String { UUID().uuidString }

/// The error's code; anything else that happens is a failure.
func codeOf(_ work: () async throws -> Any) async -> ExchangeError.Code? {
    do {
        let value = try await work()
        Issue.record("no error but \(value)")
        return nil
    } catch let error as ExchangeError {
        #expect(!error.message.isEmpty)
        return error.code
    } catch {
        Issue.record("not an ExchangeError: \(error)")
        return nil
    }
}

/// The body that `Fixtures/server.py` makes: a counter that wraps at 251.
func isPattern(_ bytes: [UInt8], from offset: Int = 0) -> Bool {
    // Blocks and memcmp: byte by byte takes seconds in a debug build.
    let block = (0..<251 * 1_024).map { UInt8($0 % 251) }
    return bytes.withUnsafeBytes { bytes in
        block.withUnsafeBytes { block in
            guard let found = bytes.baseAddress, let expected = block.baseAddress else { return true }
            var place = 0
            while place < bytes.count {
                let start = (offset + place) % 251
                let count = min(bytes.count - place, block.count - start)
                guard memcmp(found + place, expected + start, count) == 0 else { return false }
                place += count
            }
            return true
        }
    }
}

/// Milliseconds that `work` takes.
func milliseconds(_ work: () async throws -> Void) async rethrows -> Double {
    let clock = ContinuousClock()
    let start = clock.now
    try await work()
    return (clock.now - start) / .milliseconds(1)
}
