// SPDX-License-Identifier: Apache-2.0

import JSON
import Resources

/// Something that happens in the world and that no controller of ours has done: for scripts of faults, which are words.
///
/// `description` and `init(words:)` are each other's inverse, so that a script can be printed, kept and played again.
package enum WorldEvent: Hashable, Sendable, CustomStringConvertible {
    /// What somebody changes in an object that is not theirs.
    package enum Edit: Hashable, Sendable {
        case removeLabel(String)
        case annotate(String, String)
        case scale(Int64)
        /// A variable of the first container's template returns: `WALG_CLONE_FROM` above all.
        case setVariable(String, String)
        case dropOwners
        case dropFinalizers
    }

    case deletePod(ModelKey)
    /// The node ran out of something: the pod fails, its object stays.
    case evict(ModelKey)
    /// The container is killed, and its pod starts it again.
    case killContainer(ModelKey)
    /// The pod's object is removed, whatever its node says.
    case forceDeletePod(ModelKey)
    case hang(ModelKey)
    case loseNode(String, crashed: Bool, seconds: Int64)
    case delete(ModelKey)
    case recreate(ModelKey)
    case edit(ModelKey, Edit)
    /// Somebody keeps setting the replicas of a StatefulSet.
    case scaler(ModelKey, every: Int64, to: Int64, until: Int64)
    case deleteNamespace(String)
    case recreateNamespace(String)
    case newBackup(String)
    case newWAL(String)
    case deleteBackup(String)
    case loseSegment(String, Int64)
    case bucketUnreachable(String, seconds: Int64)
    case revoke(String, seconds: Int64)
    case storeClock(Int64)
    case imageGone(String, seconds: Int64)
    case podsRefused(String, seconds: Int64)
    /// A client commits a row in the service of a pod.
    case commit(ModelKey, String)
}

extension Simulation {
    /// Lets something happen, now.
    /// - Returns: Whether there was anything that it could happen to.
    @discardableResult
    package func happen(_ event: WorldEvent) -> Bool {
        cluster.happened.append("\(scheduler.now) \(event)")
        return ModelEvents(self).happen(event)
    }

    /// Lets something happen after so many milliseconds.
    package func happen(_ event: WorldEvent, after milliseconds: Int64) {
        scheduler.after(milliseconds, "world: \(event)") { [unowned self] in happen(event) }
    }
}

/// Does what the events say.
struct ModelEvents {
    private let world: Simulation
    private var api: ModelAPI { world.api }
    private var stores: ModelStores { world.stores }

    init(_ world: Simulation) { self.world = world }

    func happen(_ event: WorldEvent) -> Bool {
        switch event {
        case .deletePod(let key), .evict(let key), .killContainer(let key), .forceDeletePod(let key),
            .hang(let key):
            guard api[key] != nil else { return false }
            pod(event, key)
        case .loseNode(let node, let crashed, let seconds):
            world.kubelet.lose(node, crashed: crashed)
            later(seconds) { $0.kubelet.find(node) }
        case .delete(let key):
            guard api[key] != nil else { return false }
            api.acting(as: "somebody") { api.delete(key) }
        case .recreate(let key): return recreate(key)
        case .edit(let key, let edit): return self.edit(key, edit)
        case .scaler(let key, let period, let replicas, let end):
            scale(key, every: period, to: replicas, until: world.scheduler.now + end * 1_000)
        case .deleteNamespace(let name):
            let key = ModelKey(.namespaces, "", name)
            guard api[key] != nil else { return false }
            api.acting(as: "somebody") { api.delete(key) }
        case .recreateNamespace(let name):
            let key = ModelKey(.namespaces, "", name)
            guard happen(.deleteNamespace(name)) else { return false }
            whenGone(key) { $0.addNamespace(name) }
        case .commit(let key, let row): return world.kubelet.commit(row, in: key)
        default: return store(event)
        }
        return true
    }

    private func pod(_ event: WorldEvent, _ key: ModelKey) {
        switch event {
        case .deletePod: api.acting(as: "somebody") { api.delete(key) }
        case .evict: world.kubelet.pod(key).map { world.kubelet.evict($0, "The node was low on resource: memory.") }
        case .killContainer: world.kubelet.killContainer(key)
        case .forceDeletePod: api.acting(as: "somebody") { api.remove(key) }
        default: world.kubelet.hang(key)
        }
    }

    /// What happens to the stores, and to what else pods need from outside.
    private func store(_ event: WorldEvent) -> Bool {
        switch event {
        case .newBackup(let place):
            return stores.addBackup(to: place, rows: ["row of \(stores.wall.wholeSecond.rfc3339)"]) != nil
        case .newWAL(let place): stores.addWAL(to: place, rows: ["row of \(stores.wall.wholeSecond.rfc3339)"])
        case .deleteBackup(let place): stores.removeBackup(from: place)
        case .loseSegment(let place, let number): stores.loseSegment(number, of: place)
        case .bucketUnreachable(let bucket, let seconds):
            stores.unreachableBuckets.insert(bucket)
            later(seconds) { $0.stores.unreachableBuckets.remove(bucket) }
        case .revoke(let key, let seconds):
            stores.revoked.insert(key)
            later(seconds) { $0.stores.revoked.remove(key) }
        case .storeClock(let seconds): stores.clockStep += seconds
        case .imageGone(let image, let seconds):
            world.kubelet.unpullable.insert(image)
            later(seconds) { $0.kubelet.unpullable.remove(image) }
        case .podsRefused(let namespace, let seconds):
            world.cluster.podRefusals[namespace] =
                "exceeded quota: pods, requested: pods=1, used: pods=4, limited: pods=4"
            later(seconds) { $0.cluster.podRefusals[namespace] = nil }
        default: return false
        }
        return true
    }

    private func later(_ seconds: Int64, _ action: @escaping (Simulation) -> Void) {
        let world = world
        world.scheduler.after(seconds * 1_000, "the world mends") { [weak world] in
            if let world { action(world) }
        }
    }

    // MARK: Objects

    /// Deleted, and made again under the same name as soon as it is gone: the same words, and another UID.
    private func recreate(_ key: ModelKey) -> Bool {
        guard var body = api[key] else { return false }
        body.set(["status"], nil)
        for field in [
            "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "finalizers",
            "deletionGracePeriodSeconds", "managedFields",
        ] { body.set(["metadata", field], nil) }
        if key.kind == .pods { body.set(["spec", "nodeName"], nil) }
        let copy = body
        whenGone(key) { api in _ = try? api.create(key, copy) }
        api.acting(as: "somebody") { api.delete(key) }
        return true
    }

    /// Does something once, when an object is not there any more.
    private func whenGone(_ key: ModelKey, _ action: @escaping (ModelAPI) -> Void) {
        let api = api
        let uid = api[key]?.text("metadata", "uid")
        let cluster = world.cluster
        // What is asked for is not there for a moment, and nobody is done until it is there again.
        let isAsked = key.kind == .runs || key.kind == .clones
        if isAsked { cluster.remakes += 1 }
        func look(after delay: Int64) {
            world.scheduler.after(delay, "waits for the end of \(key)") { [weak api] in
                guard let api else { return }
                if uid != nil, api[key]?.text("metadata", "uid") == uid { return look(after: min(2 * delay, 5_000)) }
                if isAsked { cluster.remakes -= 1 }
                if api[key] == nil { api.acting(as: "somebody") { action(api) } }
            }
        }
        look(after: 50)
    }

    private func edit(_ key: ModelKey, _ edit: WorldEvent.Edit) -> Bool {
        guard api[key] != nil else { return false }
        api.acting(as: "somebody") {
            api.change(key) { object in
                switch edit {
                case .removeLabel(let name): object.set(["metadata", "labels", name], nil)
                case .annotate(let name, let value): object.set(["metadata", "annotations", name], .string(value))
                case .scale(let replicas): object.set(["spec", "replicas"], .integer(replicas))
                case .setVariable(let name, let value): Self.setVariable(&object, name, value)
                case .dropOwners: object.set(["metadata", "ownerReferences"], nil)
                case .dropFinalizers: object.set(["metadata", "finalizers"], nil)
                }
            }
        }
        return true
    }

    private static func setVariable(_ object: inout JSONValue, _ name: String, _ value: String) {
        let path = ["spec", "template", "spec", "containers"]
        var containers = object[path: path]?.array ?? []
        guard !containers.isEmpty else { return }
        let others = containers[0].items("env").filter { $0.text("name") != name }
        containers[0].set(["env"], .array(others + [["name": .string(name), "value": .string(value)]]))
        object.set(path, .array(containers))
    }

    private func scale(_ key: ModelKey, every period: Int64, to replicas: Int64, until end: Int64) {
        let world = world
        guard world.scheduler.now <= end, period > 0 else { return }
        _ = edit(key, .scale(replicas))
        world.scheduler.after(period * 1_000, "foreign scaler of \(key)") { [weak world] in
            if let world { ModelEvents(world).scale(key, every: period, to: replicas, until: end) }
        }
    }
}
