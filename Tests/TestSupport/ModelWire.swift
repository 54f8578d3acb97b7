// SPDX-License-Identifier: Apache-2.0

import JSON
package import Resources
package import Seams

/// One call that an incarnation makes, to the API server or to the ledger.
package struct WireCall: Sendable {
    /// Counts all calls of all incarnations, in the order in which they were sent.
    package var number: Int
    package var incarnation: String
    package var verb: String
    package var target: String

    package let isWrite: Bool
    package let isAboutLease: Bool

    init(number: Int, incarnation: String, verb: String, target: String) {
        self.number = number
        self.incarnation = incarnation
        self.verb = verb
        self.target = target
        isWrite = !["GET", "WATCH", "FOLLOW", "ASK"].contains(verb)
        isAboutLease = target.contains("/leases")
    }
}

/// Where a call is on its way.
package enum WireMoment: Sendable {
    /// It has arrived, and nothing of it has happened.
    case arriving
    /// It has happened, and the answer is on its way back.
    case answering
}

/// What happens to a call at a moment.
package enum Interference: Sendable {
    case none
    /// Fails like this; when arriving, nothing happens.
    case fail(ExchangeError)
    /// Nobody hears of it again: the caller's patience decides.
    case silence
}

/// The network between incarnations and the world, shared by all of them.
package final class ModelWire: @unchecked Sendable {
    package let scheduler: Scheduler
    package let api: ModelAPI
    package private(set) var calls: [WireCall] = []
    /// Writes of all controllers, but for the lease.
    package private(set) var writeCount = 0
    /// One line for each thing that happened on the wire.
    package private(set) var trace: [String] = []
    /// Asked at both moments of each call; the place for faults, and for kills.
    package var interfere: (WireCall, WireMoment) -> Interference = { _, _ in .none }
    /// How late a watch may be, in milliseconds.
    package var watchLag: Int64 = 40
    /// How long one way of a call takes at most, in milliseconds.
    package var latency: Int64 = 8
    /// Logs that are followed.
    private var follows: [ModelStream] = []
    private let seed: UInt64
    private var draws: [String: UInt64] = [:]

    package init(_ scheduler: Scheduler, _ api: ModelAPI, seed: UInt64) {
        self.scheduler = scheduler
        self.api = api
        self.seed = seed
    }

    package func draw(_ purpose: String, below bound: Int64) -> Int64 {
        let count = draws[purpose, default: 0]
        draws[purpose] = count + 1
        return bound <= 0 ? 0 : Int64(keyedHash(seed, purpose, count) % UInt64(bound))
    }

    /// How many logs are followed.
    package var followed: Int { follows.count { $0.isOpen } }

    func hold(_ stream: ModelStream) {
        follows.removeAll { !$0.isOpen }
        follows.append(stream)
    }

    /// All connections to logs are lost, in the middle of whatever was under way.
    package func breakFollows() {
        for stream in follows { stream.fail(ExchangeError(.connectionLost, "lost")) }
        follows = []
    }

    package func note(_ line: String) { trace.append("\(scheduler.now) \(line)") }

    func begin(_ incarnation: String, _ verb: String, _ target: String) -> WireCall {
        let call = WireCall(number: calls.count, incarnation: incarnation, verb: verb, target: target)
        calls.append(call)
        if call.isWrite, !call.isAboutLease { writeCount += 1 }
        return call
    }

    /// Carries a call there and back.
    /// - Parameters:
    ///   - act: What happens at the other end.
    ///   - summary: The answer in the trace.
    func carry<Value: Sendable>(
        _ call: WireCall, on port: Port, into promise: Promise<Value>, act: @escaping () -> Result<Value, any Error>,
        summary: @escaping (Value) -> String
    ) {
        let purpose = "latency/\(call.isAboutLease ? "lease" : call.verb)"
        scheduler.after(1 + draw(purpose, below: latency), "\(call.verb) \(call.target)") { [self] in
            guard promise.isOpen, !port.isSevered else { return }
            guard pass(call, .arriving, promise), !port.isSevered else { return }
            let result = api.acting(as: call.incarnation) { act() }
            let text = (try? result.get()).map(summary) ?? "failed"
            note("\(call.incarnation) \(call.verb) \(call.target) -> \(text)")
            guard pass(call, .answering, promise), !port.isSevered else { return }
            scheduler.after(1 + draw(purpose, below: latency), "answer to \(call.verb) \(call.target)") {
                if !port.isSevered { promise.fulfil(result) }
            }
        }
    }

    private func pass<Value>(_ call: WireCall, _ moment: WireMoment, _ promise: Promise<Value>) -> Bool {
        switch interfere(call, moment) {
        case .none: return true
        case .silence: return false
        case .fail(let error):
            promise.fulfil(.failure(error))
            return false
        }
    }
}

/// One incarnation's way out. Severed, nothing of it reaches the world any more.
package final class Port: @unchecked Sendable {
    package let incarnation: String
    package private(set) var isSevered = false
    private var onSever: [() -> Void] = []

    package init(_ incarnation: String) { self.incarnation = incarnation }

    func whenSevered(_ action: @escaping () -> Void) { onSever.append(action) }

    package func sever() {
        isSevered = true
        let actions = onSever
        onSever = []
        for action in actions { action() }
    }
}

/// `Exchange` onto the model server.
package final class ModelExchange: Exchange, @unchecked Sendable {
    private let wire: ModelWire
    private let port: Port

    package init(_ wire: ModelWire, _ port: Port) {
        self.wire = wire
        self.port = port
    }

    package func send(_ request: HTTPRequest) async throws -> HTTPResponse {
        try Task.checkCancellation()
        guard !port.isSevered else { throw ExchangeError(.unreachable, "the port is severed") }
        let promise = Promise<HTTPResponse>()
        let call = wire.begin(port.incarnation, request.method.rawValue, request.target)
        let wire = wire
        let patience = patience(request.timeout, promise)
        defer { wire.scheduler.cancel(patience) }
        wire.carry(call, on: port, into: promise) {
            .success(wire.api.handle(request))
        } summary: { response in
            "\(response.status) \(keyedHash(0, String(decoding: response.body, as: UTF8.self), 0))"
        }
        return try await promise.wait()
    }

    package func open(_ request: HTTPRequest) async throws -> any HTTPStream {
        try Task.checkCancellation()
        guard !port.isSevered else { throw ExchangeError(.unreachable, "the port is severed") }
        let promise = Promise<ModelStream>()
        let isFollow = (try? Route(request.target))?.isFollow == true
        let call = wire.begin(port.incarnation, isFollow ? "FOLLOW" : "WATCH", request.target)
        let (wire, port) = (wire, port)
        let patience = patience(request.timeout, promise)
        defer { wire.scheduler.cancel(patience) }
        wire.carry(call, on: port, into: promise) {
            if isFollow { return .success(ModelFollow.open(request, on: wire, port)) }
            return Result { try ModelWatch.open(request, on: wire, port) }
        } summary: { stream in
            "\(stream.head.status)"
        }
        return try await promise.wait()
    }

    private func patience<Value>(_ length: Milliseconds, _ promise: Promise<Value>) -> Scheduler.EventID {
        wire.scheduler.after(length, "call timeout", isHeartbeat: true) {
            promise.fulfil(.failure(ExchangeError(.timedOut, "no answer in \(length) ms")))
        }
    }
}

/// `RunLedger` onto the model ledger, over the same wire.
package final class WiredLedger: RunLedger, @unchecked Sendable {
    private let wire: ModelWire
    private let port: Port
    private let ledger: ModelLedgerStore
    private let cluster: String

    package init(_ wire: ModelWire, _ port: Port, _ ledger: ModelLedgerStore, cluster: String) {
        self.wire = wire
        self.port = port
        self.ledger = ledger
        self.cluster = cluster
    }

    package func record(_ entry: LedgerEntry, epoch: Int64) async throws -> LedgerRow {
        try await call("RECORD", "ledger/\(entry.name)/\(entry.status)/\(entry.phase)") { ledger, cluster in
            try ledger.record(entry, cluster: cluster, epoch: epoch)
        }
    }

    package func run(uid: String) async throws -> LedgerRow? {
        try await call("ASK", "ledger/\(uid)") { ledger, cluster in
            try ledger.run(ModelLedgerStore.Key(cluster: cluster, run: uid))
        }
    }

    private func call<Value: Sendable>(
        _ verb: String, _ target: String, _ act: @escaping (ModelLedgerStore, String) throws -> Value
    ) async throws -> Value {
        try Task.checkCancellation()
        guard !port.isSevered else { throw LedgerError(.unavailable, "the port is severed") }
        let promise = Promise<Value>()
        let (ledger, cluster) = (ledger, cluster)
        let call = wire.begin(port.incarnation, verb, target)
        wire.carry(call, on: port, into: promise) {
            Result { try act(ledger, cluster) }
        } summary: {
            "\($0)"
        }
        do { return try await promise.wait() } catch let error as ExchangeError {
            throw LedgerError(.unavailable, error.message)
        }
    }
}
