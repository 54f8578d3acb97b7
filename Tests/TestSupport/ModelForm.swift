// SPDX-License-Identifier: Apache-2.0

import JSON
import Seams

/// How the server reads objects of a kind, what it fills in and what it refuses.
struct ModelForm {
    let kind: ModelKind
    private let schema: ModelSchema?

    init(_ kind: ModelKind, _ schema: ModelSchema?) {
        self.kind = kind
        self.schema = schema
    }

    static func requireJSON(_ request: HTTPRequest) throws {
        let type = request.header("content-type")
        guard type.isEmpty || type == "application/json" else { throw ModelRefusal.unsupportedMediaType }
    }

    static func patchTypes(_ kind: ModelKind) -> [String] {
        ["application/json-patch+json", "application/merge-patch+json"]
            + (kind.isCustom ? [] : ["application/strategic-merge-patch+json"])
    }

    // MARK: Reading

    /// The object that a body is, in the server's own form.
    /// - Parameter refuse: What comes before a wrong kind, of a custom object.
    func read(
        _ body: JSONValue, isPatch: Bool = false, before refuse: () -> ModelRefusal? = { nil }
    ) throws -> JSONValue {
        let body = body == .null && !kind.isCustom ? [:] : body
        guard body.object != nil else { throw ModelRefusal.bad("the object can't be read") }
        try checkType(body, isPatch, refuse)
        var object = body
        do throws(ModelShape.Mismatch) {
            if let shape = ModelShape.whole(kind) {
                object = try shape.decoded(body) ?? [:]
                if object["metadata"] == nil { object.set(["metadata"], [:]) }
            } else {
                let metadata = try body["metadata"].flatMap { value throws(ModelShape.Mismatch) in
                    try ModelShape.metadata.decoded(value)
                }
                object.set(["metadata"], metadata ?? [:])
            }
        } catch {
            if isPatch { throw ModelRefusal.undecodablePatch }
            throw ModelRefusal.bad("the object can't be read")
        }
        object.set(["apiVersion"], .string(kind.apiVersion))
        object.set(["kind"], .string(kind.kind))
        if let schema { object = schema.pruned(object) }
        return object
    }

    private func checkType(_ body: JSONValue, _ isPatch: Bool, _ refuse: () -> ModelRefusal?) throws {
        let (version, name) = (body.text("apiVersion"), body.text("kind"))
        if isPatch {
            let isOther = version ?? kind.apiVersion != kind.apiVersion || name ?? kind.kind != kind.kind
            if kind.isCustom ? version == nil || name == nil : isOther { throw ModelRefusal.undecodablePatch }
        }
        if kind.isCustom, version == nil || name == nil { throw ModelRefusal.bad("Object 'Kind' is missing") }
        if let version, version != kind.apiVersion {
            guard kind.isCustom, isPatch else { throw ModelRefusal.bad("wrong apiVersion") }
            let group = String(version.prefix { $0 != "/" })
            throw ModelRefusal.invalidType(
                name ?? "", group: group, body.text("metadata", "name") ?? "", ["apiVersion"])
        }
        if let name, name != kind.kind {
            guard kind.isCustom else { throw ModelRefusal.bad("wrong kind") }
            if let refusal = refuse() { throw refusal }
            throw ModelRefusal.invalidType(name, group: kind.group, body.text("metadata", "name") ?? "", ["kind"])
        }
    }

    // MARK: Filling in

    /// What nobody but the server changes.
    func keepServerFields(of old: JSONValue, in new: inout JSONValue) {
        for field in ["creationTimestamp", "generation"] {
            new.set(["metadata", field], old[path: ["metadata", field]])
        }
        if new.text("metadata", "uid") == nil { new.set(["metadata", "uid"], old[path: ["metadata", "uid"]]) }
        new.set(["metadata", "namespace"], old[path: ["metadata", "namespace"]])
        new.set(["metadata", "resourceVersion"], old[path: ["metadata", "resourceVersion"]])
        if let moment = old[path: ["metadata", "deletionTimestamp"]] {
            new.set(["metadata", "deletionTimestamp"], moment)
        }
        if let grace = old[path: ["metadata", "deletionGracePeriodSeconds"]],
            new[path: ["metadata", "deletionGracePeriodSeconds"]] == nil
        {
            new.set(["metadata", "deletionGracePeriodSeconds"], grace)
        }
    }

    /// What a write of the status makes of an object: a custom one changes in nothing else, others in their metadata too.
    func withStatus(of new: JSONValue, over old: JSONValue, _ quirk: ModelQuirk?) -> JSONValue {
        if quirk == .statusWritesSpec { return new }
        var result = old
        result.set(["status"], new["status"])
        // Fields that the server's types always have.
        if kind == .services, result[path: ["status", "loadBalancer"]] == nil {
            result.set(["status", "loadBalancer"], [:])
        }
        if kind == .statefulSets, result[path: ["status", "replicas"]] == nil {
            result.set(["status", "replicas"], 0)
        }
        if !kind.isCustom { result.set(["metadata"], new["metadata"]) }
        if kind == .pods {
            result.set(["metadata", "ownerReferences"], old[path: ["metadata", "ownerReferences"]])
        }
        if kind.isCustom, quirk == .statusPatchChecksUID {
            result.set(["metadata", "uid"], new[path: ["metadata", "uid"]])
        }
        return result
    }

    /// Whether a body says anything that the stored version does not.
    func differs(_ body: JSONValue, from stored: JSONValue) -> Bool {
        var (asked, kept) = (body, stored)
        applyDefaults(&asked)
        for field in ["uid", "namespace", "resourceVersion", "generation", "creationTimestamp"] {
            asked.set(["metadata", field], nil)
            kept.set(["metadata", field], nil)
        }
        return asked != kept
    }

    /// Nobody makes an object with a status.
    func dropStatus(_ object: inout JSONValue) {
        if kind.hasStatus { object.set(["status"], nil) }
    }

    func applyDefaults(_ object: inout JSONValue) {
        if kind == .statefulSets {
            Defaults.normalizeContainers(&object, ["spec", "template", "spec"])
            if object[path: ["spec", "replicas"]] == nil { object.set(["spec", "replicas"], 1) }
        }
        if kind == .jobs {
            Defaults.normalizeContainers(&object, ["spec", "template", "spec"])
            Defaults.countJob(&object)
            Defaults.labelJob(&object)
        }
        if kind == .pods { Defaults.normalizeContainers(&object, ["spec"]) }
        if kind == .secrets { Defaults.foldStringData(&object) }
    }

    // MARK: Refusing

    /// The fields that are to blame, of a new object or a new version of one.
    func faults(_ object: JSONValue, key: ModelKey, old: JSONValue? = nil, _ part: ModelPart = .main) -> [String] {
        var faults = ModelRules.metadata(object, kind, old: old)
        if let schema { faults += schema.faults(object) }
        if part != .status || !kind.hasStatus { faults += ModelRules.fields(object, kind, old: old) }
        if part == .status { faults += ModelRules.status(object, kind) }
        // Looked at last, and only for what is otherwise right.
        if kind == .events, old == nil, faults.isEmpty, key.name.isEmpty { faults.append("metadata.name") }
        return faults
    }
}
