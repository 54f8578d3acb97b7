// SPDX-License-Identifier: Apache-2.0

import JSON
package import Seams

/// The server's side of one watch.
final class ModelWatch: @unchecked Sendable {
    private let wire: ModelWire
    private let route: Route
    private let stream: ModelStream
    private var deliveredUpTo: Int64 = 0
    private let purpose: String

    private init(_ wire: ModelWire, _ route: Route, _ stream: ModelStream) {
        self.wire = wire
        self.route = route
        self.stream = stream
        self.purpose = "watch/\(route.kind.resource)"
    }

    /// - Throws: `ModelRefusal`, which becomes an answer that is no stream.
    static func open(_ request: HTTPRequest, on wire: ModelWire, _ port: Port) throws -> ModelStream {
        let route: Route
        do { route = try Route(request.target) } catch let refusal as ModelRefusal {
            return ModelStream(refusal.response, wire)
        }
        let stream = ModelStream(HTTPResponse(status: 200), wire)
        port.whenSevered { stream.fail(ExchangeError(.connectionLost, "the port is severed")) }
        let watch = ModelWatch(wire, route, stream)
        let api = wire.api
        guard let from = Int64(route.query["resourceVersion"] ?? ""), from >= api.compactedAt else {
            let refusal = ModelRefusal(
                code: 410, reason: "Expired", message: "too old resource version", details: nil)
            watch.deliver(["type": "ERROR", "object": refusal.body])
            watch.end(after: 1)
            return stream
        }
        for change in api.history where change.revision > from { watch.hear(change) }
        api.observers.append { change in watch.hear(change) }
        let seconds = Int64(route.query["timeoutSeconds"] ?? "") ?? 1_800
        watch.end(after: seconds * 1_000)
        if route.query["allowWatchBookmarks"] == "true" { watch.bookmarkLater() }
        return stream
    }

    private func hear(_ change: ModelAPI.Change) {
        guard stream.isOpen, change.key.kind == route.kind,
            route.namespace == nil || route.namespace == change.key.namespace
        else { return }
        let wasSelected = change.before.map(route.selects) ?? false
        let isSelected = change.kind != .deleted && route.selects(change.object)
        switch (wasSelected, isSelected) {
        case (false, false): return
        case (false, true): deliver(["type": "ADDED", "object": change.object])
        case (true, true): deliver(["type": "MODIFIED", "object": change.object])
        case (true, false): deliver(["type": "DELETED", "object": change.object])
        }
    }

    /// Late by some milliseconds, and in order.
    private func deliver(_ event: JSONValue) {
        let moment = max(deliveredUpTo, wire.scheduler.now + 1 + wire.draw(purpose, below: wire.watchLag))
        deliveredUpTo = moment
        let stream = stream
        let bytes = event.bytes + [UInt8(ascii: "\n")]
        wire.scheduler.after(moment - wire.scheduler.now, "\(purpose) event") { stream.push(bytes) }
    }

    private func bookmarkLater() {
        wire.scheduler.after(55_000, "bookmark", isHeartbeat: true) { [self] in
            guard stream.isOpen else { return }
            deliver([
                "type": "BOOKMARK",
                "object": [
                    "kind": .string(route.kind.kind), "apiVersion": .string(route.kind.apiVersion),
                    "metadata": ["resourceVersion": .string(String(wire.api.revision))],
                ],
            ])
            bookmarkLater()
        }
    }

    private func end(after milliseconds: Int64) {
        let (stream, scheduler) = (stream, wire.scheduler)
        scheduler.after(milliseconds, "end of a watch", isHeartbeat: true) { [self] in
            // What is on its way arrives first.
            scheduler.after(max(0, deliveredUpTo - scheduler.now), "end of a watch") { stream.end() }
        }
    }
}

/// A watch's body as it arrives: cut at seeded places, not at lines.
package final class ModelStream: HTTPStream, @unchecked Sendable {
    package let head: HTTPResponse
    private let wire: ModelWire
    private var buffer: [UInt8] = []
    private var waiting: Promise<Void>?
    private var isEnded = false
    private var failure: ExchangeError?
    private var isClosed = false

    init(_ head: HTTPResponse, _ wire: ModelWire) {
        self.head = HTTPResponse(status: head.status, headers: head.headers)
        self.wire = wire
        buffer = head.body
        isEnded = head.status != 200
    }

    var isOpen: Bool { !isEnded && !isClosed && failure == nil }

    func push(_ bytes: [UInt8]) {
        guard isOpen else { return }
        buffer += bytes
        wake()
    }

    func end() {
        isEnded = true
        wake()
    }

    package func fail(_ error: ExchangeError) {
        if failure == nil { failure = error }
        wake()
    }

    package func next() async throws -> [UInt8]? {
        while true {
            try Task.checkCancellation()
            if isClosed { return nil }
            if !buffer.isEmpty { return cut() }
            if let failure { throw failure }
            if isEnded { return nil }
            let promise = Promise<Void>()
            waiting = promise
            try await promise.wait()
        }
    }

    package func close() {
        isClosed = true
        wake()
    }

    private func cut() -> [UInt8] {
        let isWhole = buffer.count < 2 || wire.draw("watch cut", below: 2) == 0
        let count = isWhole ? buffer.count : Int(1 + wire.draw("watch cut at", below: Int64(buffer.count)))
        let piece = Array(buffer.prefix(count))
        buffer.removeFirst(piece.count)
        return piece
    }

    private func wake() {
        let promise = waiting
        waiting = nil
        promise?.fulfil(.success(()))
    }
}
