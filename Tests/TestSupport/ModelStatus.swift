// SPDX-License-Identifier: Apache-2.0

package import JSON
package import Seams

/// The kinds that the model server knows.
package struct ModelKind: Hashable, Sendable {
    package var group: String
    package var version: String
    package var plural: String
    package var kind: String
    package var isNamespaced = true
    package var hasStatus = true

    package var apiVersion: String { group.isEmpty ? version : "\(group)/\(version)" }
    package var isCustom: Bool { group == "reprise.dev" }
    /// `statefulsets.apps`, as messages name it.
    package var resource: String { group.isEmpty ? plural : "\(plural).\(group)" }

    package static let pods = ModelKind(group: "", version: "v1", plural: "pods", kind: "Pod")
    package static let claims = ModelKind(
        group: "", version: "v1", plural: "persistentvolumeclaims", kind: "PersistentVolumeClaim")
    package static let services = ModelKind(group: "", version: "v1", plural: "services", kind: "Service")
    package static let secrets = ModelKind(
        group: "", version: "v1", plural: "secrets", kind: "Secret", hasStatus: false)
    package static let configMaps = ModelKind(
        group: "", version: "v1", plural: "configmaps", kind: "ConfigMap", hasStatus: false)
    package static let events = ModelKind(
        group: "", version: "v1", plural: "events", kind: "Event", hasStatus: false)
    package static let namespaces = ModelKind(
        group: "", version: "v1", plural: "namespaces", kind: "Namespace", isNamespaced: false)
    package static let statefulSets = ModelKind(
        group: "apps", version: "v1", plural: "statefulsets", kind: "StatefulSet")
    package static let jobs = ModelKind(group: "batch", version: "v1", plural: "jobs", kind: "Job")
    package static let leases = ModelKind(
        group: "coordination.k8s.io", version: "v1", plural: "leases", kind: "Lease", hasStatus: false)
    package static let repositories = custom("backuprepositories", "BackupRepository")
    package static let managedServices = custom("managedservices", "ManagedService")
    package static let plans = custom("restoreplans", "RestorePlan")
    package static let clones = custom("serviceclones", "ServiceClone")
    package static let runs = custom("restoreruns", "RestoreRun")

    package static let all = [
        pods, claims, services, secrets, configMaps, events, namespaces, statefulSets, jobs, leases, repositories,
        managedServices, plans, clones, runs,
    ]

    private static func custom(_ plural: String, _ kind: String) -> ModelKind {
        ModelKind(group: "reprise.dev", version: "v1alpha1", plural: plural, kind: kind)
    }
}

/// The name of an object in the model server.
package struct ModelKey: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var kind: ModelKind
    package var namespace: String
    package var name: String

    package init(_ kind: ModelKind, _ namespace: String, _ name: String) {
        self.kind = kind
        self.namespace = namespace
        self.name = name
    }

    package static func < (left: ModelKey, right: ModelKey) -> Bool {
        (left.kind.resource, left.namespace, left.name) < (right.kind.resource, right.namespace, right.name)
    }

    package var description: String { "\(kind.kind) \(namespace)/\(name)" }
}

/// Refusals, as the real server words them.
package struct ModelRefusal: Error, Sendable {
    package var code: Int
    package var reason: String
    package var message: String
    package var details: JSONValue?

    package var body: JSONValue {
        var status: JSONValue = [
            "kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Failure", "message": .string(message),
            "reason": .string(reason), "code": .integer(Int64(code)),
        ]
        if let details { status.set(["details"], details) }
        return status
    }

    package var response: HTTPResponse {
        HTTPResponse(status: code, headers: [HTTPHeader("Content-Type", "application/json")], body: body.bytes)
    }

    static func notFound(_ key: ModelKey) -> ModelRefusal {
        about(key, 404, "NotFound", "\(key.kind.resource) \"\(key.name)\" not found")
    }

    static func alreadyExists(_ key: ModelKey) -> ModelRefusal {
        about(key, 409, "AlreadyExists", "\(key.kind.resource) \"\(key.name)\" already exists")
    }

    static func conflict(_ key: ModelKey) -> ModelRefusal {
        about(
            key, 409, "Conflict",
            "Operation cannot be fulfilled on \(key.kind.resource) \"\(key.name)\": the object has been modified; "
                + "please apply your changes to the latest version and try again")
    }

    static func precondition(_ key: ModelKey, _ what: String, _ expected: String, _ found: String) -> ModelRefusal {
        about(
            key, 409, "Conflict",
            "Operation cannot be fulfilled on \(key.kind.resource) \"\(key.name)\": Precondition failed: \(what) in "
                + "precondition: \(expected), \(what) in object meta: \(found)")
    }

    static func invalid(_ key: ModelKey, _ field: String, _ message: String) -> ModelRefusal {
        var refusal = about(
            key, 422, "Invalid", "\(key.kind.kind).\(key.kind.group) \"\(key.name)\" is invalid: \(field): \(message)")
        refusal.details?.set(
            ["causes"],
            .array([
                ["reason": "FieldValueInvalid", "message": .string(message), "field": .string(field)]
            ]))
        return refusal
    }

    static let unknownPath = ModelRefusal(
        code: 404, reason: "NotFound", message: "the server could not find the requested resource", details: [:])

    static func bad(_ message: String) -> ModelRefusal {
        ModelRefusal(code: 400, reason: "BadRequest", message: message, details: nil)
    }

    private static func about(_ key: ModelKey, _ code: Int, _ reason: String, _ message: String) -> ModelRefusal {
        ModelRefusal(
            code: code, reason: reason, message: message,
            details: [
                "name": .string(key.name), "group": .string(key.kind.group), "kind": .string(key.kind.plural),
            ])
    }
}
