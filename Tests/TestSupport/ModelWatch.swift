// SPDX-License-Identifier: Apache-2.0

package import JSON
package import Seams

/// The server's side of one watch.
package final class ModelWatch: @unchecked Sendable {
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
        let api = wire.api
        let route: Route
        let events: [Event]
        do {
            route = try api.routes.route(request.target)
            events = try replay(route, api)
        } catch let refusal as ModelRefusal {
            return ModelStream(refusal.response, wire)
        }
        let stream = ModelStream(HTTPResponse(status: 200), wire)
        stream.patience = request.idleTimeout
        wire.hold(stream, watching: route.kind.plural)
        port.whenSevered { stream.fail(ExchangeError(.connectionLost, "the port is severed")) }
        let watch = ModelWatch(wire, route, stream)
        for event in events { watch.tell(event) }
        if events.last?.type == "ERROR" {
            watch.end(after: 1)
            return stream
        }
        api.add(watch)
        let seconds = Int64(route.query["timeoutSeconds"] ?? "") ?? 1_800
        watch.end(after: seconds * 1_000)
        if route.query["allowWatchBookmarks"] == "true" { watch.bookmarkLater() }
        return stream
    }

    /// What a watch tells at once: all that happened since the version that it asks for.
    package static func replay(_ request: HTTPRequest, _ api: ModelAPI) -> Result<[JSONValue], ModelRefusal> {
        do { return .success(try replay(try Route(request.target), api).map(\.json)) } catch {
            return .failure(error as? ModelRefusal ?? ModelRefusal.bad("\(error)"))
        }
    }

    private static func replay(_ route: Route, _ api: ModelAPI) throws -> [Event] {
        try route.checkSelector()
        let route = api.quirk == .ignoresFieldSelector ? route.withoutFields : route
        let version = route.query["resourceVersion"] ?? ""
        guard let from = version.isEmpty ? 0 : Int64(version) else { throw ModelRefusal.badVersion(version) }
        guard from >= api.compactedAt else {
            let refusal = ModelRefusal(
                code: 410, reason: "Expired", message: "too old resource version", details: nil)
            return [Event(type: "ERROR", object: refusal.body, isStored: false)]
        }
        return api.changes(since: from).compactMap { event($0, route, api.quirk) }
    }

    var isOpen: Bool { stream.isOpen }

    func hear(_ change: ModelAPI.Change) {
        guard stream.isOpen, let event = Self.event(change, route, wire.api.quirk) else { return }
        tell(event)
    }

    private func tell(_ event: Event) {
        if event.isStored {
            deliver(line: wire.api.texts.line(event.type, event.object))
        } else {
            deliver(event.json)
        }
    }

    private struct Event {
        var type: String
        var object: JSONValue
        /// Whether the object is as it was committed: it alone has its version.
        var isStored = true

        var json: JSONValue { ["type": .string(type), "object": object] }
    }

    /// What a watch tells of a change. An object that leaves the selector is told of as it was before, in the new version.
    private static func event(_ change: ModelAPI.Change, _ route: Route, _ quirk: ModelQuirk?) -> Event? {
        guard change.key.kind == route.kind, route.namespace == nil || route.namespace == change.key.namespace else {
            return nil
        }
        let wasSelected = change.before.map(route.selects) ?? false
        let isSelected = change.kind != .deleted && route.selects(change.object)
        switch (wasSelected, isSelected) {
        case (false, false): return nil
        case (false, true): return Event(type: "ADDED", object: change.object)
        case (true, true): return Event(type: "MODIFIED", object: change.object)
        case (true, false):
            if change.kind == .deleted { return Event(type: "DELETED", object: change.object) }
            if quirk == .leavingIsModified { return Event(type: "MODIFIED", object: change.object) }
            var last = change.before ?? change.object
            last.set(["metadata", "resourceVersion"], change.object[path: ["metadata", "resourceVersion"]])
            return Event(type: "DELETED", object: last, isStored: false)
        }
    }

    /// Late by some milliseconds, and in order.
    private func deliver(line: [UInt8]) {
        let now = wire.scheduler.now
        let moment = max(
            deliveredUpTo, now + 1 + wire.draw(purpose, below: wire.watchLag), wire.heldBack(route.kind.plural))
        deliveredUpTo = moment
        let stream = stream
        let bytes = wire.tellsTwice(route.kind.plural) ? line + line : line
        wire.scheduler.after(moment - now, "\(purpose) event") { stream.push(bytes) }
    }

    private func deliver(_ event: JSONValue) { deliver(line: event.bytes + [UInt8(ascii: "\n")]) }

    /// The first after a minute, as real servers do; then every five, which tell a quiet watch as much as every one.
    private var hasBookmarked = false
    private var bookmarkPeriod: Int64 { hasBookmarked ? 300_000 : 55_000 }

    private func bookmarkLater() {
        wire.scheduler.after(bookmarkPeriod, "bookmark", isHeartbeat: true) { [self] in
            guard stream.isOpen else { return }
            hasBookmarked = true
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
    /// Nothing arrives any more, and nothing says so: a connection that has died silently.
    private(set) var isMute = false
    /// How long the caller bears silence.
    var patience: Int64?

    init(_ head: HTTPResponse, _ wire: ModelWire) {
        self.head = HTTPResponse(status: head.status, headers: head.headers)
        self.wire = wire
        buffer = head.body
        isEnded = head.status != 200
    }

    var isOpen: Bool { !isEnded && !isClosed && failure == nil }

    func push(_ bytes: [UInt8]) {
        guard isOpen, !isMute else { return }
        buffer += bytes
        wake()
    }

    func end() {
        guard !isMute else { return }
        isEnded = true
        wake()
    }

    /// The connection ends in the middle of a line.
    func tear() {
        guard isOpen else { return }
        if !isMute { buffer += Array(#"{"type":"MODIFIED","object":{"kind":"#.utf8) }
        fail(ExchangeError(.connectionLost, "the connection was lost"))
    }

    /// Nothing arrives any more, until the caller's patience ends.
    func mute() {
        guard isOpen, !isMute else { return }
        isMute = true
        guard let patience else { return }
        wire.scheduler.after(patience, "silence", isHeartbeat: true) { [self] in
            fail(ExchangeError(.timedOut, "nothing arrived for \(patience) ms"))
        }
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
