// SPDX-License-Identifier: Apache-2.0

package import JSON
package import Seams

/// The model server's HTTP face: from a request's bytes to an answer's.
extension ModelAPI {
    /// Answers anything but a watch.
    package func handle(_ request: HTTPRequest) -> HTTPResponse {
        do {
            return try answer(request)
        } catch let refusal as ModelRefusal {
            return refusal.response
        } catch {
            return ModelRefusal.bad("the model server can't read the request: \(error)").response
        }
    }

    private func answer(_ request: HTTPRequest) throws -> HTTPResponse {
        let route = try Route(request.target)
        switch (request.method, route.name, route.subresource) {
        case (.get, nil, nil): return try list(route)
        case (.post, nil, nil): return try post(route, request)
        case (.get, let name?, nil):
            let key = route.key(name)
            guard let object = self[key] else { throw ModelRefusal.notFound(key) }
            return json(200, object)
        case (.get, .some, "log"): return logText(try log(route), route)
        case (.put, let name?, "status"): return try putStatus(route.key(name), try Self.body(request))
        case (.put, let name?, "scale"): return try putScale(route.key(name), try Self.body(request))
        case (.patch, let name?, let subresource):
            return try patch(route.key(name), subresource, request)
        case (.delete, let name?, nil): return try delete(route.key(name), request)
        default:
            throw ModelRefusal(
                code: 405, reason: "MethodNotAllowed",
                message: "the server does not allow this method on the requested resource", details: [:])
        }
    }

    private func json(_ status: Int, _ value: JSONValue) -> HTTPResponse {
        HTTPResponse(
            status: status, headers: [HTTPHeader("Content-Type", "application/json")], body: value.bytes)
    }

    private static func body(_ request: HTTPRequest) throws -> JSONValue {
        do { return try JSON.decode(JSONValue.self, from: request.body) } catch {
            throw ModelRefusal.bad("the object provided is unrecognized: \(error.description)")
        }
    }

    // MARK: Reading

    private func list(_ route: Route) throws -> HTTPResponse {
        var found = all(route.kind, in: route.namespace).filter { route.selects($0.object) }
        var version = revision
        if let token = route.query["continue"] {
            // The snapshot of the first page: here every page is of now, unless something was written in between.
            let parts = token.split(separator: ":", maxSplits: 1).map(String.init)
            guard parts.count == 2, let then = Int64(parts[0]), then >= compactedAt else {
                throw ModelRefusal(
                    code: 410, reason: "Expired", message: "The provided continue parameter is too old",
                    details: nil)
            }
            version = then
            found.removeAll { "\($0.key.namespace)/\($0.key.name)" <= parts[1] }
        }
        var metadata: JSONValue = ["resourceVersion": .string(String(version))]
        if let limit = route.query["limit"].flatMap({ Int($0) }), limit > 0, found.count > limit {
            found = Array(found.prefix(limit))
            let last = found.last.map { "\($0.key.namespace)/\($0.key.name)" } ?? ""
            metadata.set(["continue"], .string("\(version):\(last)"))
        }
        return json(
            200,
            [
                "kind": .string("\(route.kind.kind)List"), "apiVersion": .string(route.kind.apiVersion),
                "metadata": metadata, "items": .array(found.map(\.object)),
            ])
    }

    /// The log that a request asks for.
    func log(_ route: Route) throws -> ModelLog {
        let key = route.key(route.name ?? "")
        guard let pod = self[key] else { throw ModelRefusal.notFound(key) }
        let container = route.query["container"] ?? ""
        guard let log = logs(pod, container) else {
            throw ModelRefusal.bad(
                "container \"\(container)\" in pod \"\(key.name)\" is waiting to start: ContainerCreating")
        }
        return log
    }

    private func logText(_ log: ModelLog, _ route: Route) -> HTTPResponse {
        var lines = log.lines.filter(route.selects)[...]
        if let tail = route.query["tailLines"].flatMap({ Int($0) }) { lines = lines.suffix(tail) }
        var text = lines.flatMap { ModelLog.wire($0, timestamps: route.wantsTimestamps) }
        if let limit = route.query["limitBytes"].flatMap({ Int($0) }) { text = Array(text.prefix(limit)) }
        return HTTPResponse(status: 200, headers: [HTTPHeader("Content-Type", "text/plain")], body: text)
    }

    // MARK: Writing

    private func post(_ route: Route, _ request: HTTPRequest) throws -> HTTPResponse {
        let body = try Self.body(request)
        guard let name = body.text("metadata", "name"), !name.isEmpty else {
            throw ModelRefusal.bad("name or generateName is required")
        }
        let key = route.key(name)
        if let space = body.text("metadata", "namespace"), space != key.namespace {
            throw ModelRefusal.bad(
                "the namespace of the provided object does not match the namespace sent on the request")
        }
        return json(201, try create(key, body))
    }

    private func putStatus(_ key: ModelKey, _ body: JSONValue) throws -> HTTPResponse {
        var object = try present(key)
        guard key.kind.hasStatus else { throw ModelRefusal.unknownPath }
        guard let version = body.text("metadata", "resourceVersion"), !version.isEmpty else {
            throw ModelRefusal.invalid(
                key, "metadata.resourceVersion", "Invalid value: 0x0: must be specified for an update")
        }
        try checkUID(key, object, body.text("metadata", "uid"))
        guard version == object.text("metadata", "resourceVersion") else { throw ModelRefusal.conflict(key) }
        object.set(["status"], body["status"])
        return json(200, commit(key, object))
    }

    private func putScale(_ key: ModelKey, _ body: JSONValue) throws -> HTTPResponse {
        guard key.kind == .statefulSets else { throw ModelRefusal.unknownPath }
        var object = try present(key)
        try checkUID(key, object, body.text("metadata", "uid"))
        if let version = body.text("metadata", "resourceVersion"), !version.isEmpty,
            version != object.text("metadata", "resourceVersion")
        {
            throw ModelRefusal.conflict(key)
        }
        object.set(["spec", "replicas"], body[path: ["spec", "replicas"]] ?? 0)
        let stored = commit(key, object)
        return json(
            200,
            [
                "kind": "Scale", "apiVersion": "autoscaling/v1",
                "metadata": [
                    "name": .string(key.name), "namespace": .string(key.namespace),
                    "uid": .string(stored.text("metadata", "uid") ?? ""),
                    "resourceVersion": .string(stored.text("metadata", "resourceVersion") ?? ""),
                ],
                "spec": ["replicas": stored[path: ["spec", "replicas"]] ?? 0],
                "status": ["replicas": stored[path: ["status", "replicas"]] ?? 0],
            ])
    }

    private func patch(_ key: ModelKey, _ subresource: String?, _ request: HTTPRequest) throws -> HTTPResponse {
        let type = request.headers.first { $0.name.lowercased() == "content-type" }?.value ?? ""
        let old = try present(key)
        let change = try Self.body(request)
        guard subresource == nil || (subresource == "status" && key.kind.hasStatus) else {
            throw ModelRefusal.unknownPath
        }
        var new: JSONValue
        switch type {
        case "application/merge-patch+json": new = mergePatched(old, change)
        case "application/strategic-merge-patch+json" where !key.kind.isCustom:
            new = strategicallyPatched(old, change)
        default:
            throw ModelRefusal(
                code: 415, reason: "UnsupportedMediaType",
                message: "the body of the request was in an unknown format", details: [:])
        }
        // Measured: a status patch ignores the uid; any other with a wrong one is 422.
        if subresource == nil, let uid = change.text("metadata", "uid"), uid != old.text("metadata", "uid") {
            throw ModelRefusal.invalid(key, "metadata.uid", "Invalid value: \"\(uid)\": field is immutable")
        }
        if let version = change.text("metadata", "resourceVersion"),
            version != old.text("metadata", "resourceVersion")
        {
            throw ModelRefusal.conflict(key)
        }
        for field in ["uid", "creationTimestamp", "generation", "deletionTimestamp", "namespace", "name"] {
            new.set(["metadata", field], old[path: ["metadata", field]])
        }
        if subresource == "status" {
            var onlyStatus = old
            onlyStatus.set(["status"], new["status"])
            new = onlyStatus
        } else if key.kind.hasStatus {
            new.set(["status"], old["status"])
        }
        if key.kind == .statefulSets { Defaults.normalizeContainers(&new, ["spec", "template", "spec"]) }
        if key.kind == .secrets { Defaults.foldStringData(&new) }
        return json(200, commit(key, new))
    }

    private func delete(_ key: ModelKey, _ request: HTTPRequest) throws -> HTTPResponse {
        let object = try present(key)
        let options: JSONValue = request.body.isEmpty ? .null : try Self.body(request)
        if let preconditions = options["preconditions"] {
            try checkUID(key, object, preconditions.text("uid"))
            let found = object.text("metadata", "resourceVersion") ?? ""
            if let version = preconditions.text("resourceVersion"), version != found {
                throw ModelRefusal.precondition(key, "ResourceVersion", version, found)
            }
        }
        delete(key)
        if let left = self[key] { return json(200, left) }
        return json(
            200,
            [
                "kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Success",
                "details": ["name": .string(key.name), "kind": .string(key.kind.plural)],
            ])
    }

    private func present(_ key: ModelKey) throws -> JSONValue {
        guard let object = self[key] else { throw ModelRefusal.notFound(key) }
        return object
    }

    private func checkUID(_ key: ModelKey, _ object: JSONValue, _ uid: String?) throws {
        let found = object.text("metadata", "uid") ?? ""
        if let uid, !uid.isEmpty, uid != found { throw ModelRefusal.precondition(key, "UID", uid, found) }
    }
}

/// A request's target, taken apart.
package struct Route: Sendable {
    package var kind: ModelKind
    package var namespace: String?
    package var name: String?
    package var subresource: String?
    package var query: [String: String] = [:]

    package init(_ target: String) throws {
        let halves = target.split(separator: "?", maxSplits: 1)
        for pair in halves.dropFirst().first?.split(separator: "&") ?? [] {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            query[String(parts[0])] = Self.decoded(String(parts.count > 1 ? parts[1] : ""))
        }
        var parts = (halves.first ?? "").split(separator: "/").map(String.init)[...]
        let root = parts.popFirst()
        let group = root == "apis" ? parts.popFirst() ?? "" : ""
        let version = parts.popFirst()
        if parts.first == "namespaces", parts.count > 2 {
            parts.removeFirst()
            namespace = parts.popFirst()
        }
        let plural = parts.popFirst()
        guard root == "api" || root == "apis",
            let kind = ModelKind.all.first(where: {
                $0.group == group && $0.version == version && $0.plural == plural
            })
        else { throw ModelRefusal.unknownPath }
        self.kind = kind
        name = parts.popFirst()
        subresource = parts.popFirst()
    }

    var isFollow: Bool { subresource == "log" && query["follow"] == "true" }

    package var isWatch: Bool { query["watch"] == "true" || query["watch"] == "1" }

    package func key(_ name: String) -> ModelKey { ModelKey(kind, namespace ?? "", name) }

    /// Whether the label selector (equalities only) matches.
    package func selects(_ object: JSONValue) -> Bool {
        guard let selector = query["labelSelector"], !selector.isEmpty else { return true }
        let labels = object[path: ["metadata", "labels"]]
        return selector.split(separator: ",").allSatisfy { term in
            let parts = term.split(separator: "=", maxSplits: 1).map(String.init)
            return parts.count == 2 && labels?[parts[0]]?.string == parts[1]
        }
    }

    private static func decoded(_ text: String) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
