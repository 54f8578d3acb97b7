// SPDX-License-Identifier: Apache-2.0

import JSON
import Resources
package import Seams

/// One call that an incarnation makes, to the API server or to the ledger.
package struct WireCall: Sendable {
    /// Counts all calls of all incarnations, in the order in which they were sent.
    package var number: Int
    package var incarnation: String
    package var verb: String
    package var target: String

    /// Of a POST: what it wants to make.
    package var name: String?
    /// Of what it says, to tell two writes to one object apart.
    package var digest: UInt64

    package let isWrite: Bool
    package let isAboutLease: Bool
    /// What it is, for those who ask what is still to come.
    let label: String

    init(number: Int, incarnation: String, verb: String, target: String, name: String? = nil, digest: UInt64 = 0) {
        self.number = number
        self.incarnation = incarnation
        self.verb = verb
        self.target = target
        self.name = name
        self.digest = digest
        isWrite = !["GET", "WATCH", "FOLLOW", "ASK", "SEEK"].contains(verb)
        isAboutLease = target.holds("/leases")
        label = "\(verb) \(target)"
    }
}

/// Where a call is on its way.
package enum WireMoment: Sendable {
    /// Its caller has let it go. Nothing can happen to it yet: only onlookers are told.
    case sent
    /// It has arrived, and nothing of it has happened.
    case arriving
    /// It has happened, and the answer is on its way back.
    case answering
    /// The caller has the answer, and has done nothing with it yet.
    case answered
}

/// What happens to a call at a moment.
package enum Interference: Sendable {
    case none
    /// Fails like this; when arriving, nothing happens.
    case fail(ExchangeError)
    /// Nobody hears of it again: the caller's patience decides.
    case silence
    /// Somebody else answers, for an HTTP call; a call of the ledger fails. When arriving, nothing happens.
    case answer(HTTPResponse)
    /// The way is slow: so many milliseconds more.
    case delay(Int64)
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
    /// Whether those lines are kept. Without them only their digest is.
    package var keepsTrace = true
    /// Over all that happened on the wire: the same for the same schedule.
    package private(set) var traceDigest: UInt64 = 0xcbf2_9ce4_8422_2325
    /// How often the server refused something as a conflict.
    package private(set) var conflicts = 0
    /// Writes that changed nothing, but for those of the lease.
    package private(set) var idleWrites: [String] = []
    /// Asked at each moment of each call; the place for faults, and for kills.
    package var interfere: (WireCall, WireMoment) -> Interference = { _, _ in .none }
    /// Told of each moment of each call before anything is done to it: rules, and people who act in between. They say by how
    /// many milliseconds it is to be later; heeded when answering.
    package var onlookers: [(WireCall, WireMoment) -> Int64] = []
    /// How late a watch may be, in milliseconds.
    package var watchLag: Int64 = 40
    /// How long one way of a call takes at most, in milliseconds.
    package var latency: Int64 = 8
    /// Logs that are followed.
    private var follows: [ModelStream] = []
    private var watches: [(plural: String, stream: ModelStream)] = []
    private var held: [String: Int64] = [:]
    private var doubled: [String: Int64] = [:]
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

    /// Lets all connections go: the world is over.
    func end() {
        breakFollows()
        watches = []
    }

    /// Keeps what happened: as a line if those are kept, and in the digest.
    private func note(_ call: WireCall, _ answer: @autoclosure () -> String, _ sum: Int) {
        if keepsTrace {
            trace.append("\(scheduler.now) \(call.incarnation) \(call.verb) \(call.target) -> \(answer())")
        }
        var digest = traceDigest
        func mix(_ value: UInt64) { digest = (digest ^ value) &* 0x0000_0100_0000_01b3 }
        mix(UInt64(bitPattern: scheduler.now))
        for byte in call.target.utf8 { mix(UInt64(byte)) }
        for byte in call.verb.utf8 { mix(UInt64(byte)) }
        for byte in call.incarnation.utf8 { mix(UInt64(byte)) }
        mix(UInt64(bitPattern: Int64(sum)))
        traceDigest = digest
    }

    /// What the server made of a call.
    fileprivate func judge(_ call: WireCall, _ response: HTTPResponse, changed: Bool) {
        // A Secret is never read, so whether there is one already shows only by making it.
        if response.status == 409, !call.target.contains("/secrets") { conflicts += 1 }
        if call.isWrite, !call.isAboutLease, !changed, (200..<300).contains(response.status), idleWrites.count < 20 {
            idleWrites.append("\(call.verb) \(call.target)")
        }
    }

    // MARK: Watches

    func hold(_ stream: ModelStream, watching plural: String) {
        watches.removeAll { !$0.stream.isOpen }
        watches.append((plural, stream))
    }

    private func streams(_ plural: String?) -> [ModelStream] {
        watches.filter { plural == nil || $0.plural == plural }.map(\.stream)
    }

    /// The watches of a kind (of all) are lost, in the middle of a line.
    package func breakWatches(of plural: String? = nil) {
        for stream in streams(plural) { stream.tear() }
    }

    /// The watches of a kind (of all) go silent, and nothing says so.
    package func muteWatches(of plural: String? = nil) {
        for stream in streams(plural) { stream.mute() }
    }

    /// What happens to a kind is told only after this moment: a cache that lags.
    package func holdBack(_ plural: String, until moment: Int64) { held[plural] = moment }

    /// Each event of a kind is told twice until this moment.
    package func tellTwice(_ plural: String, until moment: Int64) { doubled[plural] = moment }

    /// Whether somebody hears at once of what happens to a kind.
    package func isTold(_ plural: String) -> Bool {
        heldBack(plural) <= scheduler.now && streams(plural).contains { $0.isOpen && !$0.isMute }
    }

    func heldBack(_ plural: String) -> Int64 { held.isEmpty ? 0 : held[plural] ?? 0 }
    func tellsTwice(_ plural: String) -> Bool { doubled.isEmpty ? false : (doubled[plural] ?? 0) > scheduler.now }

    func begin(_ incarnation: String, _ verb: String, _ target: String, name: String? = nil, digest: UInt64 = 0)
        -> WireCall
    {
        let call = WireCall(
            number: calls.count, incarnation: incarnation, verb: verb, target: target, name: name, digest: digest)
        calls.append(call)
        if call.isWrite, !call.isAboutLease { writeCount += 1 }
        _ = onlook(call, .sent)
        return call
    }

    /// Carries a call there and back.
    /// - Parameters:
    ///   - act: What happens at the other end.
    ///   - summary: The answer in the trace.
    func carry<Value: Sendable>(
        _ call: WireCall, on port: Port, into promise: Promise<Value>, act: @escaping () -> Result<Value, any Error>,
        instead: @escaping (HTTPResponse) -> Value?, summary: @escaping (Value) -> (text: String, sum: Int)
    ) {
        let purpose = "latency/\(call.isAboutLease ? "lease" : call.verb)"
        func arrive() {
            _ = onlook(call, .arriving)
            // What was sent may arrive although its caller has given up: a cancelled task takes no write back.
            guard promise.isOpen || call.isWrite, !port.isSevered else { return }
            switch pass(call, .arriving, promise, instead) {
            case .stopped: return
            case .later(let wait):
                scheduler.after(wait, call.label, arrive)
                return
            case .on: break
            }
            guard !port.isSevered else { return }
            let result = api.acting(as: call.incarnation) { act() }
            let (text, sum) = (try? result.get()).map(summary) ?? ("failed", 0)
            note(call, text, sum)
            answer(result)
        }
        func answer(_ result: Result<Value, any Error>) {
            let wait = onlook(call, .answering)
            switch pass(call, .answering, promise, instead) {
            case .stopped: return
            case .later(let more): return back(result, 1 + draw(purpose, below: latency) + wait + more)
            case .on: back(result, 1 + draw(purpose, below: latency) + wait)
            }
        }
        func back(_ result: Result<Value, any Error>, _ wait: Int64) {
            guard !port.isSevered else { return }
            scheduler.after(wait, call.label) { [self] in
                guard !port.isSevered else { return }
                promise.fulfil(result)
                _ = onlook(call, .answered)
                _ = interfere(call, .answered)
            }
        }
        scheduler.after(1 + draw(purpose, below: latency), call.label, arrive)
    }

    private func onlook(_ call: WireCall, _ moment: WireMoment) -> Int64 {
        onlookers.reduce(0) { $0 + $1(call, moment) }
    }

    private enum Passage {
        case on
        case stopped
        case later(Int64)
    }

    private func pass<Value>(
        _ call: WireCall, _ moment: WireMoment, _ promise: Promise<Value>, _ instead: (HTTPResponse) -> Value?
    ) -> Passage {
        switch interfere(call, moment) {
        case .none: return .on
        case .silence: return .stopped
        case .delay(let length): return .later(length)
        case .fail(let error):
            promise.fulfil(.failure(error))
            return .stopped
        case .answer(let response):
            let failure = ExchangeError(.connectionLost, "answered \(response.status)")
            promise.fulfil(instead(response).map { .success($0) } ?? .failure(failure))
            return .stopped
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

    /// FNV-1a.
    private static func digest(of body: [UInt8]) -> UInt64 {
        body.reduce(14_695_981_039_346_656_037) { ($0 ^ UInt64($1)) &* 1_099_511_628_211 }
    }

    package func send(_ request: HTTPRequest) async throws -> HTTPResponse {
        try Task.checkCancellation()
        guard !port.isSevered else { throw ExchangeError(.unreachable, "the port is severed") }
        let promise = Promise<HTTPResponse>()
        let call = wire.begin(
            port.incarnation, request.method.rawValue, request.target,
            name: request.method == .post ? Self.name(in: request.body) : nil,
            digest: request.method == .patch ? Self.digest(of: request.body) : 0)
        let wire = wire
        let patience = patience(request.timeout, promise)
        defer { wire.scheduler.cancel(patience) }
        wire.carry(call, on: port, into: promise) {
            let before = wire.api.revision
            let response = wire.api.handle(request)
            wire.judge(call, response, changed: wire.api.revision != before)
            return .success(response)
        } instead: {
            $0
        } summary: { [wire] response in
            let text = wire.keepsTrace ? "\(response.body.withUnsafeBufferPointer { keyedHash(0, $0, 0) })" : ""
            return ("\(response.status) \(text)", response.status &* 1_000_003 &+ response.body.count)
        }
        return try await promise.wait()
    }

    /// `metadata.name` of what a POST wants to make.
    private static func name(in body: [UInt8]) -> String? {
        guard let object = try? JSON.decode(JSONValue.self, from: body) else { return nil }
        return object.text("metadata", "name")
    }

    package func open(_ request: HTTPRequest) async throws -> any HTTPStream {
        try Task.checkCancellation()
        guard !port.isSevered else { throw ExchangeError(.unreachable, "the port is severed") }
        let promise = Promise<ModelStream>()
        let isFollow = (try? wire.api.routes.route(request.target))?.isFollow == true
        let call = wire.begin(port.incarnation, isFollow ? "FOLLOW" : "WATCH", request.target)
        let (wire, port) = (wire, port)
        let patience = patience(request.timeout, promise)
        defer { wire.scheduler.cancel(patience) }
        wire.carry(call, on: port, into: promise) {
            if isFollow { return .success(ModelFollow.open(request, on: wire, port)) }
            return Result { try ModelWatch.open(request, on: wire, port) }
        } instead: {
            ModelStream($0, wire)
        } summary: { stream in
            ("\(stream.head.status)", stream.head.status)
        }
        return try await promise.wait()
    }

    private func patience<Value>(_ length: Milliseconds, _ promise: Promise<Value>) -> Scheduler.EventID {
        wire.scheduler.after(length, "call timeout", isHeartbeat: true) {
            promise.fulfil(.failure(ExchangeError(.timedOut, "no answer in \(length) ms")))
        }
    }
}
