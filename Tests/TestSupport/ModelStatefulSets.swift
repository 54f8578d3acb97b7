// SPDX-License-Identifier: Apache-2.0

import JSON

/// The StatefulSet controller, as `pkg/controller/statefulset` of Kubernetes has it (1.20 to 1.36).
///
/// Its habits that matter: pods are claimed by selector and name, so that an orphan is adopted and a pod that lost its
/// labels is given up, and then stands in the way; claims are made with a pod, belong to nobody and are never looked at
/// again; with `OrderedReady` a pod that does not become ready keeps its own replacement from happening.
struct ModelStatefulSets {
    private let cluster: ModelCluster
    private var api: ModelAPI { cluster.api }

    init(_ cluster: ModelCluster) { self.cluster = cluster }

    /// The ordinal that a pod's name has in a StatefulSet; `nil` when it is no name of its pods.
    static func ordinal(of pod: String, in set: String) -> Int? {
        guard pod.hasPrefix("\(set)-") else { return nil }
        let digits = pod.dropFirst(set.utf8.count + 1)
        guard let number = Int(digits), number >= 0, String(number) == digits else { return nil }
        return number
    }

    /// - Returns: Whether all went well; otherwise it is to be tried again.
    func sync(_ key: ModelKey) -> Bool {
        guard let set = api[key] else { return true }
        let work = Work(cluster, key, set)
        let succeeded = set[path: ["metadata", "deletionTimestamp"]] == nil ? work.act() : true
        work.writeStatus()
        return succeeded
    }
}

extension ModelStatefulSets {
    /// One look at one StatefulSet.
    private final class Work {
        private struct Counts { var replicas = 0, ready = 0, current = 0, updated = 0 }

        private let cluster: ModelCluster
        private let key: ModelKey
        private let made: JSONValue
        private let update: String
        private let current: String
        private let wanted: Int
        private let isOrdered: Bool
        private var pods: [Int: JSONValue] = [:]
        private var counts = Counts()
        private var api: ModelAPI { cluster.api }

        init(_ cluster: ModelCluster, _ key: ModelKey, _ set: JSONValue) {
            self.cluster = cluster
            self.key = key
            made = set
            update = Self.revision(set)
            current = set.text("status", "currentRevision") ?? update
            wanted = Int(set.integer("spec", "replicas") ?? 1)
            isOrdered = set.text("spec", "podManagementPolicy") != "Parallel"
            if set[path: ["metadata", "deletionTimestamp"]] == nil { claimPods() }
            for name in owned { if let ordinal = ordinal(name) { pods[ordinal] = api[name] } }
            count()
        }

        private func ordinal(_ pod: ModelKey) -> Int? { ModelStatefulSets.ordinal(of: pod.name, in: key.name) }

        private var uid: String { made.text("metadata", "uid") ?? "" }

        private var owned: [ModelKey] { api.index.owned(by: uid).filter { $0.kind == .pods } }

        // MARK: Whose pods

        /// Adopts orphans that match, and gives up what matches no more.
        private func claimPods() {
            for pod in owned {
                guard let object = api[pod], !matches(object) || ordinal(pod) == nil else { continue }
                api.change(pod) { $0.set(["metadata", "ownerReferences"], nil) }
            }
            for pod in api.index.keys(of: .pods, in: key.namespace) where ordinal(pod) != nil {
                guard let object = api[pod], matches(object), object[path: ["metadata", "deletionTimestamp"]] == nil,
                    !object.items("metadata", "ownerReferences").contains(where: { $0["controller"] == true })
                else { continue }
                api.change(pod) { $0.set(["metadata", "ownerReferences"], .array([ModelCluster.owner(made)])) }
            }
        }

        private func matches(_ pod: JSONValue) -> Bool {
            guard let wanted = made[path: ["spec", "selector", "matchLabels"]]?.texts, !wanted.isEmpty else {
                return true
            }
            let labels = pod[path: ["metadata", "labels"]]?.texts ?? [:]
            return wanted.allSatisfy { labels[$0.key] == $0.value }
        }

        private func count() {
            for ordinal in pods.keys.sorted() {
                guard let pod = pods[ordinal] else { continue }
                counts.replicas += 1
                if Self.isReady(pod) { counts.ready += 1 }
                guard !Self.isTerminating(pod) else { continue }
                if Self.revision(of: pod) == current { counts.current += 1 }
                if Self.revision(of: pod) == update { counts.updated += 1 }
            }
        }

        // MARK: What it does

        func act() -> Bool {
            for ordinal in 0..<max(0, wanted) {
                guard let pod = pods[ordinal] else {
                    guard create(ordinal) else { return false }
                    if isOrdered { return true }
                    continue
                }
                if ["Failed", "Succeeded"].contains(pod.text("status", "phase")) {
                    if !Self.isTerminating(pod) { api.delete(podKey(ordinal)) }
                    // Where that took it away at once, its deletion brings the next look.
                    return true
                }
                if pod.text("status", "phase") == "Pending", !Self.isTerminating(pod) { _ = makeClaims(ordinal) }
                if isOrdered, Self.isTerminating(pod) || !Self.isReady(pod) { return true }
            }
            return scaleDown() ? replaceOld() : true
        }

        /// - Returns: Whether there is nothing more to take away.
        private func scaleDown() -> Bool {
            let unhealthy = pods.keys.sorted().first { ordinal in
                pods[ordinal].map { !Self.isReady($0) || Self.isTerminating($0) } ?? false
            }
            let condemned = pods.keys.filter { $0 >= wanted }.sorted(by: >)
            for ordinal in condemned {
                guard let pod = pods[ordinal] else { continue }
                if Self.isTerminating(pod) {
                    if isOrdered { return false }
                    continue
                }
                if isOrdered, !Self.isReady(pod), ordinal != unhealthy { return false }
                api.delete(podKey(ordinal))
                if isOrdered { return false }
            }
            return condemned.isEmpty
        }

        /// The rolling update: one pod at a time, from the highest ordinal down.
        private func replaceOld() -> Bool {
            guard made.text("spec", "updateStrategy", "type") != "OnDelete" else { return true }
            let least = Int(made.integer("spec", "updateStrategy", "rollingUpdate", "partition") ?? 0)
            for ordinal in stride(from: wanted - 1, through: least, by: -1) {
                guard let pod = pods[ordinal] else { return true }
                if Self.revision(of: pod) != update, !Self.isTerminating(pod) {
                    api.delete(podKey(ordinal))
                    if Self.revision(of: pod) == current { counts.current -= 1 }
                    return true
                }
                if !Self.isReady(pod) || Self.isTerminating(pod) { return true }
            }
            return true
        }

        private func podKey(_ ordinal: Int) -> ModelKey {
            ModelKey(.pods, key.namespace, "\(key.name)-\(ordinal)")
        }

        // MARK: What it makes

        /// - Returns: `false` when a claim is on its way out: no pod is made then.
        private func makeClaims(_ ordinal: Int) -> Bool {
            for template in made.items("spec", "volumeClaimTemplates") {
                let claim = ModelKey(.claims, key.namespace, claimName(template, ordinal))
                if let there = api[claim] {
                    if there[path: ["metadata", "deletionTimestamp"]] != nil { return false }
                    continue
                }
                let labels = (template[path: ["metadata", "labels"]]?.texts ?? [:]).merging(
                    made[path: ["spec", "selector", "matchLabels"]]?.texts ?? [:]
                ) { _, selector in selector }
                var object: JSONValue = [
                    "metadata": ["name": .string(claim.name), "labels": JSONValue(texts: labels)]
                ]
                object.set(["spec"], template["spec"])
                guard (try? api.create(claim, object)) != nil else { return false }
            }
            return true
        }

        private func claimName(_ template: JSONValue, _ ordinal: Int) -> String {
            "\(template.text("metadata", "name") ?? "")-\(key.name)-\(ordinal)"
        }

        private func create(_ ordinal: Int) -> Bool {
            guard makeClaims(ordinal) else { return false }
            let podKey = podKey(ordinal)
            var pod = made[path: ["spec", "template"]] ?? [:]
            pod.set(["metadata", "name"], .string(podKey.name))
            pod.set(["metadata", "labels", "controller-revision-hash"], .string(update))
            pod.set(["metadata", "labels", "statefulset.kubernetes.io/pod-name"], .string(podKey.name))
            pod.set(["metadata", "ownerReferences"], .array([ModelCluster.owner(made)]))
            var volumes = pod.items("spec", "volumes")
            for template in made.items("spec", "volumeClaimTemplates") {
                volumes.append([
                    "name": .string(template.text("metadata", "name") ?? ""),
                    "persistentVolumeClaim": ["claimName": .string(claimName(template, ordinal))],
                ])
            }
            pod.set(["spec", "volumes"], .array(volumes))
            guard cluster.createPod(podKey, pod, for: made) else { return false }
            counts.replicas += 1
            counts.updated += 1
            if current == update { counts.current += 1 }
            return true
        }

        // MARK: What it says

        func writeStatus() {
            var newCurrent = current
            if counts.updated == counts.replicas, counts.ready == counts.replicas {
                newCurrent = update
                counts.current = counts.updated
            }
            func number(_ value: Int) -> JSONValue? { value == 0 ? nil : .integer(Int64(value)) }
            api.change(key) { object in
                object.set(["status", "observedGeneration"], made[path: ["metadata", "generation"]])
                object.set(["status", "replicas"], .integer(Int64(counts.replicas)))
                object.set(["status", "readyReplicas"], number(counts.ready))
                object.set(["status", "currentReplicas"], number(counts.current))
                object.set(["status", "updatedReplicas"], number(counts.updated))
                object.set(["status", "currentRevision"], .string(newCurrent))
                object.set(["status", "updateRevision"], .string(update))
                object.set(["status", "collisionCount"], 0)
            }
        }

        private static func isReady(_ pod: JSONValue) -> Bool {
            pod.text("status", "phase") == "Running"
                && pod.items("status", "conditions").contains { $0["type"] == "Ready" && $0["status"] == "True" }
        }

        private static func isTerminating(_ pod: JSONValue) -> Bool {
            pod[path: ["metadata", "deletionTimestamp"]] != nil
        }

        private static func revision(of pod: JSONValue) -> String {
            pod.text("metadata", "labels", "controller-revision-hash") ?? ""
        }

        private static func revision(_ set: JSONValue) -> String {
            let text = String(decoding: set[path: ["spec", "template"]]?.bytes ?? [], as: UTF8.self)
            let name = set.text("metadata", "name") ?? ""
            return "\(name)-\(String(keyedHash(0, text, 0) % 0xFFFF_FFFF, radix: 16))"
        }
    }
}
