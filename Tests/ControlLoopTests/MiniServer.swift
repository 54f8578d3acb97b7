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
    private var events: [(version: Int64, path: String, line: [UInt8])] = []
    private var watches: [MiniStream] = []
    private var severed: Set<String> = []
    /// Every request as `METHOD path`, without the lease's.
    private(set) var log: [String] = []
    private(set) var bodies: [String: JSONValue] = [:]
    /// Watches of single objects hear of nothing while it is set, and of all that once it is not.
    var isLagging = false { didSet { catchUp() } }
    private var late: [(path: String, line: [UInt8])] = []
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

    /// Adds an annotation, as somebody else.
    func annotate(_ path: String, _ name: String, _ value: String) {
        var object = objects[path] ?? .null
        var annotations = object["metadata"]?["annotations"]?.object ?? JSONObject()
        annotations[name] = .string(value)
        object = MiniPatch.changed(object, ["metadata", "annotations"], .object(annotations))
        if let object = object.object { commit(path, object, "MODIFIED") }
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
        let scope = MiniScope(request.target)
        let line = "\(request.method.rawValue) \(scope.words)"
        if !path.contains("/leases") { log.append(line) }
        let fault = fault?(port, line)
        switch fault {
        case .refuse(let status, let reason): return refusal(status, reason, path)
        case .loseRequest: throw ExchangeError(.timedOut, "lost")
        case .loseAnswer, nil: break
        }
        let body: JSONValue? = request.body.isEmpty ? nil : try JSON.decode(JSONValue.self, from: request.body)
        if let body { bodies[line] = body }
        let response = answer(request.method, path, body, scope)
        if case .loseAnswer = fault { throw ExchangeError(.timedOut, "answer lost") }
        return response
    }

    private func answer(
        _ method: HTTPMethod, _ path: String, _ body: JSONValue?, _ scope: MiniScope
    ) -> HTTPResponse {
        switch method {
        case .get, .head:
            if let object = objects[path] { return ok(object) }
            if scope.isCollection { return ok(list(scope)) }
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
            if let operations = body?.array {
                guard let new = MiniPatch.applied(operations, to: .object(object))?.object else {
                    return refusal(422, "Invalid", nil)
                }
                return ok(commit(place, new, "MODIFIED"))
            }
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
        let scope = MiniScope(request.target)
        if scope.name != nil {
            log.append("WATCH \(scope.words)")
            switch fault?(port, "WATCH \(scope.words)") {
            case .refuse(let status, let reason): return MiniStream(refusal(status, reason, scope.path))
            case .loseRequest, .loseAnswer: throw ExchangeError(.connectionLost, "lost")
            case nil: break
            }
        }
        let since = parts.last?.split(separator: "&").first { $0.hasPrefix("resourceVersion=") }
        let from = Int64(since?.dropFirst(16) ?? "") ?? 0
        let stream = MiniStream(scope)
        for event in events where event.version > from && scope.takes(event.path) { stream.push(event.line) }
        watches.append(stream)
        return stream
    }

    /// How many single objects of that name are watched.
    func openWatches(_ name: String? = nil) -> Int {
        watches.count { !$0.isClosed && $0.scope.name != nil && (name == nil || $0.scope.name == name) }
    }

    /// Tells the watches of single objects that their position has expired.
    func expireWatches() {
        let line: JSONValue = ["type": "ERROR", "object": ["kind": "Status", "code": 410, "reason": "Expired"]]
        for watch in watches where watch.scope.name != nil { watch.push(((try? JSON.encode(line)) ?? []) + [0x0A]) }
    }

    /// Tells the watches of single objects the first few things that they have not heard of yet.
    func hearLate(_ count: Int) {
        for (path, line) in late.prefix(count) {
            for watch in watches where watch.scope.name != nil && watch.scope.takes(path) { watch.push(line) }
        }
        late.removeFirst(min(count, late.count))
    }

    func forgetLate() { late = [] }

    private func catchUp() { if !isLagging { hearLate(.max) } }

    /// Ends all watches, as a server does from time to time.
    func endWatches() {
        for watch in watches { watch.close() }
        watches = []
    }

    private func list(_ scope: MiniScope) -> JSONValue {
        let items = objects.keys.sorted().filter(scope.takes).compactMap { objects[$0] }
        return ["metadata": ["resourceVersion": .string("\(version)")], "items": .array(items)]
    }

    private func newMetadata(_ path: String, _ given: JSONObject?) -> JSONObject {
        uids += 1
        var metadata = given ?? JSONObject()
        let parts = path.split(separator: "/")
        metadata["name"] = .string(String(parts.last ?? ""))
        if let place = parts.firstIndex(of: "namespaces") { metadata["namespace"] = .string(String(parts[place + 1])) }
        metadata["uid"] = .string("uid-\(uids)")
        metadata["generation"] = 1
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
        events.append((version, path, line))
        for watch in watches where watch.scope.takes(path) {
            if watch.scope.name == nil || !isLagging { watch.push(line) }
        }
        if isLagging { late.append((path, line)) }
    }

    private func ok(_ value: JSONValue) -> HTTPResponse {
        HTTPResponse(status: 200, body: (try? JSON.encode(value)) ?? [])
    }

    func refusal(_ status: Int, _ reason: String, _ path: String?) -> HTTPResponse {
        var body: JSONObject = JSONObject()
        body["kind"] = "Status"
        body["reason"] = .string(reason)
        body["code"] = .integer(Int64(status))
        body["message"] = .string("\(reason) \(path ?? "")")
        let name = path?.split(separator: "/").last.map(String.init)
        if let name { body["details"] = ["name": .string(name)] }
        return HTTPResponse(status: status, body: (try? JSON.encode(JSONValue.object(body))) ?? [])
    }
}
