// SPDX-License-Identifier: Apache-2.0

import JSON
import Resources

/// Kubernetes' own controllers as event closures: StatefulSets, Jobs, namespaces, nodes, garbage collection, claim
/// protection.
package final class ModelCluster: @unchecked Sendable {
    package let api: ModelAPI
    package let kubelet: ModelKubelet
    /// The minor version whose habits the controllers have. Up to 25 a deleted pod of a Job is replaced, from 26 on it
    /// counts as failed; from 31 on a Job first says that it will end, and that it has ended when its pods have.
    package var minor = 20
    /// Why controllers can't make pods in a namespace: a quota, an admission webhook.
    package var podRefusals: [String: String] = [:]
    /// What was done to the world, in words, with the moments.
    package internal(set) var happened: [String] = []
    /// Runs and clones that somebody makes again as soon as they are gone.
    var remakes = 0
    let scheduler: Scheduler
    let wire: ModelWire
    private var due: Set<String> = []
    /// How often in a row something has failed.
    private var failures: [String: Int64] = [:]
    private var jobs: ModelJobs?
    private var events: UInt64 = 0

    package init(_ api: ModelAPI, _ wire: ModelWire, _ stores: ModelStores) {
        self.api = api
        self.wire = wire
        scheduler = api.scheduler
        kubelet = ModelKubelet(api, wire, stores)
        jobs = ModelJobs(self)
        api.observers.append { [unowned self] change in hear(change) }
        api.logs = { [unowned self] pod, container in kubelet.log(of: pod, container) }
    }

    private func hear(_ change: ModelAPI.Change) {
        let key = change.key
        switch key.kind {
        case .statefulSets: statefulSet(key)
        case .jobs: job(key)
        case .pods: pod(change)
        case .claims:
            if change.kind == .deleted {
                kubelet.forgetVolume(change.object.text("metadata", "uid") ?? "")
            } else if change.object[path: ["metadata", "deletionTimestamp"]] != nil {
                protect(key)
            }
        case .namespaces: namespace(key)
        default: break
        }
        if change.kind != .deleted, ModelGarbage.isWaitedFor(change.object) {
            soon("garbage", key) { ModelGarbage(self.api).sync(key) }
        }
        if change.kind == .deleted {
            if let uid = change.object.text("metadata", "uid"), !api.index.owned(by: uid).isEmpty {
                scheduler.after(30 + wire.draw("gc", below: 100), "gc of \(key)") { self.collect(uid) }
            }
        } else if change.before?[path: ["metadata", "ownerReferences"]]
            != change.object[path: ["metadata", "ownerReferences"]]
        {
            examine(key, change.object)
        }
    }

    private func pod(_ change: ModelAPI.Change) {
        let key = change.key
        kubelet.hear(change)
        let owners = change.object.items("metadata", "ownerReferences")
        for owner in owners {
            let name = owner.text("name") ?? ""
            switch owner.text("kind") {
            case "StatefulSet": statefulSet(ModelKey(.statefulSets, key.namespace, name))
            case "Job": job(ModelKey(.jobs, key.namespace, name))
            default: break
            }
        }
        if change.before?[path: ["metadata", "ownerReferences"]] != nil || owners.isEmpty, change.kind != .deleted {
            // A StatefulSet may have to take it, or to give it up.
            for set in api.index.keys(of: .statefulSets, in: key.namespace)
            where ModelStatefulSets.ordinal(of: key.name, in: set.name) != nil { statefulSet(set) }
        }
        if change.kind == .deleted || ["Succeeded", "Failed"].contains(change.object.text("status", "phase")) {
            for volume in change.object.items("spec", "volumes") {
                guard let claim = volume.text("persistentVolumeClaim", "claimName") else { continue }
                protect(ModelKey(.claims, key.namespace, claim))
            }
        }
    }

    // MARK: The queues

    private func statefulSet(_ key: ModelKey) {
        soon("sts", key) { ModelStatefulSets(self).sync(key) }
    }

    private func job(_ key: ModelKey) {
        soon("job", key) { [self] in jobs?.sync(key) ?? true }
    }

    /// The Job again, when something of it is due.
    func job(_ key: ModelKey, after milliseconds: Int64) {
        scheduler.after(milliseconds, "due: \(key)") { self.job(key) }
    }

    private func namespace(_ key: ModelKey) {
        guard api[key]?[path: ["metadata", "deletionTimestamp"]] != nil else { return }
        soon("namespace", key) { ModelNamespaces(self).sync(key) }
    }

    private func protect(_ key: ModelKey) {
        guard api[key]?[path: ["metadata", "deletionTimestamp"]] != nil else { return }
        soon("protect", key) { self.release(key) }
    }

    /// - Parameter action: Returns whether it succeeded; otherwise it comes again, each time later.
    private func soon(_ what: String, _ key: ModelKey, _ action: @escaping () -> Bool) {
        let mark = "\(what) \(key)"
        guard due.insert(mark).inserted else { return }
        scheduler.after(5 + wire.draw("controller/\(what)", below: 40), mark) { [self] in
            due.remove(mark)
            perform(what, mark, key, action)
        }
    }

    private func perform(_ what: String, _ mark: String, _ key: ModelKey, _ action: @escaping () -> Bool) {
        if api.acting(as: "controller-manager", action) {
            failures[mark] = nil
        } else {
            let count = failures[mark, default: 0]
            failures[mark] = count + 1
            scheduler.after(min(100 << min(count, 10), 60_000), "retry of \(mark)") { self.soon(what, key, action) }
        }
    }

    // MARK: What several controllers do

    /// The reference that a controller puts on what it makes.
    static func owner(_ object: JSONValue) -> JSONValue {
        [
            "apiVersion": object["apiVersion"] ?? "", "kind": object["kind"] ?? "",
            "name": .string(object.text("metadata", "name") ?? ""),
            "uid": .string(object.text("metadata", "uid") ?? ""), "controller": true, "blockOwnerDeletion": true,
        ]
    }

    /// Makes a pod, unless it is refused; a refusal is told in an event about the owner.
    func createPod(_ key: ModelKey, _ pod: JSONValue, for owner: JSONValue) -> Bool {
        let why: String
        if let refusal = podRefusals[key.namespace] {
            why = "pods \"\(owner.text("metadata", "name") ?? "")-\" is forbidden: \(refusal)"
        } else {
            do {
                _ = try api.create(key, pod)
                return true
            } catch { why = (error as? ModelRefusal)?.message ?? "\(error)" }
        }
        tell(owner, in: key.namespace, "FailedCreate", "Error creating: \(why)")
        return false
    }

    /// An event about an object, once for each text.
    func tell(_ object: JSONValue, in namespace: String, _ reason: String, _ message: String) {
        let uid = object.text("metadata", "uid") ?? ""
        let name =
            "\(object.text("metadata", "name") ?? "").\(String(keyedHash(0, uid + reason + message, 0), radix: 16))"
        let key = ModelKey(.events, namespace, name)
        guard api[key] == nil else { return }
        _ = try? api.create(
            key,
            [
                "metadata": ["name": .string(name), "namespace": .string(namespace)], "type": "Warning",
                "reason": .string(reason), "message": .string(message),
                "involvedObject": [
                    "kind": object["kind"] ?? "", "namespace": .string(namespace),
                    "name": .string(object.text("metadata", "name") ?? ""), "uid": .string(uid),
                ],
            ])
    }

    // MARK: Cleaning up

    /// A claim that is being deleted stays until no pod that was given a node uses it.
    private func release(_ key: ModelKey) -> Bool {
        guard let claim = api[key], claim[path: ["metadata", "deletionTimestamp"]] != nil else { return true }
        let isUsed = api.index.keys(of: .pods, in: key.namespace).contains { pod in
            guard let pod = api[pod], pod.text("spec", "nodeName") != nil,
                !["Succeeded", "Failed"].contains(pod.text("status", "phase"))
            else { return false }
            return pod.items("spec", "volumes").contains {
                $0.text("persistentVolumeClaim", "claimName") == key.name
            }
        }
        guard !isUsed else { return true }
        api.change(key) { object in
            let left = object.items("metadata", "finalizers").filter { $0 != "kubernetes.io/pvc-protection" }
            object.set(["metadata", "finalizers"], .array(left))
        }
        return true
    }

    /// An object that comes when its owner has gone already is collected as well.
    private func examine(_ key: ModelKey, _ object: JSONValue) {
        for owner in ModelIndex.owners(object) where api.index.key(uid: owner) == nil {
            scheduler.after(30 + wire.draw("gc", below: 100), "gc of \(key)") { self.collect(owner) }
        }
    }

    /// Deletes everything whose last owner is gone. An object with another owner only loses the reference.
    private func collect(_ uid: String) {
        guard api.index.key(uid: uid) == nil else { return }
        api.acting(as: "garbage-collector") {
            for key in api.index.owned(by: uid) {
                guard let object = api[key] else { continue }
                let living = ModelIndex.owners(object).filter { api.index.key(uid: $0) != nil }
                if living.isEmpty {
                    api.delete(key)
                } else {
                    api.change(key) { object in
                        let left = object.items("metadata", "ownerReferences").filter {
                            living.contains($0.text("uid") ?? "")
                        }
                        object.set(["metadata", "ownerReferences"], .array(left))
                    }
                }
            }
        }
    }
}
