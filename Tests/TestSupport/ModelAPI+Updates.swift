// SPDX-License-Identifier: Apache-2.0

import JSON
import Seams

/// PUT and PATCH: of an object, of its status, of its scale.
extension ModelAPI {
    func put(_ key: ModelKey, _ part: ModelPart, _ request: HTTPRequest) throws -> HTTPResponse {
        try ModelForm.requireJSON(request)
        let form = ModelForm(part == .scale ? .scales : key.kind, schema(key.kind))
        let sent = try Self.body(request)
        let body = try form.read(sent) {
            let uid = sent.text("metadata", "uid") ?? ""
            guard let old = self[key] else {
                return uid.isEmpty ? ModelRefusal.notFound(key) : ModelRefusal.precondition(key, "UID", uid, "")
            }
            do {
                try checkUID(key, old, uid)
                try checkVersion(key, old, sent.text("metadata", "resourceVersion"))
                return nil
            } catch { return error as? ModelRefusal }
        }
        guard body.text("metadata", "name") == key.name else {
            throw ModelRefusal.bad("the name of the object does not match the name on the URL (\(key.name))")
        }
        if let space = body.text("metadata", "namespace"), space != key.namespace { throw ModelRefusal.wrongNamespace }
        guard let old = self[key] else { return try makeByPut(key, part, body, form) }
        // The server's code for Services is older than the rest: it looks at preconditions last.
        if key.kind == .services, part == .main {
            let version = body.text("metadata", "resourceVersion")
            let new = try allowed(
                key, part, old, body, form, also: version == nil ? ["metadata.resourceVersion"] : [])
            try checkVersion(key, old, version)
            return written(key, commit(key, new))
        }
        try checkUID(key, old, body.text("metadata", "uid"))
        if part == .scale { return try putScale(key, old, body) }
        try checkVersion(key, old, body.text("metadata", "resourceVersion"))
        return written(key, commit(key, try allowed(key, part, old, body, form)))
    }

    private func makeByPut(
        _ key: ModelKey, _ part: ModelPart, _ body: JSONValue, _ form: ModelForm
    ) throws -> HTTPResponse {
        if let uid = body.text("metadata", "uid"), key.kind != .services || part != .main {
            throw ModelRefusal.precondition(key, "UID", uid, "")
        }
        let isMade = part == .main ? key.kind.isMadeByPut : key.kind == .services && part == .status
        guard isMade else { throw ModelRefusal.notFound(key) }
        if let version = body.text("metadata", "resourceVersion"), UInt64(version) == nil {
            throw ModelRefusal.badVersion(version)
        }
        var object = body
        object.set(["metadata", "namespace"], .string(key.namespace))
        let faults = form.faults(object, key: key)
        if !faults.isEmpty { throw ModelRefusal.invalid(key, faults) }
        return json(201, try create(key, object))
    }

    func patch(_ key: ModelKey, _ part: ModelPart, _ request: HTTPRequest) throws -> HTTPResponse {
        let type = Self.contentType(request)
        guard ModelForm.patchTypes(key.kind).contains(type) else { throw ModelRefusal.unsupportedMediaType }
        let old = try present(key)
        let form = ModelForm(part == .scale ? .scales : key.kind, schema(key.kind))
        let shown = part == .scale ? ModelPart.scale(of: old, key) : old
        let new = try form.read(try patched(shown, type, request), isPatch: true)
        guard new.text("metadata", "name") == key.name else {
            throw ModelRefusal.bad("the name of the object does not match the name on the URL (\(key.name))")
        }
        if let space = new.text("metadata", "namespace"), space != key.namespace { throw ModelRefusal.wrongNamespace }
        if part == .scale {
            if new.integer("spec", "replicas") ?? 0 < 0 { throw ModelRefusal.invalidScale(key) }
            if let uid = new.text("metadata", "uid"), uid != old.text("metadata", "uid") {
                throw ModelRefusal.scalePrecondition(key, uid, old.text("metadata", "uid") ?? "")
            }
            return try putScale(key, old, new)
        }
        let version = new.text("metadata", "resourceVersion")
        if key.kind == .services, part == .main {
            let stored = try allowed(
                key, part, old, new, form, also: version == nil ? ["metadata.resourceVersion"] : [])
            try checkVersion(key, old, version)
            return written(key, commit(key, stored))
        }
        try checkVersion(key, old, version)
        return written(key, commit(key, try allowed(key, part, old, new, form)))
    }

    private func patched(_ shown: JSONValue, _ type: String, _ request: HTTPRequest) throws -> JSONValue {
        guard let change = try? Self.body(request) else {
            throw type == "application/merge-patch+json"
                ? ModelRefusal.unexplained("Invalid JSON Patch") : ModelRefusal.bad("error decoding patch")
        }
        switch type {
        case "application/json-patch+json":
            do { return try ModelJSONPatch.applied(change, to: shown, quirk: quirk) } catch {
                switch error {
                case .malformed: throw ModelRefusal.bad("error decoding patch")
                case .unapplicable: throw ModelRefusal.unapplicable
                }
            }
        case "application/merge-patch+json":
            guard change.object != nil || change.array != nil else {
                throw ModelRefusal.unexplained("Invalid JSON Patch")
            }
            if change.array != nil { throw ModelRefusal.undecodablePatch }
            return mergePatched(shown, change)
        default:
            if change == .null { return shown }
            guard change.object != nil else { throw ModelRefusal.bad("error decoding patch") }
            var new = strategicallyPatched(shown, change)
            // Never read.
            for field in ["kind", "apiVersion"] { new.set([field], shown[field]) }
            return new
        }
    }

    /// What may be stored of a new version.
    private func allowed(
        _ key: ModelKey, _ part: ModelPart, _ old: JSONValue, _ body: JSONValue, _ form: ModelForm,
        also more: [String] = []
    ) throws -> JSONValue {
        var new = body
        form.keepServerFields(of: old, in: &new)
        form.applyDefaults(&new)
        if part == .status {
            new = form.withStatus(of: new, over: old, quirk)
        } else if key.kind.hasStatus {
            new.set(["status"], old["status"])
        }
        hasIgnored = new == old && form.differs(body, from: new)
        let faults = more + form.faults(new, key: key, old: old, part)
        if !faults.isEmpty { throw ModelRefusal.invalid(key, faults) }
        return new
    }

    private func putScale(_ key: ModelKey, _ old: JSONValue, _ body: JSONValue) throws -> HTTPResponse {
        let replicas = body[path: ["spec", "replicas"]] ?? 0
        if body.text("metadata", "namespace") == nil { throw ModelRefusal.invalidScale(key, "metadata.namespace") }
        if body.integer("spec", "replicas") ?? 0 < 0 { throw ModelRefusal.invalidScale(key) }
        try checkVersion(key, old, body.text("metadata", "resourceVersion"))
        var object = old
        object.set(["spec", "replicas"], replicas)
        return json(200, ModelPart.scale(of: commit(key, object), key))
    }

    func checkUID(_ key: ModelKey, _ object: JSONValue, _ uid: String?) throws {
        let found = object.text("metadata", "uid") ?? ""
        if let uid, !uid.isEmpty, uid != found { throw ModelRefusal.precondition(key, "UID", uid, found) }
    }

    private func checkVersion(_ key: ModelKey, _ object: JSONValue, _ version: String?) throws {
        if version ?? "" == "" || version == "0", !key.kind.takesBlindPut {
            throw ModelRefusal.invalidResource(key, ["metadata.resourceVersion"])
        }
        if let version, !version.isEmpty, UInt64(version) == nil {
            throw ModelRefusal.badVersion(version)
        }
        guard let version, !version.isEmpty, version != "0", version != object.text("metadata", "resourceVersion")
        else { return }
        if quirk == .conflictIsInvalid { throw ModelRefusal.invalid(key, ["metadata.resourceVersion"]) }
        throw ModelRefusal.conflict(key)
    }
}
