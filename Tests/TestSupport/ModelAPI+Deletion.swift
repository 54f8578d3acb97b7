// SPDX-License-Identifier: Apache-2.0

import JSON
import Resources
import Seams

/// DELETE: preconditions, grace, finalizers and what becomes of dependents.
extension ModelAPI {
    /// `DeleteOptions`, as far as they are modelled.
    struct Deletion {
        var uid: String?
        var version: String?
        var propagation: String?
        var grace: Int64?
        /// The old way to say Orphan.
        var orphans: Bool?
    }

    func delete(_ key: ModelKey, _ route: Route, _ request: HTTPRequest) throws -> HTTPResponse {
        let options = try Self.deletion(route, request)
        let object = try present(key)
        let found = (
            uid: object.text("metadata", "uid") ?? "", version: object.text("metadata", "resourceVersion") ?? ""
        )
        if let uid = options.uid, uid != found.uid, quirk != .ignoresUIDOnDelete {
            throw ModelRefusal.deletePrecondition(key, "UID", uid, found.uid)
        }
        if let version = options.version, version != found.version {
            throw ModelRefusal.deletePrecondition(key, "ResourceVersion", version, found.version)
        }
        let after = Self.finalizers(object, key.kind, options)
        if options.version != nil, after.isEmpty, !object.items("metadata", "finalizers").isEmpty {
            // 1.20 compares the version with that of an object that it has not read yet.
            throw ModelRefusal.precondition(key, "ResourceVersion", "", found.version)
        }
        let last = delete(key, options)
        if key.kind != .services, self[key] != nil || key.kind.isShownWhenDeleted { return json(200, last) }
        var details: JSONValue = ["name": .string(key.name), "kind": .string(key.kind.plural)]
        if !key.kind.group.isEmpty { details.set(["group"], .string(key.kind.group)) }
        details.set(["uid"], object[path: ["metadata", "uid"]])
        return json(
            200, ["kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Success", "details": details])
    }

    private static func deletion(_ route: Route, _ request: HTTPRequest) throws -> Deletion {
        var deletion = Deletion()
        if request.body.isEmpty {
            deletion.propagation = route.query["propagationPolicy"]
            deletion.grace = route.query["gracePeriodSeconds"].flatMap { Int64($0) }
        } else {
            let shape = ModelShape.object([
                "preconditions": .object(["uid": .keptText, "resourceVersion": .keptText]),
                "propagationPolicy": .text, "gracePeriodSeconds": .number, "orphanDependents": .any,
            ])
            guard let body = try? shape.decoded(try body(request)) ?? [:] else {
                throw ModelRefusal.unexplained("the delete options can't be read")
            }
            deletion.uid = body.text("preconditions", "uid")
            deletion.version = body.text("preconditions", "resourceVersion")
            deletion.propagation = body.text("propagationPolicy")
            deletion.grace = body.integer("gracePeriodSeconds")
            if case .bool(let orphans) = body["orphanDependents"] { deletion.orphans = orphans }
        }
        if deletion.propagation != nil, deletion.orphans != nil {
            throw ModelRefusal.invalidOptions("propagationPolicy")
        }
        if let policy = deletion.propagation, !["Background", "Foreground", "Orphan"].contains(policy) {
            throw ModelRefusal.invalidOptions("propagationPolicy")
        }
        return deletion
    }

    /// A DELETE of the cluster's own controllers, in the background: gone at once, or marked.
    package func delete(_ key: ModelKey) { _ = delete(key, Deletion(propagation: "Background")) }

    /// - Returns: The object as it is afterwards, or was last.
    private func delete(_ key: ModelKey, _ options: Deletion) -> JSONValue {
        guard let object = self[key] else { return .null }
        // A pod whose time is over is an object like any other.
        let isOver = object.integer("metadata", "deletionGracePeriodSeconds") == 0
        if key.kind == .pods, !isOver { return deletePod(key, object, options) }
        let finalizers = Self.finalizers(object, key.kind, options)
        let isHeld = !finalizers.isEmpty || !object.items("spec", "finalizers").isEmpty
        if !isHeld || quirk == .ignoresFinalizers {
            remove(key)
            return object
        }
        var marked = object
        marked.set(["metadata", "finalizers"], finalizers.isEmpty ? nil : .array(finalizers.map { .string($0) }))
        mark(&marked, grace: 0)
        return commit(key, marked)
    }

    /// Only pods have time to end. One that no node has, or that has ended, gets none.
    private func deletePod(_ key: ModelKey, _ object: JSONValue, _ options: Deletion) -> JSONValue {
        let isRunning =
            object.text("spec", "nodeName") != nil
            && !["Succeeded", "Failed"].contains(object.text("status", "phase"))
        var grace = isRunning ? options.grace ?? object.integer("spec", "terminationGracePeriodSeconds") ?? 30 : 0
        if let left = object.integer("metadata", "deletionGracePeriodSeconds") {
            guard let asked = options.grace, asked < left else { return object }
            grace = asked
        }
        var marked = object
        let finalizers = Self.finalizers(object, key.kind, options)
        marked.set(["metadata", "finalizers"], finalizers.isEmpty ? nil : .array(finalizers.map { .string($0) }))
        mark(&marked, grace: grace)
        let stored = commit(key, marked, deletesUnheld: false)
        if grace == 0, finalizers.isEmpty { remove(key) }
        return stored
    }

    private func mark(_ object: inout JSONValue, grace: Int64) {
        let isFirst = object[path: ["metadata", "deletionTimestamp"]] == nil
        if isFirst, let generation = object.integer("metadata", "generation") {
            object.set(["metadata", "generation"], .integer(generation + 1))
        }
        if isFirst || object.integer("metadata", "deletionGracePeriodSeconds") != grace {
            let moment = scheduler.wall.wholeSecond.adding(seconds: grace)
            object.set(["metadata", "deletionTimestamp"], .string(moment.rfc3339))
            object.set(["metadata", "deletionGracePeriodSeconds"], .integer(grace))
        }
    }

    static let foreground = "foregroundDeletion"
    static let orphan = "orphan"

    /// The finalizers that an object has once it is deleted like this.
    private static func finalizers(_ object: JSONValue, _ kind: ModelKind, _ options: Deletion) -> [String] {
        let before = object.items("metadata", "finalizers").compactMap(\.string)
        if kind == .events { return before }
        var (orphans, waits) = (false, false)
        if let said = options.orphans {
            orphans = said
        } else if let policy = options.propagation {
            orphans = policy == "Orphan"
            waits = policy == "Foreground"
        } else if before.contains(orphan) || before.contains(foreground) {
            orphans = before.first { $0 == orphan || $0 == foreground } == orphan
            waits = before.contains(foreground) && !(orphans && !before.contains(foreground))
        } else {
            orphans = kind == .jobs
        }
        let wanted = (orphans ? [orphan] : []) + (waits ? [foreground] : [])
        let own = before.filter { $0 == orphan || $0 == foreground }
        if Set(own) == Set(wanted) { return before }
        return before.filter { $0 != orphan && $0 != foreground } + wanted
    }
}
