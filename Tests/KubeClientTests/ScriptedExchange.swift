// SPDX-License-Identifier: Apache-2.0

import Foundation
import KubeClient
import Resources
import Seams
import Synchronization

/// An exchange that gives prepared answers in order and keeps what it was asked.
final class ScriptedExchange: Exchange {
    enum Step: Sendable {
        case answer(HTTPResponse)
        /// A stream: its head's status, and its pieces.
        case stream(Int, [[UInt8]])
        case failure(any Error)

        static func json(_ status: Int, _ body: [UInt8], headers: [HTTPHeader] = []) -> Step {
            let type = HTTPHeader("Content-Type", "application/json")
            return .answer(HTTPResponse(status: status, headers: [type] + headers, body: body))
        }
    }

    private struct State {
        var steps: [Step]
        var requests: [HTTPRequest] = []
        var closed = 0
    }

    private let state: Mutex<State>

    init(_ steps: [Step]) { state = Mutex(State(steps: steps)) }

    var requests: [HTTPRequest] { state.withLock { $0.requests } }
    var targets: [String] { requests.map(\.target) }
    var remaining: Int { state.withLock { $0.steps.count } }
    var closedStreams: Int { state.withLock { $0.closed } }

    private func take(_ request: HTTPRequest) throws -> Step {
        try state.withLock { state in
            state.requests.append(request)
            if state.steps.isEmpty { throw ExchangeError(.unreachable, "the script is over") }
            return state.steps.removeFirst()
        }
    }

    func send(_ request: HTTPRequest) async throws -> HTTPResponse {
        switch try take(request) {
        case .answer(let response): return response
        case .stream: throw ExchangeError(.invalidRequest, "a stream was prepared")
        case .failure(let error): throw error
        }
    }

    func open(_ request: HTTPRequest) async throws -> any HTTPStream {
        switch try take(request) {
        case .answer(let response):
            let head = HTTPResponse(status: response.status, headers: response.headers)
            return ScriptedStream(head, [response.body], onClose: { [self] in close() })
        case .stream(let status, let pieces):
            return ScriptedStream(HTTPResponse(status: status), pieces, onClose: { [self] in close() })
        case .failure(let error): throw error
        }
    }

    private func close() { state.withLock { $0.closed += 1 } }
}

final class ScriptedStream: HTTPStream {
    let head: HTTPResponse
    private let pieces: Mutex<[[UInt8]]>
    private let onClose: @Sendable () -> Void

    init(_ head: HTTPResponse, _ pieces: [[UInt8]], onClose: @escaping @Sendable () -> Void) {
        self.head = head
        self.pieces = Mutex(pieces)
        self.onClose = onClose
    }

    func next() async throws -> [UInt8]? { pieces.withLock { $0.isEmpty ? nil : $0.removeFirst() } }
    func close() { onClose() }
}

struct MissingFixture: Error { var name: String }

/// A file of `Tests/Fixtures/kube`.
func fixture(_ name: String) throws -> [UInt8] {
    let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    guard let data = FileManager.default.contents(atPath: tests.path + "/Fixtures/kube/" + name) else {
        throw MissingFixture(name: name)
    }
    return [UInt8](data)
}

/// The error of a call that must fail with an `APIError`.
func apiError(_ call: () async throws -> Void) async throws -> APIError {
    do { try await call() } catch let error as APIError { return error }
    throw NoError()
}

struct NoError: Error {}

final class FixedTime: Timekeeper {
    private let point = Mutex<Int64>(0)
    var now: Timestamp { Timestamp(seconds: 0) }
    var uptime: Uptime { Uptime(milliseconds: point.withLock { $0 }) }
    func advance(_ milliseconds: Int64) { point.withLock { $0 += milliseconds } }
    func sleep(until moment: Uptime, for purpose: TimerPurpose) async throws {}
}
