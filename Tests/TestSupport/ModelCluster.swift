// SPDX-License-Identifier: Apache-2.0

import JSON
import Resources

/// Kubernetes' own controllers as event closures: StatefulSets, Jobs, garbage collection, claim protection.
package final class ModelCluster: @unchecked Sendable {
    package let api: ModelAPI
    package let kubelet: ModelKubelet
    private let scheduler: Scheduler
    private let wire: ModelWire
    private var due: Set<String> = []

    package init(_ api: ModelAPI, _ wire: ModelWire, _ stores: ModelStores) {
        self.api = api
        self.wire = wire
        scheduler = api.scheduler
        kubelet = ModelKubelet(api, wire, stores)
        api.observers.append { [unowned self] change in hear(change) }
        api.logs = { [unowned self] pod, container in kubelet.log(of: pod, container) }
    }

    private func hear(_ change: ModelAPI.Change) {
        let key = change.key
        switch key.kind {
        case .statefulSets: soon("sts", key) { self.statefulSet(key) }
        case .jobs: soon("job", key) { self.job(key) }
        case .pods:
            kubelet.hear(change)
            for owner in change.object.items("metadata", "ownerReferences") {
                let name = owner.text("name") ?? ""
                if owner["kind"] == "StatefulSet" {
                    let set = ModelKey(.statefulSets, key.namespace, name)
                    soon("sts", set) { self.statefulSet(set) }
                } else {
                    let job = ModelKey(.jobs, key.namespace, name)
                    soon("job", job) { self.job(job) }
                }
            }
            if change.kind == .deleted {
                for (claim, _) in api.all(.claims, in: key.namespace) {
                    soon("protect", claim) { self.protect(claim) }
                }
            }
        case .claims:
            if change.kind == .deleted {
                kubelet.forgetVolume(change.object.text("metadata", "uid") ?? "")
            } else {
                soon("protect", key) { self.protect(key) }
            }
        default: break
        }
        if change.kind == .deleted, let uid = change.object.text("metadata", "uid") {
            scheduler.after(30 + wire.draw("gc", below: 100), "gc of \(key)") { self.collect(uid) }
        }
    }

    private func soon(_ what: String, _ key: ModelKey, _ action: @escaping () -> Void) {
        let mark = "\(what) \(key)"
        guard due.insert(mark).inserted else { return }
        scheduler.after(5 + wire.draw("controller/\(what)", below: 40), mark) { [self] in
            due.remove(mark)
            api.acting(as: "controller-manager") { action() }
        }
    }

    // MARK: StatefulSets

    private func statefulSet(_ key: ModelKey) {
        guard let set = api[key], set[path: ["metadata", "deletionTimestamp"]] == nil else { return }
        let podKey = ModelKey(.pods, key.namespace, "\(key.name)-0")
        let pod = api[podKey]
        let replicas = set.integer("spec", "replicas") ?? 1
        let uid = set.text("metadata", "uid")
        let isMine = pod?.items("metadata", "ownerReferences").contains { $0.text("uid") == uid } ?? false
        let revision = Self.revision(set)
        if replicas > 0 {
            makeClaims(set, key)
            if pod == nil {
                makePod(set, podKey, revision)
            } else if isMine, let pod, pod[path: ["metadata", "deletionTimestamp"]] == nil,
                pod.text("metadata", "labels", "controller-revision-hash") != revision
            {
                api.delete(podKey)
            }
        } else if isMine, pod?[path: ["metadata", "deletionTimestamp"]] == nil {
            api.delete(podKey)
        }
        let now = api[podKey]
        let isThere = now?.items("metadata", "ownerReferences").contains { $0.text("uid") == uid } ?? false
        api.change(key) { object in
            object.set(
                ["status", "observedGeneration"], object[path: ["metadata", "generation"]])
            object.set(["status", "replicas"], .integer(isThere ? 1 : 0))
            let ready: JSONValue? = isThere && now.map(Self.isReady) == true ? .integer(1) : .none
            object.set(["status", "readyReplicas"], ready)
        }
    }

    private static func isReady(_ pod: JSONValue) -> Bool {
        pod.items("status", "conditions").contains { $0["type"] == "Ready" && $0["status"] == "True" }
    }

    private static func revision(_ set: JSONValue) -> String {
        let text = String(decoding: set[path: ["spec", "template"]]?.bytes ?? [], as: UTF8.self)
        return "rev-\(String(keyedHash(0, text, 0) % 0xFFFF_FFFF, radix: 16))"
    }

    private func makeClaims(_ set: JSONValue, _ key: ModelKey) {
        for template in set.items("spec", "volumeClaimTemplates") {
            let name = "\(template.text("metadata", "name") ?? "")-\(key.name)-0"
            let labels = (template[path: ["metadata", "labels"]]?.texts ?? [:]).merging(
                set[path: ["spec", "selector", "matchLabels"]]?.texts ?? [:]
            ) { _, selector in selector }
            var claim: JSONValue = ["metadata": ["name": .string(name), "labels": JSONValue(texts: labels)]]
            claim.set(["spec"], template["spec"])
            _ = try? api.create(ModelKey(.claims, key.namespace, name), claim)
        }
    }

    private func makePod(_ set: JSONValue, _ key: ModelKey, _ revision: String) {
        var pod = set[path: ["spec", "template"]] ?? [:]
        pod.set(["metadata", "name"], .string(key.name))
        pod.set(["metadata", "labels", "controller-revision-hash"], .string(revision))
        pod.set(["metadata", "labels", "statefulset.kubernetes.io/pod-name"], .string(key.name))
        pod.set(["metadata", "ownerReferences"], .array([Self.owner(set)]))
        var volumes = pod.items("spec", "volumes")
        for template in set.items("spec", "volumeClaimTemplates") {
            let name = template.text("metadata", "name") ?? ""
            let claim = "\(name)-\(set.text("metadata", "name") ?? "")-0"
            volumes.append(["name": .string(name), "persistentVolumeClaim": ["claimName": .string(claim)]])
        }
        pod.set(["spec", "volumes"], .array(volumes))
        _ = try? api.create(key, pod)
    }

    private static func owner(_ object: JSONValue) -> JSONValue {
        [
            "apiVersion": object["apiVersion"] ?? "", "kind": object["kind"] ?? "",
            "name": .string(object.text("metadata", "name") ?? ""),
            "uid": .string(object.text("metadata", "uid") ?? ""), "controller": true,
        ]
    }

    // MARK: Jobs

    private func job(_ key: ModelKey) {
        guard let job = api[key], job[path: ["metadata", "deletionTimestamp"]] == nil else { return }
        if !job.items("status", "conditions").isEmpty { return }
        let uid = job.text("metadata", "uid") ?? ""
        let pods = api.all(.pods, in: key.namespace).filter { pod in
            pod.object.items("metadata", "ownerReferences").contains { $0.text("uid") == uid }
        }
        if let ended = pods.first(where: { ["Succeeded", "Failed"].contains($0.object.text("status", "phase")) }) {
            finish(key, succeeded: ended.object.text("status", "phase") == "Succeeded")
        } else if pods.isEmpty {
            let tail = String(keyedHash(0, uid, UInt64(wire.draw("job pod/\(key.name)", below: 1 << 30))), radix: 36)
            var pod = job[path: ["spec", "template"]] ?? [:]
            let name = "\(key.name)-\(tail.prefix(5))"
            pod.set(["metadata", "name"], .string(name))
            pod.set(["metadata", "labels", "job-name"], .string(key.name))
            pod.set(["metadata", "labels", "controller-uid"], .string(uid))
            pod.set(["metadata", "ownerReferences"], .array([Self.owner(job)]))
            _ = try? api.create(ModelKey(.pods, key.namespace, name), pod)
            api.change(key) { $0.set(["status", "active"], 1) }
        }
    }

    private func finish(_ key: ModelKey, succeeded: Bool) {
        api.change(key) { job in
            job.set(["status", "active"], nil)
            job.set(["status", succeeded ? "succeeded" : "failed"], 1)
            var condition: JSONValue = ["type": .string(succeeded ? "Complete" : "Failed"), "status": "True"]
            if !succeeded {
                condition.set(["reason"], "BackoffLimitExceeded")
                condition.set(["message"], "Job has reached the specified backoff limit")
            }
            job.set(["status", "conditions"], .array([condition]))
        }
    }

    // MARK: Cleaning up

    /// A claim that is being deleted stays until no scheduled pod uses it.
    private func protect(_ key: ModelKey) {
        guard let claim = api[key], claim[path: ["metadata", "deletionTimestamp"]] != nil else { return }
        let isUsed = api.all(.pods, in: key.namespace).contains { pod in
            pod.object.items("spec", "volumes").contains {
                $0.text("persistentVolumeClaim", "claimName") == key.name
            } && pod.object.text("spec", "nodeName") != nil
                && !["Succeeded", "Failed"].contains(pod.object.text("status", "phase"))
        }
        guard !isUsed else { return }
        api.change(key) { object in
            let left = object.items("metadata", "finalizers").filter { $0 != "kubernetes.io/pvc-protection" }
            object.set(["metadata", "finalizers"], .array(left))
        }
    }

    /// Deletes everything whose only owner is gone.
    private func collect(_ uid: String) {
        api.acting(as: "garbage-collector") {
            for (key, object) in api.objects.sorted(by: { $0.key < $1.key }) {
                let owners = object.items("metadata", "ownerReferences").compactMap { $0.text("uid") }
                guard owners.contains(uid) else { continue }
                let lives = Set(api.objects.values.compactMap { $0.text("metadata", "uid") })
                if !owners.contains(where: lives.contains) { api.delete(key) }
            }
        }
    }
}
