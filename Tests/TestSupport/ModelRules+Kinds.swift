// SPDX-License-Identifier: Apache-2.0

import JSON

/// What the server refuses of its own kinds, as far as the controller could run into it.
extension ModelRules {
    static func fields(_ object: JSONValue, _ kind: ModelKind, old: JSONValue?) -> [String] {
        switch kind {
        case .configMaps: return keys(object, "data") + keys(object, "binaryData")
        case .secrets:
            let isChanged = old.map { $0.text("type") ?? "Opaque" != object.text("type") ?? "Opaque" } ?? false
            return keys(object, "data") + (isChanged ? ["type"] : [])
        case .services: return service(object, old)
        case .statefulSets: return statefulSet(object, old)
        case .jobs: return job(object, old)
        case .claims: return claim(object, old)
        case .leases: return lease(object)
        case .pods: return pod(object, old)
        case .events:
            let isElsewhere = object.text("involvedObject", "namespace") != object.text("metadata", "namespace")
            return isElsewhere ? ["involvedObject.namespace"] : []
        default: return []
        }
    }

    private static func keys(_ object: JSONValue, _ field: String) -> [String] {
        (object[field]?.object?.members ?? []).map(\.key).filter { key in
            key.isEmpty
                || !key.utf8.allSatisfy {
                    isAlphanumeric($0) || (0x41...0x5A).contains($0) || [0x2D, 0x2E, 0x5F].contains($0)
                }
        }.map { "\(field)[\($0)]" }
    }

    private static func service(_ object: JSONValue, _ old: JSONValue?) -> [String] {
        var faults: [String] = []
        var names: Set<String> = []
        for (index, port) in object.items("spec", "ports").enumerated() {
            if !(1...65_535).contains(port.integer("port") ?? 0) {
                faults.append("spec.ports[\(index)].port")
                if port["targetPort"] == nil { faults.append("spec.ports[\(index)].targetPort") }
            }
            if let name = port.text("name"), !names.insert(name).inserted {
                faults.append("spec.ports[\(index)].name")
            }
        }
        if object.text("spec", "clusterIP") != "None", object.items("spec", "ports").isEmpty {
            faults.append("spec.ports")
        }
        let type = object.text("spec", "type") ?? "ClusterIP"
        if !["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"].contains(type) { faults.append("spec.type") }
        if let old, old.text("spec", "clusterIP") != object.text("spec", "clusterIP") {
            faults.append("spec.clusterIPs[0]")
        }
        return faults
    }

    private static func statefulSet(_ object: JSONValue, _ old: JSONValue?) -> [String] {
        var faults: [String] = []
        if object.integer("spec", "replicas") ?? 0 < 0 { faults.append("spec.replicas") }
        let selector = object[path: ["spec", "selector", "matchLabels"]]
        if selector == nil { faults.append("spec.selector") }
        let labels = object[path: ["spec", "template", "metadata", "labels"]]?.texts ?? [:]
        if !(selector?.texts ?? [:]).allSatisfy({ labels[$0.key] == $0.value }) || selector == nil {
            faults.append("spec.template.metadata.labels")
        }
        if let old {
            let fixed = ["serviceName", "selector", "volumeClaimTemplates", "podManagementPolicy"]
            if fixed.contains(where: { old[path: ["spec", $0]] != object[path: ["spec", $0]] }) {
                faults.append("spec")
            }
        }
        return faults
    }

    private static func job(_ object: JSONValue, _ old: JSONValue?) -> [String] {
        var faults: [String] = []
        for field in ["parallelism", "completions", "backoffLimit", "activeDeadlineSeconds"]
        where object.integer("spec", field) ?? 0 < 0 {
            faults.append("spec.\(field)")
        }
        if object.items("spec", "template", "spec", "containers").isEmpty {
            faults.append("spec.template.spec.containers")
        }
        let policy = object.text("spec", "template", "spec", "restartPolicy") ?? "Always"
        if !["Never", "OnFailure"].contains(policy) { faults.append("spec.template.spec.restartPolicy") }
        if let old {
            for field in ["completions", "selector", "template"]
            where old[path: ["spec", field]] != object[path: ["spec", field]] {
                faults.append("spec.\(field)")
            }
            faults += jobSelector(object)
        } else if !isLabelValue(object.text("metadata", "name") ?? "") {
            faults.append("spec.template.labels")
        }
        return faults
    }

    private static func jobSelector(_ job: JSONValue) -> [String] {
        let labels = job[path: ["spec", "template", "metadata", "labels"]]?.texts ?? [:]
        let path = "spec.template.metadata.labels"
        guard let selector = job[path: ["spec", "selector", "matchLabels"]]?.texts else { return [path] }
        let uid = job.text("metadata", "uid")
        var faults: [String] = []
        if labels["controller-uid"] != uid { faults.append("\(path)[controller-uid]") }
        if labels["job-name"] != job.text("metadata", "name") { faults.append("\(path)[job-name]") }
        if selector["controller-uid"] != uid { faults.append("spec.selector") }
        if !selector.allSatisfy({ labels[$0.key] == $0.value }) { faults.append(path) }
        return faults
    }

    private static func claim(_ object: JSONValue, _ old: JSONValue?) -> [String] {
        var faults: [String] = []
        if object.items("spec", "accessModes").isEmpty { faults.append("spec.accessModes") }
        let size = object.text("spec", "resources", "requests", "storage")
        if size == nil { faults.append("spec.resources[storage]") }
        guard let old else { return faults }
        var (before, after) = (old["spec"] ?? [:], object["spec"] ?? [:])
        if before["volumeName"] == nil { after.set(["volumeName"], nil) }
        if old.text("status", "phase") == "Bound" {
            for key in ["resources"] {
                before.set([key], nil)
                after.set([key], nil)
            }
        }
        if before != after { faults.append("spec") }
        if let was = old.text("spec", "resources", "requests", "storage"), bytes(size ?? "0") < bytes(was) {
            faults.append("spec.resources.requests.storage")
        }
        return faults
    }

    private static func bytes(_ quantity: String) -> Int {
        let units = ["Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40]
        return (Int(quantity.prefix { $0.isNumber }) ?? 0) * (units[String(quantity.suffix(2))] ?? 1)
    }

    private static func lease(_ object: JSONValue) -> [String] {
        var faults: [String] = []
        if let seconds = object.integer("spec", "leaseDurationSeconds"), seconds <= 0 {
            faults.append("spec.leaseDurationSeconds")
        }
        if let count = object.integer("spec", "leaseTransitions"), count < 0 { faults.append("spec.leaseTransitions") }
        return faults
    }

    private static func pod(_ object: JSONValue, _ old: JSONValue?) -> [String] {
        var faults: [String] = []
        if object.items("spec", "containers").isEmpty { faults.append("spec.containers") }
        let policy = object.text("spec", "restartPolicy") ?? "Always"
        if !["Always", "OnFailure", "Never"].contains(policy) { faults.append("spec.restartPolicy") }
        if object.integer("spec", "activeDeadlineSeconds") ?? 1 < 1 { faults.append("spec.activeDeadlineSeconds") }
        if let old {
            var (before, after) = (old["spec"] ?? [:], object["spec"] ?? [:])
            for field in ["activeDeadlineSeconds", "tolerations"] {
                before.set([field], nil)
                after.set([field], nil)
            }
            if let was = old.integer("spec", "activeDeadlineSeconds"),
                object.integer("spec", "activeDeadlineSeconds") ?? .max > was
            {
                faults.append("spec.activeDeadlineSeconds")
            }
            if before.items("containers").count != after.items("containers").count { return ["spec.containers"] }
            if before != after { faults.append("spec") }
        }
        return faults
    }

    static func status(_ object: JSONValue, _ kind: ModelKind) -> [String] {
        let counts: [String]
        switch kind {
        case .statefulSets: counts = ["replicas", "readyReplicas", "currentReplicas", "updatedReplicas"]
        case .jobs: counts = ["active", "succeeded", "failed"]
        default: return []
        }
        let most = kind == .statefulSets ? object.integer("status", "replicas") ?? 0 : .max
        return counts.filter { field in
            let count = object.integer("status", field) ?? 0
            return count < 0 || count > most
        }.map { "status.\($0)" }
    }
}
