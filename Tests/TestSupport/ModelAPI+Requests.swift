// SPDX-License-Identifier: Apache-2.0

import JSON
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
        let route = try routes.route(request.target)
        guard let name = route.name else {
            switch request.method {
            case .get: return try list(route)
            case .post: return try post(route, request)
            default: throw ModelRefusal.methodNotAllowed
            }
        }
        let key = route.key(name)
        if request.method == .get, route.subresource == "log" { return logText(try log(route), route) }
        let part: ModelPart
        do { part = try ModelPart(route) } catch {
            throw key.kind.isCustom ? ModelRefusal.notFound(key) : ModelRefusal.unknownSubresource
        }
        switch request.method {
        case .get:
            let object = try present(key)
            return part == .scale ? json(200, ModelPart.scale(of: object, key)) : stored(200, object)
        case .put: return try put(key, part, request)
        case .patch: return try patch(key, part, request)
        case .delete where part == .main: return try delete(key, route, request)
        default: throw ModelRefusal.methodNotAllowed
        }
    }

    func json(_ status: Int, _ value: JSONValue) -> HTTPResponse { json(status, value.bytes) }

    private func json(_ status: Int, _ body: [UInt8]) -> HTTPResponse {
        HTTPResponse(status: status, headers: [HTTPHeader("Content-Type", "application/json")], body: body)
    }

    /// An object as it was committed.
    private func stored(_ status: Int, _ object: JSONValue) -> HTTPResponse { json(status, texts.text(of: object)) }

    /// What a write has left: as it was committed, unless the write has taken the object away.
    func written(_ key: ModelKey, _ object: JSONValue) -> HTTPResponse {
        self[key] == nil ? json(200, object) : stored(200, object)
    }

    static func body(_ request: HTTPRequest) throws -> JSONValue {
        do { return try JSON.decode(JSONValue.self, from: request.body) } catch {
            throw ModelRefusal.bad("the object provided is unrecognized: \(error.description)")
        }
    }

    func present(_ key: ModelKey) throws -> JSONValue {
        guard let object = self[key] else { throw ModelRefusal.notFound(key) }
        return object
    }

    static func contentType(_ request: HTTPRequest) -> String { request.header("content-type") }

    // MARK: Reading

    private func list(_ route: Route) throws -> HTTPResponse {
        try route.checkSelector()
        let route = quirk == .ignoresFieldSelector ? route.withoutFields : route
        var found = all(route.kind, in: route.namespace).filter { route.selects($0.object) }
        var version = revision
        if let token = route.query["continue"], !token.isEmpty {
            // The snapshot of the first page: here every page is of now, unless something was written in between.
            let parts = token.split(separator: ":", maxSplits: 1).map(String.init)
            guard parts.count == 2, let then = Int64(parts[0]) else {
                throw ModelRefusal.bad("continue key is not valid")
            }
            guard then >= compactedAt else { throw ModelRefusal.expiredPage }
            version = then
            found.removeAll { "\($0.key.namespace)/\($0.key.name)" <= parts[1] }
        }
        var metadata: JSONValue = ["resourceVersion": .string(String(version))]
        let limit = try route.limit()
        if quirk != .ignoresLimit, limit > 0, found.count > limit {
            // With a selector the server does not know how many are left.
            if route.query["labelSelector"] ?? "" == "", route.query["fieldSelector"] ?? "" == "" {
                metadata.set(["remainingItemCount"], .integer(Int64(found.count - limit)))
            }
            found = Array(found.prefix(limit))
            let last = found.last.map { "\($0.key.namespace)/\($0.key.name)" } ?? ""
            metadata.set(["continue"], .string("\(version):\(last)"))
        }
        let head: JSONValue = [
            "kind": .string("\(route.kind.kind)List"), "apiVersion": .string(route.kind.apiVersion),
            "metadata": metadata,
        ]
        return json(200, texts.list(head, of: found.map(\.object)))
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

    // MARK: Creating

    private func post(_ route: Route, _ request: HTTPRequest) throws -> HTTPResponse {
        try ModelForm.requireJSON(request)
        let form = ModelForm(route.kind, schema(route.kind))
        var object = try form.read(try Self.body(request))
        let space = object.text("metadata", "namespace")
        if let space, space != route.namespace ?? "" { throw ModelRefusal.wrongNamespace }
        let namespace = ModelKey(.namespaces, "", route.namespace ?? "")
        if route.kind.isNamespaced {
            _ = try present(namespace)
        }
        if object.text("metadata", "name") == nil, let prefix = object.text("metadata", "generateName") {
            object.set(["metadata", "name"], .string(generatedName(prefix)))
        }
        let key = route.key(object.text("metadata", "name") ?? "")
        if object.text("metadata", "resourceVersion") != nil {
            throw ModelRefusal.unexplained("resourceVersion should not be set on objects to be created")
        }
        form.dropStatus(&object)
        if route.kind.isNamespaced { object.set(["metadata", "namespace"], .string(key.namespace)) }
        let faults = form.faults(object, key: key)
        if !faults.isEmpty { throw ModelRefusal.invalid(key, faults) }
        if self[key] != nil, object.text("metadata", "generateName") != nil {
            throw ModelRefusal.generatedNameTaken(key)
        }
        return stored(201, try create(key, object))
    }
}

/// Which part of an object a request is about.
enum ModelPart {
    case main
    case status
    case scale

    init(_ route: Route) throws {
        switch route.subresource {
        case nil: self = .main
        case "status" where route.kind.hasStatus: self = .status
        case "scale" where route.kind == .statefulSets: self = .scale
        default: throw ModelRefusal.unknownSubresource
        }
    }

    static func scale(of object: JSONValue, _ key: ModelKey) -> JSONValue {
        var scale: JSONValue = [
            "kind": "Scale", "apiVersion": "autoscaling/v1",
            "metadata": ["name": .string(key.name), "namespace": .string(key.namespace)],
            "spec": [:],
            "status": ["replicas": object[path: ["status", "replicas"]] ?? 0],
        ]
        let replicas = object[path: ["spec", "replicas"]]
        if replicas != 0 { scale.set(["spec", "replicas"], replicas) }
        for field in ["uid", "resourceVersion", "creationTimestamp"] {
            scale.set(["metadata", field], object[path: ["metadata", field]])
        }
        let labels = object[path: ["spec", "selector", "matchLabels"]]?.texts ?? [:]
        let selector = labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        scale.set(["status", "selector"], .string(selector.joined(separator: ",")))
        return scale
    }
}

extension HTTPRequest {
    func header(_ name: String) -> String {
        headers.first { $0.name.lowercased() == name }?.value ?? ""
    }
}
