// SPDX-License-Identifier: Apache-2.0

import JSON
import Seams
import Synchronization

/// Just enough of an API server for one pass: objects by path, one count of versions, watches, preconditions.
final class MiniServer: @unchecked Sendable {
    /// What goes wrong with a request.
    enum Fault { case refuse(Int, String), loseAnswer, loseRequest }

    private(set) var objects: [String: JSONValue] = [:]
    private var version: Int64 = 100
    private var uids = 0
    private var events: [(version: Int64, collection: String, line: [UInt8])] = []
    private var watches: [MiniStream] = []
    private var severed: Set<String> = []
    /// Every request as `METHOD path`, without the lease's.
    private(set) var log: [String] = []
    private(set) var bodies: [String: JSONValue] = [:]
    /// By path.
    var logs: [String: MiniLog] = [:]
    /// Asked before each request that it might go wrong with.
    var fault: ((_ port: String, _ request: String) -> Fault?)?

    func port(_ name: String) -> any Exchange { Port(server: self, name: name) }
    func sever(_ name: String) { severed.insert(name) }
    func clearLog() { log = [] }
    func count(_ prefix: String) -> Int { log.count { $0.hasPrefix(prefix) } }

    private struct Port: Exchange {
        let server: MiniServer
        let name: String

        func send(_ request: HTTPRequest) async throws -> HTTPResponse { try server.handle(request, from: name) }

        func open(_ request: HTTPRequest) async throws -> any HTTPStream { try server.watch(request, from: name) }
    }

    // MARK: As the world

    /// Puts an object there, or changes it, as somebody else.
    func put(_ path: String, _ kind: String, _ fields: [String: JSONValue] = [:], labels: [String: String] = [:]) {
        var object = objects[path]?.object ?? JSONObject()
        let isNew = objects[path] == nil
        object["kind"] = .string(kind)
        for key in fields.keys.sorted() { object[key] = fields[key] }
        if isNew { object["metadata"] = .object(newMetadata(path, nil)) }
        if !labels.isEmpty {
            var metadata = object["metadata"]?.object ?? JSONObject()
            var map = JSONObject()
            for key in labels.keys.sorted() { map[key] = .string(labels[key] ?? "") }
            metadata["labels"] = .object(map)
            object["metadata"] = .object(metadata)
        }
        commit(path, object, isNew ? "ADDED" : "MODIFIED")
    }

    func remove(_ path: String) {
        guard let object = objects[path]?.object else { return }
        objects[path] = nil
        tell(path, stamped(object), "DELETED")
    }

    // MARK: As a server

    private func handle(_ request: HTTPRequest, from port: String) throws -> HTTPResponse {
        if severed.contains(port) { throw ExchangeError(.unreachable, "severed") }
        let target = request.target.split(separator: "?")
        let path = String(target[0])
        let line = "\(request.method.rawValue) \(path)"
        if !path.contains("/leases") { log.append(line) }
        let fault = fault?(port, line)
        switch fault {
        case .refuse(let status, let reason): return refusal(status, reason, path)
        case .loseRequest: throw ExchangeError(.timedOut, "lost")
        case .loseAnswer, nil: break
        }
        let body: JSONValue? = request.body.isEmpty ? nil : try JSON.decode(JSONValue.self, from: request.body)
        if let body { bodies[line] = body }
        let response = answer(request.method, path, body)
        if case .loseAnswer = fault { throw ExchangeError(.timedOut, "answer lost") }
        return response
    }

    private func answer(_ method: HTTPMethod, _ path: String, _ body: JSONValue?) -> HTTPResponse {
        switch method {
        case .get, .head:
            if let object = objects[path] { return ok(object) }
            if isCollection(path) { return ok(list(path)) }
            return refusal(404, "NotFound", path)
        case .post:
            let name = body?["metadata"]?["name"]?.string ?? ""
            let place = "\(path)/\(name)"
            if objects[place] != nil { return refusal(409, "AlreadyExists", place) }
            var object = body?.object ?? JSONObject()
            object["metadata"] = .object(newMetadata(place, object["metadata"]?.object))
            return ok(commit(place, object, "ADDED"))
        case .put, .patch:
            let place = path.hasSuffix("/status") ? String(path.dropLast(7)) : path
            guard let object = objects[place]?.object else { return refusal(404, "NotFound", place) }
            if let conflict = conflict(object, body?["metadata"], place) { return conflict }
            var new = object
            if method == .put { new["status"] = body?["status"] } else { new = merge(object, body?.object) }
            if new == object { return ok(.object(object)) }
            return ok(commit(place, new, "MODIFIED"))
        case .delete:
            guard let object = objects[path]?.object else { return refusal(404, "NotFound", path) }
            if let conflict = conflict(object, body?["preconditions"], path) { return conflict }
            remove(path)
            return ok(.object(JSONObject(keepingFirst: [.init(key: "kind", value: "Status")])))
        }
    }

    private func conflict(_ object: JSONObject, _ wanted: JSONValue?, _ path: String) -> HTTPResponse? {
        for key in ["uid", "resourceVersion"] {
            if let value = wanted?[key]?.string, value != object["metadata"]?[key]?.string {
                return refusal(409, "Conflict", path)
            }
        }
        return nil
    }

    private func merge(_ old: JSONObject, _ patch: JSONObject?) -> JSONObject {
        var result = old
        for member in patch?.members ?? [] {
            switch member.value {
            case .null: result[member.key] = nil
            case .object(let value): result[member.key] = .object(merge(old[member.key]?.object ?? JSONObject(), value))
            default: result[member.key] = member.value
            }
        }
        return result
    }

    private func watch(_ request: HTTPRequest, from port: String) throws -> any HTTPStream {
        if severed.contains(port) { throw ExchangeError(.unreachable, "severed") }
        let parts = request.target.split(separator: "?")
        if parts[0].hasSuffix("/log") {
            log.append("FOLLOW \(parts[0])")
            switch fault?(port, "FOLLOW \(parts[0])") {
            case .refuse(let status, let reason): return MiniStream(refusal(status, reason, String(parts[0])))
            case .loseRequest, .loseAnswer: throw ExchangeError(.connectionLost, "lost")
            case nil: return try follow(String(parts[0]), parts.last ?? "")
            }
        }
        let since = parts.last?.split(separator: "&").first { $0.hasPrefix("resourceVersion=") }
        let from = Int64(since?.dropFirst(16) ?? "") ?? 0
        let stream = MiniStream(collection: String(parts[0]))
        for event in events where event.version > from && stream.collection == event.collection {
            stream.push(event.line)
        }
        watches.append(stream)
        return stream
    }

    /// Ends all watches, as a server does from time to time.
    func endWatches() {
        for watch in watches { watch.close() }
        watches = []
    }

    private func isCollection(_ path: String) -> Bool {
        path.split(separator: "/").count == (path.hasPrefix("/api/") ? 3 : 4)
    }

    private func list(_ path: String) -> JSONValue {
        let items = objects.keys.sorted().filter { collection(of: $0) == path }.compactMap { objects[$0] }
        return ["metadata": ["resourceVersion": .string("\(version)")], "items": .array(items)]
    }

    /// `/api/v1/namespaces/a/configmaps/x` belongs to `/api/v1/configmaps`.
    private func collection(of path: String) -> String {
        var parts = path.split(separator: "/")
        parts.removeLast()
        if let place = parts.firstIndex(of: "namespaces") { parts.removeSubrange(place...(place + 1)) }
        return "/" + parts.joined(separator: "/")
    }

    private func newMetadata(_ path: String, _ given: JSONObject?) -> JSONObject {
        uids += 1
        var metadata = given ?? JSONObject()
        let parts = path.split(separator: "/")
        metadata["name"] = .string(String(parts.last ?? ""))
        if let place = parts.firstIndex(of: "namespaces") { metadata["namespace"] = .string(String(parts[place + 1])) }
        metadata["uid"] = .string("uid-\(uids)")
        return metadata
    }

    private func stamped(_ object: JSONObject) -> JSONObject {
        version += 1
        var object = object
        var metadata = object["metadata"]?.object ?? JSONObject()
        metadata["resourceVersion"] = .string("\(version)")
        object["metadata"] = .object(metadata)
        return object
    }

    @discardableResult
    private func commit(_ path: String, _ object: JSONObject, _ type: String) -> JSONValue {
        let object = stamped(object)
        objects[path] = .object(object)
        tell(path, object, type)
        return .object(object)
    }

    private func tell(_ path: String, _ object: JSONObject, _ type: String) {
        let event: JSONValue = ["type": .string(type), "object": .object(object)]
        let line = ((try? JSON.encode(event)) ?? []) + [0x0A]
        events.append((version, collection(of: path), line))
        for watch in watches where watch.collection == collection(of: path) { watch.push(line) }
    }

    private func ok(_ value: JSONValue) -> HTTPResponse {
        HTTPResponse(status: 200, body: (try? JSON.encode(value)) ?? [])
    }

    func refusal(_ status: Int, _ reason: String, _ path: String) -> HTTPResponse {
        let name = String(path.split(separator: "/").last ?? "")
        let body: JSONValue = [
            "kind": "Status", "reason": .string(reason), "code": .integer(Int64(status)),
            "message": .string("\(reason) \(path)"), "details": ["name": .string(name)],
        ]
        return HTTPResponse(status: status, body: (try? JSON.encode(body)) ?? [])
    }
}

/// The body of one watch, or of a followed log.
final class MiniStream: HTTPStream {
    private struct State {
        var pieces: [[UInt8]] = []
        var isClosed = false
        var failure: ExchangeError?
        var waiter: CheckedContinuation<Void, Never>?
    }

    let collection: String
    let head: HTTPResponse
    private let state = Mutex(State())

    init(collection: String) {
        self.collection = collection
        head = HTTPResponse(status: 200)
    }

    /// An answer that is no stream.
    init(_ refusal: HTTPResponse) {
        collection = ""
        head = HTTPResponse(status: refusal.status)
        push(refusal.body)
        close()
    }

    var isClosed: Bool { state.withLock { $0.isClosed } }

    func push(_ piece: [UInt8]) {
        // Cut in two, as networks do.
        let middle = piece.count / 2
        wake { $0.pieces += [Array(piece[..<middle]), Array(piece[middle...])] }
    }

    func fail(_ error: ExchangeError) { wake { $0.failure = error } }

    func close() { wake { $0.isClosed = true } }

    private func wake(_ change: (inout State) -> Void) {
        let waiter = state.withLock { state in
            change(&state)
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    func next() async throws -> [UInt8]? {
        while true {
            let (piece, isClosed, failure) = state.withLock { state in
                (state.pieces.isEmpty ? nil : state.pieces.removeFirst(), state.isClosed, state.failure)
            }
            if let piece { return piece }
            try Task.checkCancellation()
            if let failure { throw failure }
            if isClosed { return nil }
            await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    let isReady = state.withLock { state in
                        if !state.pieces.isEmpty || state.isClosed || state.failure != nil { return true }
                        state.waiter = continuation
                        return false
                    }
                    if isReady { continuation.resume() }
                }
            } onCancel: {
                close()
            }
        }
    }
}
