// SPDX-License-Identifier: Apache-2.0

import Foundation
import JSON
import Resources

// What a pod needs before it starts, and what it shows.

extension ModelKubelet {
    // MARK: What it needs

    func bindClaims(_ pod: JSONValue, _ key: ModelKey) -> [Mount]? {
        var mounts: [Mount] = []
        for volume in pod.items("spec", "volumes") {
            guard let name = volume.text("persistentVolumeClaim", "claimName") else { continue }
            let claimKey = ModelKey(.claims, key.namespace, name)
            guard let claim = api[claimKey], claim[path: ["metadata", "deletionTimestamp"]] == nil,
                let uid = claim.text("metadata", "uid")
            else { return nil }
            if volumes[uid] == nil { volumes[uid] = ModelVolume() }
            let isReadOnly = volume[path: ["persistentVolumeClaim", "readOnly"]] == true
            mounts.append(Mount(claim: uid, readOnly: isReadOnly))
            api.acting(as: "volume-controller") {
                api.change(claimKey) { object in
                    object.set(["status", "phase"], "Bound")
                    object.set(["status", "capacity"], object[path: ["spec", "resources", "requests"]])
                }
            }
        }
        return mounts
    }

    /// The container's variables, with what they take from Secrets; `nil` while one of those is not there.
    func environment(_ container: JSONValue, _ pod: JSONValue, _ namespace: String) -> [String: String]? {
        for volume in pod.items("spec", "volumes") {
            guard let name = volume.text("secret", "secretName") else { continue }
            guard api[ModelKey(.secrets, namespace, name)] != nil else { return nil }
        }
        var result: [String: String] = [:]
        for variable in container.items("env") {
            guard let name = variable.text("name") else { continue }
            guard let reference = variable[path: ["valueFrom", "secretKeyRef"]] else {
                result[name] = variable.text("value") ?? ""
                continue
            }
            let secret = api[ModelKey(.secrets, namespace, reference.text("name") ?? "")]
            guard let value = secret?.text("data", reference.text("key") ?? "") else { return nil }
            result[name] = unbase64(value)
        }
        return result
    }

    /// Every ConfigMap that the pod mounts is there: without one it does not start.
    func hasConfigMaps(_ pod: JSONValue, _ namespace: String) -> Bool {
        pod.items("spec", "volumes").compactMap { $0.text("configMap", "name") }.allSatisfy {
            api[ModelKey(.configMaps, namespace, $0)] != nil
        }
    }

    /// The value of a mounted or referenced Secret's key.
    func secret(_ namespace: String, _ name: String, _ key: String) -> String? {
        api[ModelKey(.secrets, namespace, name)]?.text("data", key).map(unbase64)
    }

    // MARK: What it shows

    private func show(_ pod: ModelPod, _ body: (inout JSONValue) -> Void) {
        body(&pod.status)
        publish(pod)
    }

    /// Tells the API server, if it can be reached.
    func publish(_ pod: ModelPod) {
        guard !isLost(pod), api[pod.key]?.text("metadata", "uid") == pod.uid else { return }
        api.acting(as: "kubelet") { api.change(pod.key) { $0.set(["status"], pod.status) } }
    }

    func unschedulable(_ pod: ModelPod) {
        show(pod) { status in
            status.set(
                ["conditions"],
                .array([
                    [
                        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                        "message": "persistentvolumeclaim not found",
                    ]
                ]))
        }
    }

    func wait(_ pod: ModelPod, _ container: String, _ reason: String, _ message: String) {
        show(pod) { status in
            var waiting: JSONValue = ["reason": .string(reason)]
            if !message.isEmpty { waiting.set(["message"], .string(message)) }
            status.set(
                ["containerStatuses"],
                .array([
                    [
                        "name": .string(container), "ready": false, "started": false, "restartCount": 0,
                        "state": ["waiting": waiting],
                    ]
                ]))
        }
    }

    /// An init container runs, or has ended.
    func initializes(_ process: Process, state: JSONValue) {
        show(process.pod) { status in
            status.set(["phase"], "Pending")
            status.set(["conditions"], .array([["type": "PodScheduled", "status": "True"]]))
            var shown: JSONValue = [
                "name": .string(process.name), "ready": false, "restartCount": .integer(process.pod.initRestarts),
                "state": state,
            ]
            if process.pod.initRestarts > 0, let last = process.pod.lastState {
                shown.set(["lastState"], ["terminated": last])
            }
            if let ended = state["terminated"] { process.pod.lastState = ended["exitCode"] == 0 ? nil : ended }
            status.set(["initContainerStatuses"], .array([shown]))
        }
    }

    /// The server in the main container answers like this from now on; the probes tell what that means.
    func answers(_ process: Process, _ answer: ModelPod.Answer) {
        guard isAlive(process) else { return }
        let pod = process.pod
        pod.answer = answer
        let started = passes(process.container["startupProbe"], answer)
        let ready = started && passes(process.container["readinessProbe"], answer)
        let now = scheduler.wall.wholeSecond.rfc3339
        show(pod) { status in
            let before = status.items("containerStatuses").first?[path: ["state", "running"]]
            status.set(["phase"], "Running")
            Self.setReady(&status, ready)
            var container = Self.container(process.name, pod.restarts)
            container.set(["ready"], .bool(ready))
            container.set(["started"], .bool(started))
            container.set(["state"], ["running": before ?? ["startedAt": .string(now)]])
            if let last = pod.lastState, pod.restarts > 0 { container.set(["lastState"], ["terminated": last]) }
            status.set(["containerStatuses"], .array([container]))
        }
    }

    private static func container(_ name: String, _ restarts: Int64) -> JSONValue {
        ["name": .string(name), "ready": false, "started": false, "restartCount": .integer(restarts)]
    }

    private static func setReady(_ status: inout JSONValue, _ isReady: Bool) {
        status.set(
            ["conditions"],
            .array([
                ["type": "PodScheduled", "status": "True"],
                ["type": "Ready", "status": .string(isReady ? "True" : "False")],
            ]))
    }

    func over(_ pod: ModelPod, _ name: String, _ terminated: JSONValue, _ succeeded: Bool) {
        pod.isOver = true
        show(pod) { status in
            status.set(["phase"], succeeded ? "Succeeded" : "Failed")
            status.set(["conditions"], .array([["type": "Ready", "status": "False"]]))
            var container = Self.container(name, 0)
            container.set(["state"], ["terminated": terminated])
            status.set(["containerStatuses"], .array([container]))
        }
        if !isLost(pod) { detach(pod) }
    }

    func crashed(_ pod: ModelPod, _ name: String, _ terminated: JSONValue) {
        show(pod) { status in
            Self.setReady(&status, false)
            var container = Self.container(name, pod.restarts)
            if pod.restarts == 0 {
                container.set(["state"], ["terminated": terminated])
            } else {
                container.set(["lastState"], ["terminated": terminated])
                container.set(["state"], ["waiting": ["reason": "CrashLoopBackOff"]])
            }
            pod.lastState = terminated
            status.set(["containerStatuses"], .array([container]))
        }
    }

    /// The kubelet ends a pod for want of something on the node; its object stays, as a failed one.
    func evict(_ pod: ModelPod, _ why: String) {
        guard !pod.isOver, !pod.isEnding, !isLost(pod) else { return }
        let name = pod.process?.name
        stop(pod)
        pod.isOver = true
        show(pod) { status in
            status.set(["phase"], "Failed")
            status.set(["reason"], "Evicted")
            status.set(["message"], .string(why))
            status.set(["conditions"], .array([["type": "Ready", "status": "False"]]))
            guard let name else { return }
            var container = Self.container(name, pod.restarts)
            container.set(["state"], ["terminated": ["exitCode": 137, "reason": "Error"]])
            status.set(["containerStatuses"], .array([container]))
        }
        detach(pod)
    }
}

func base64(_ text: String) -> String { Data(text.utf8).base64EncodedString() }

func unbase64(_ text: String) -> String {
    Data(base64Encoded: text).map { String(decoding: $0, as: UTF8.self) } ?? ""
}

extension Simulation {
    /// One value of a Secret, as text.
    package func secretText(_ namespace: String, _ name: String, _ key: String) -> String? {
        kubelet.secret(namespace, name, key)
    }
}
