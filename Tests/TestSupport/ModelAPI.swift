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
    /// A planted fault; never in a simulation.
    package var quirk: ModelQuirk?
    /// Of custom kinds, by plural name. A kind without one is taken as it comes.
    package var schemas: [String: ModelSchema] = [:]
    /// Objects that were made and not yet written to, and to which the server had added something of its own. The first
    /// write is stored even without a change: 1.20 takes note of what was added.
    private var unsettled: Set<ModelKey> = []
    /// Whether the last update changed nothing, but asked for something that this part of an object does not take. A real
    /// server keeps a record of who owns which field; it may write that down, and so make a new resourceVersion where
    /// this one makes none.
    package var hasIgnored = false
    /// What a claim gets that names no storage class.
    package var defaultStorageClass: String?
    let texts = ModelTexts()
    let routes = ModelRoutes.shared
    private var watches: [ModelWatch] = []
    /// Where objects are found without looking at all of them.
    package let index = ModelIndex()
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
            "spec": ["finalizers": ["kubernetes"]], "status": ["phase": "Active"],
        ]
        _ = try? create(ModelKey(.namespaces, "", name), object)
    }

    package subscript(key: ModelKey) -> JSONValue? { objects[key] }

    package func all(_ kind: ModelKind, in namespace: String? = nil) -> [(key: ModelKey, object: JSONValue)] {
        index.keys(of: kind, in: namespace).compactMap { key in objects[key].map { (key: key, object: $0) } }
    }

    /// Forgets the history up to now: older positions of watches have expired.
    package func compact() {
        compactedAt = revision
        history.removeAll()
        texts.forget()
    }

    /// What happened after a version, in order.
    func changes(since version: Int64) -> ArraySlice<Change> {
        var (low, high) = (0, history.count)
        while low < high {
            let middle = (low + high) / 2
            if history[middle].revision > version { high = middle } else { low = middle + 1 }
        }
        return history[low...]
    }

    /// Tells an open watch of every change from now on.
    func add(_ watch: ModelWatch) {
        watches.removeAll { !$0.isOpen }
        watches.append(watch)
    }

    /// Forgets whoever listens, and with them what holds this world together: it is over.
    package func end() {
        observers = []
        watches = []
        logs = { _, _ in nil }
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
        if key.kind.isNamespaced {
            let space = ModelKey(.namespaces, "", key.namespace)
            guard let namespace = objects[space] else { throw ModelRefusal.notFound(space) }
            // Leases and all: nothing new comes into a namespace that is going away.
            if namespace[path: ["metadata", "deletionTimestamp"]] != nil { throw ModelRefusal.terminating(key) }
        }
        guard objects[key] == nil else {
            throw quirk == .existsIsConflict ? ModelRefusal.conflict(key) : ModelRefusal.alreadyExists(key)
        }
        born += 1
        var object = Defaults.applied(to: body, key.kind)
        if key.kind == .claims, let name = defaultStorageClass, object.text("spec", "storageClassName") == nil {
            object.set(["spec", "storageClassName"], .string(name))
        }
        object.set(["apiVersion"], .string(key.kind.apiVersion))
        object.set(["kind"], .string(key.kind.kind))
        if key.kind.isNamespaced { object.set(["metadata", "namespace"], .string(key.namespace)) }
        object.set(["metadata", "uid"], .string(newUID(key)))
        // Where the server does not count it, it stays what somebody said.
        if key.kind.hasGeneration { object.set(["metadata", "generation"], 1) }
        object.set(["metadata", "creationTimestamp"], .string(scheduler.wall.wholeSecond.rfc3339))
        object.set(["metadata", "deletionTimestamp"], nil)
        object.set(["metadata", "deletionGracePeriodSeconds"], nil)
        if key.kind == .jobs { Defaults.select(&object) }
        let stored = commit(key, object)
        if key.kind == .claims { unsettled.insert(key) }
        return stored
    }

    func schema(_ kind: ModelKind) -> ModelSchema? { kind.isCustom ? schemas[kind.plural] : nil }

    /// A name that begins like this, as `generateName` asks for one.
    func generatedName(_ prefix: String) -> String {
        let letters = Array("bcdfghjklmnpqrstvwxz2456789")
        let number = keyedHash(seed, "name/\(prefix)", born)
        return prefix + String((0..<5).map { letters[Int(number >> UInt64($0 * 8) & 0xFF) % letters.count] })
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

    /// Stores a new version; one that says the same as the old one is no change. An object that is being deleted and that
    /// nothing holds any more goes away instead, as it was before.
    /// - Parameter deletesUnheld: Whether that is looked at.
    /// - Returns: The new version, stored or not.
    @discardableResult
    package func commit(_ key: ModelKey, _ new: JSONValue, deletesUnheld: Bool = true) -> JSONValue {
        let old = objects[key]
        if let old, old == new, quirk != .writesNoops, !unsettled.contains(key) { return old }
        unsettled.remove(key)
        var object = new
        if let old, quirk != .keepsGeneration,
            old[path: ["metadata", "generation"]] == object[path: ["metadata", "generation"]],
            Self.counts(old, object, key.kind), let generation = old.integer("metadata", "generation")
        {
            object.set(["metadata", "generation"], .integer(generation + 1))
        }
        if deletesUnheld, let old, old.integer("metadata", "deletionGracePeriodSeconds") == 0,
            Self.finalizers(object).isEmpty
        {
            remove(key)
            return object
        }
        if key.kind == .jobs, object[path: ["metadata", "labels"]] == nil {
            // Filled in when it is read, but not where it is stored.
            Defaults.labelJob(&object)
            unsettled.insert(key)
        }
        revision += 1
        object.set(["metadata", "resourceVersion"], .string(String(revision)))
        objects[key] = object
        let kind: Change.Kind = old == nil ? .added : .modified
        record(Change(revision: revision, kind: kind, key: key, before: old, object: object, writer: writer))
        return object
    }

    /// Whether a change raises the generation: for a custom object whatever is neither metadata nor status.
    private static func counts(_ old: JSONValue, _ new: JSONValue, _ kind: ModelKind) -> Bool {
        guard kind.hasGeneration else { return false }
        guard kind.isCustom else { return old["spec"] != new["spec"] }
        var (before, after) = (old, new)
        for field in ["metadata", "status"] {
            before.set([field], nil)
            after.set([field], nil)
        }
        return before != after
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
        if quirk != .deletedEventIsOld {
            object.set(["metadata", "resourceVersion"], .string(String(revision)))
        }
        record(Change(revision: revision, kind: .deleted, key: key, before: before, object: object, writer: writer))
    }

    /// A namespace has its own in the spec, which only the namespace controller takes away.
    private static func finalizers(_ object: JSONValue) -> [JSONValue] {
        object.items("metadata", "finalizers")
            + (object["kind"] == "Namespace" ? object.items("spec", "finalizers") : [])
    }

    private func record(_ change: Change) {
        history.append(change)
        index.note(change)
        for observer in observers { observer(change) }
        for watch in watches { watch.hear(change) }
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
            if object[path: ["spec", "replicas"]] == nil { object.set(["spec", "replicas"], 1) }
            normalizeContainers(&object, ["spec", "template", "spec"])
        case .jobs:
            normalizeContainers(&object, ["spec", "template", "spec"])
            countJob(&object)
        case .claims:
            object.set(["status"], ["phase": "Pending"])
            let finalizers = object.items("metadata", "finalizers").filter { $0 != "kubernetes.io/pvc-protection" }
            object.set(["metadata", "finalizers"], .array(finalizers + ["kubernetes.io/pvc-protection"]))
        case .pods:
            object.set(["status"], ["phase": "Pending"])
            normalizeContainers(&object, ["spec"])
        case .services: object.set(["status"], ["loadBalancer": [:]])
        case .secrets: foldStringData(&object)
        default: break
        }
        return object
    }

    /// A Job knows its pods by labels that hold its uid.
    static func select(_ job: inout JSONValue) {
        if job[path: ["spec", "manualSelector"]] == true { return }
        let uid = job[path: ["metadata", "uid"]] ?? ""
        job.set(["spec", "selector"], ["matchLabels": ["controller-uid": uid]])
        job.set(["spec", "template", "metadata", "labels", "controller-uid"], uid)
        job.set(["spec", "template", "metadata", "labels", "job-name"], job[path: ["metadata", "name"]])
    }

    /// One pod, unless more is asked for.
    static func countJob(_ job: inout JSONValue) {
        let parallelism = job[path: ["spec", "parallelism"]]
        if parallelism == nil, job[path: ["spec", "completions"]] == nil { job.set(["spec", "completions"], 1) }
        if parallelism == nil { job.set(["spec", "parallelism"], 1) }
        if job[path: ["spec", "backoffLimit"]] == nil { job.set(["spec", "backoffLimit"], 6) }
    }

    /// A Job without labels takes those of its pods.
    static func labelJob(_ job: inout JSONValue) {
        if job[path: ["metadata", "labels"]] != nil { return }
        job.set(["metadata", "labels"], job[path: ["spec", "template", "metadata", "labels"]])
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
