// SPDX-License-Identifier: Apache-2.0

import JSON

// Nodes and their volumes, and the probes.

extension ModelKubelet {
    // MARK: Nodes

    func isLost(_ pod: ModelPod) -> Bool { pod.node.map(lostNodes.contains) ?? false }

    /// The node for a pod: the one that its volumes are attached to, unless nobody hears of that.
    func place(_ pod: ModelPod, _ mounts: [Mount]) -> String? {
        if let node = pod.node { return node }
        if let neighbour = neighbour(pod), neighbour.map(lostNodes.contains) ?? true { return nil }
        let attached = mounts.compactMap { volumes[$0.claim]?.node }.first { !lostNodes.contains($0) }
        guard let node = neighbour(pod) ?? attached ?? nodes.first(where: { !lostNodes.contains($0) }) else {
            return nil
        }
        pod.node = node
        pod.status.set(["conditions"], .array([["type": "PodScheduled", "status": "True"]]))
        api.acting(as: "scheduler") {
            api.change(pod.key) { object in
                object.set(["spec", "nodeName"], .string(node))
                object.set(["status"], pod.status)
            }
        }
        return node
    }

    /// The node of the pods that a pod must run beside: `nil` when it must not, and in it `nil` when there is none.
    private func neighbour(_ pod: ModelPod) -> String?? {
        let path = ["spec", "affinity", "podAffinity", "requiredDuringSchedulingIgnoredDuringExecution"]
        guard let object = api[pod.key], let term = object[path: path]?.array?.first,
            case .object(let wanted)? = term[path: ["labelSelector", "matchLabels"]]
        else { return nil }
        let others = api.all(.pods, in: pod.key.namespace).filter { _, other in
            wanted.members.allSatisfy { other.text("metadata", "labels", $0.key) == $0.value.string }
        }
        return .some(others.compactMap { $0.object.text("spec", "nodeName") }.first)
    }

    /// ReadWriteOnce is per node: two pods on one node have it at once, a pod on another waits.
    func attach(_ pod: ModelPod, to node: String) -> Bool {
        for mount in pod.mounts {
            guard let volume = volumes[mount.claim] else { return false }
            if let other = volume.node, other != node, !volume.users.isEmpty { return false }
        }
        for mount in pod.mounts {
            volumes[mount.claim]?.node = node
            volumes[mount.claim]?.users.insert(pod.uid)
        }
        return true
    }

    func detach(_ pod: ModelPod) {
        for mount in pod.mounts {
            volumes[mount.claim]?.users.remove(pod.uid)
            if volumes[mount.claim]?.users.isEmpty == true { volumes[mount.claim]?.node = nil }
        }
    }

    /// Somebody has deleted a pod by force whose node nobody hears of: after six minutes its volumes are taken from it,
    /// whether its processes still write or not.
    func forceDetach(_ pod: ModelPod) {
        scheduler.after(360_000, "volumes of \(pod.key) are taken from \(pod.node ?? "")") { [self] in
            if pods[pod.uid] === pod { detach(pod) }
        }
    }

    /// Nobody hears of a node any more. After 40 seconds its pods are shown as not ready, after five minutes they are
    /// deleted, and then stay as they are: nobody confirms their end.
    /// - Parameter crashed: It has lost its power; otherwise only the network is gone, and the processes run on.
    package func lose(_ node: String, crashed: Bool) {
        guard lostNodes.insert(node).inserted else { return }
        let there = pods.values.filter { $0.node == node }.sorted { $0.key < $1.key }
        if crashed { for pod in there { stop(pod) } }
        scheduler.after(40_000, "\(node) is not ready") { [self] in
            for pod in there where isLost(pod) && api[pod.key]?.text("metadata", "uid") == pod.uid && !pod.isOver {
                api.acting(as: "node-controller") {
                    api.change(pod.key) { object in
                        let others = object.items("status", "conditions").filter { $0["type"] != "Ready" }
                        let ready: JSONValue = ["type": "Ready", "status": "False", "reason": "NodeNotReady"]
                        object.set(["status", "conditions"], .array(others + [ready]))
                    }
                }
            }
        }
        scheduler.after(300_000, "pods of \(node) are deleted") { [self] in
            for pod in there where isLost(pod) && api[pod.key]?.text("metadata", "uid") == pod.uid {
                api.acting(as: "node-controller") { api.delete(pod.key) }
            }
        }
    }

    /// The node is heard of again: it tells what has become of its pods, and hears what it should have done.
    package func find(_ node: String) {
        guard lostNodes.remove(node) != nil else { return }
        for pod in pods.values.filter({ $0.node == node }).sorted(by: { $0.key < $1.key }) {
            guard let object = api[pod.key], object.text("metadata", "uid") == pod.uid, !pod.owesRemoval else {
                remove(pod)
                continue
            }
            if object[path: ["metadata", "deletionTimestamp"]] != nil {
                terminate(pod)
            } else if let process = pod.process, !pod.isRunning, !pod.isOver, pod.status.text("phase") == "Running" {
                // It was without power.
                pod.isRunning = true
                ends(Process.resumed(process), exitCode: 255, reason: "Unknown", message: nil, log: [])
            } else {
                publish(pod)
                if pod.process != nil, !pod.isRunning, !pod.isOver { start(pod.key, pod.uid) }
            }
        }
    }

    // MARK: Probes

    /// Whether a probe is content: `pg_isready` alone is with a server that accepts, and with `-le 1` with one that
    /// answers at all. What has no probe is taken for well.
    func passes(_ probe: JSONValue?, _ answer: ModelPod.Answer) -> Bool {
        guard let probe else { return true }
        let command = probe.items("exec", "command").compactMap(\.string).joined(separator: " ")
        return answer >= (command.contains("-le 1") ? .rejecting : .accepting)
    }

    private func patience(_ probe: JSONValue) -> Int64 {
        let period = probe.integer("periodSeconds") ?? 10
        let (time, isTooLong) = period.multipliedReportingOverflow(by: probe.integer("failureThreshold") ?? 3)
        return isTooLong ? .max : (probe.integer("initialDelaySeconds") ?? 0) + time
    }

    /// The kubelet kills what does not pass in time: startup first, and liveness from then on.
    func watchProbes(_ process: Process) {
        if let startup = process.container["startupProbe"] {
            expect(startup, "startup", of: process)
        } else if let liveness = process.container["livenessProbe"] {
            expect(liveness, "liveness", of: process)
        }
    }

    private func expect(_ probe: JSONValue, _ name: String, of process: Process) {
        let seconds = patience(probe)
        // A probe that never gives up needs no event.
        guard seconds < 30 * 86_400 else { return }
        scheduler.after(seconds * 1_000, "\(name) probe of \(process.key)", isHeartbeat: true) { [self] in
            guard isAlive(process), !isLost(process.pod), !process.pod.isEnding else { return }
            if !passes(probe, process.pod.answer) {
                kill(process, "failed \(name) probe")
            } else if name == "startup", let liveness = process.container["livenessProbe"] {
                expect(liveness, "liveness", of: process)
            }
        }
    }

    /// The server hangs: it answers nothing any more, until somebody ends it.
    package func hang(_ key: ModelKey) {
        guard let process = pod(key)?.process, isAlive(process) else { return }
        answers(process, .nothing)
        if let liveness = process.container["livenessProbe"] { expect(liveness, "liveness", of: process) }
    }

    /// The container is killed and started again.
    package func killContainer(_ key: ModelKey, _ why: String = "OOMKilled") {
        guard let pod = pod(key), !isLost(pod), let process = pod.process, isAlive(process) else { return }
        ends(process, exitCode: 137, reason: why, message: nil, log: [])
    }

    private func kill(_ process: Process, _ why: String) {
        note(process, "killed: \(why)")
        let grace = 1_000 * (api[process.key]?.integer("spec", "terminationGracePeriodSeconds") ?? 30)
        let delay = process.pod.isStubborn ? grace : min(terminationDelay, grace)
        scheduler.after(delay, "\(process.key) is killed: \(why)") { [self] in
            ends(process, exitCode: 137, reason: "Error", message: nil, log: [])
        }
    }
}

extension ModelKubelet.Process {
    /// The same container as its node finds it after a loss of power.
    fileprivate static func resumed(_ process: Self) -> Self {
        var process = process
        process.instance = process.pod.instance
        return process
    }
}
