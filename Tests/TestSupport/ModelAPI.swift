// SPDX-License-Identifier: Apache-2.0

package import JSON
import Resources

/// The state of a Kubernetes API server: untyped objects, one counter of versions, and the history of all changes.
///
/// What it does with a write is what was measured on real servers (docs: API writes). Confined to the test's thread.
package final class ModelAPI: @unchecked Sendable {
    /// One committed change.
    package struct Change: Sendable {
        package enum Kind: String, Sendable {
            case added = "ADDED"
            case modified = "MODIFIED"
            case deleted = "DELETED"
        }

        package var revision: Int64
        package var kind: Kind
        package var key: ModelKey
        package var before: JSONValue?
        /// As committed; for a deletion, as it was last, with the deletion's version.
        package var object: JSONValue
        /// Who wrote: an incarnation's name, `user`, or a part of the cluster.
        package var writer: String
    }

    package let scheduler: Scheduler
    package private(set) var objects: [ModelKey: JSONValue] = [:]
    package private(set) var revision: Int64 = 1_000
    package private(set) var history: [Change] = []
    /// Watches from before this version get 410.
    package private(set) var compactedAt: Int64 = 0
    /// Called after every commit: controllers, watches, invariants.
    package var observers: [(Change) -> Void] = []
    /// A container's log; `nil` while it has not started.
    package var logs: (_ pod: JSONValue, _ container: String) -> ModelLog? = { _, _ in nil }
    /// Who is writing just now.
    package var writer = "cluster"
    private var born: UInt64 = 0
    private let seed: UInt64

    package init(_ scheduler: Scheduler, seed: UInt64) {
        self.scheduler = scheduler
        self.seed = seed
        for name in ["default", "kube-system"] { addNamespace(name) }
    }

    package func addNamespace(_ name: String) {
        let object: JSONValue = [
            "apiVersion": "v1", "kind": "Namespace", "metadata": ["name": .string(name)],
            "status": ["phase": "Active"],
        ]
        _ = try? create(ModelKey(.namespaces, "", name), object)
    }

    package subscript(key: ModelKey) -> JSONValue? { objects[key] }

    package func all(_ kind: ModelKind, in namespace: String? = nil) -> [(key: ModelKey, object: JSONValue)] {
        objects.filter { $0.key.kind == kind && (namespace == nil || $0.key.namespace == namespace) }
            .sorted { $0.key < $1.key }.map { (key: $0.key, object: $0.value) }
    }

    /// Forgets the history up to now: older positions of watches have expired.
    package func compact() {
        compactedAt = revision
        history.removeAll()
    }

    /// Does something as somebody.
    package func acting<Value>(as name: String, _ body: () throws -> Value) rethrows -> Value {
        let before = writer
        writer = name
        defer { writer = before }
        return try body()
    }

    // MARK: Writes

    /// Creates an object. What only the server sets is set here, whatever the body says.
    package func create(_ key: ModelKey, _ body: JSONValue) throws -> JSONValue {
        if key.kind.isNamespaced, objects[ModelKey(.namespaces, "", key.namespace)] == nil {
            throw ModelRefusal.notFound(ModelKey(.namespaces, "", key.namespace))
        }
        guard objects[key] == nil else { throw ModelRefusal.alreadyExists(key) }
        born += 1
        var object = Defaults.applied(to: body, key.kind)
        object.set(["apiVersion"], .string(key.kind.apiVersion))
        object.set(["kind"], .string(key.kind.kind))
        if key.kind.isNamespaced { object.set(["metadata", "namespace"], .string(key.namespace)) }
        object.set(["metadata", "uid"], .string(newUID(key)))
        object.set(["metadata", "generation"], 1)
        object.set(["metadata", "creationTimestamp"], .string(scheduler.wall.wholeSecond.rfc3339))
        object.set(["metadata", "deletionTimestamp"], nil)
        return commit(key, object)
    }

    private func newUID(_ key: ModelKey) -> String {
        func hex(_ value: UInt64, _ width: Int) -> String {
            let digits = String(value, radix: 16)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits.suffix(width)
        }
        let high = keyedHash(seed, "uid/\(key)", born)
        let low = keyedHash(seed, "uid-low/\(key)", born)
        return "\(hex(high >> 32, 8))-\(hex(high, 4))-4\(hex(high >> 16, 3))-8\(hex(low, 3))-\(hex(low >> 12, 12))"
    }

    /// Stores a new version; one that says the same as the old one is no change.
    @discardableResult
    package func commit(_ key: ModelKey, _ new: JSONValue) -> JSONValue {
        let old = objects[key]
        if let old, old == new { return old }
        var object = new
        if let old, old["spec"] != new["spec"], let generation = old.integer("metadata", "generation") {
            object.set(["metadata", "generation"], .integer(generation + 1))
        }
        let isGone =
            object[path: ["metadata", "deletionTimestamp"]] != nil
            && object.items("metadata", "finalizers").isEmpty && key.kind != .pods
        revision += 1
        object.set(["metadata", "resourceVersion"], .string(String(revision)))
        // Not `isGone ? nil : object`: that `nil` would be JSON's null.
        if isGone { objects.removeValue(forKey: key) } else { objects[key] = object }
        let kind: Change.Kind = old == nil ? .added : isGone ? .deleted : .modified
        record(Change(revision: revision, kind: kind, key: key, before: old, object: object, writer: writer))
        return object
    }

    /// Changes an object on behalf of the cluster itself; nothing happens when it is not there.
    package func change(_ key: ModelKey, _ body: (inout JSONValue) -> Void) {
        guard var object = objects[key] else { return }
        body(&object)
        commit(key, object)
    }

    /// Removes an object for good (the kubelet's last word on a pod).
    package func remove(_ key: ModelKey) {
        guard var object = objects.removeValue(forKey: key) else { return }
        let before = object
        revision += 1
        object.set(["metadata", "resourceVersion"], .string(String(revision)))
        record(Change(revision: revision, kind: .deleted, key: key, before: before, object: object, writer: writer))
    }

    /// A DELETE whose preconditions hold: gone at once, or marked.
    package func delete(_ key: ModelKey) {
        guard let object = objects[key] else { return }
        let isScheduledPod = key.kind == .pods && object.text("spec", "nodeName") != nil
        if object.items("metadata", "finalizers").isEmpty, !isScheduledPod {
            remove(key)
        } else if object[path: ["metadata", "deletionTimestamp"]] == nil {
            change(key) { object in
                let grace = isScheduledPod ? object.integer("spec", "terminationGracePeriodSeconds") ?? 30 : 0
                let moment = scheduler.wall.wholeSecond.adding(seconds: grace)
                object.set(["metadata", "deletionTimestamp"], .string(moment.rfc3339))
                object.set(["metadata", "deletionGracePeriodSeconds"], .integer(grace))
            }
        }
    }

    private func record(_ change: Change) {
        history.append(change)
        for observer in observers { observer(change) }
    }
}

/// What the server adds to or takes away from what it is sent.
enum Defaults {
    static func applied(to body: JSONValue, _ kind: ModelKind) -> JSONValue {
        var object = body
        if kind.isCustom || kind == .statefulSets || kind == .jobs { object.set(["status"], nil) }
        switch kind {
        case .statefulSets:
            object.set(["status"], ["replicas": 0])
            normalizeContainers(&object, ["spec", "template", "spec"])
        case .jobs: normalizeContainers(&object, ["spec", "template", "spec"])
        case .claims:
            object.set(["status"], ["phase": "Pending"])
            object.set(["metadata", "finalizers"], .array(["kubernetes.io/pvc-protection"]))
        case .pods: object.set(["status"], ["phase": "Pending"])
        case .secrets: foldStringData(&object)
        default: break
        }
        return object
    }

    /// A Secret's `stringData` is only ever written; it is stored as `data`.
    static func foldStringData(_ object: inout JSONValue) {
        for member in object["stringData"]?.object?.members ?? [] {
            object.set(["data", member.key], .string(base64(member.value.string ?? "")))
        }
        object.set(["stringData"], nil)
    }

    /// `value: ""` comes back as absent.
    static func normalizeContainers(_ object: inout JSONValue, _ path: [String]) {
        guard let containers = object[path: path + ["containers"]]?.array else { return }
        let normal = containers.map { container in
            var container = container
            guard let env = container["env"]?.array else { return container }
            container.set(
                ["env"],
                .array(
                    env.map { variable in
                        var variable = variable
                        if variable["value"] == "" { variable.set(["value"], nil) }
                        return variable
                    }))
            return container
        }
        object.set(path + ["containers"], .array(normal))
    }
}
