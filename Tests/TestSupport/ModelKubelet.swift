// SPDX-License-Identifier: Apache-2.0

import Foundation
import JSON
import Resources

/// Runs pods: their volumes, their variables, their programs, their end.
package final class ModelKubelet: @unchecked Sendable {
    package let api: ModelAPI
    package let wire: ModelWire
    package let stores: ModelStores
    let scheduler: Scheduler
    /// By the claim's UID; kept when the claim is gone.
    package var volumes: [String: ModelVolume] = [:]
    /// What must never happen, in words.
    package var violations: [String] = []
    /// Virtual milliseconds.
    package var startDelay: Int64 = 1_500
    package var terminationDelay: Int64 = 2_000
    package var fetchDelay: Int64 = 30_000
    package var replayDelay: Int64 = 12_000
    package var jobDelay: Int64 = 4_000
    private var running: Set<String> = []
    /// By the pod's UID: how often its container was started again.
    private var restarts: [String: Int64] = [:]
    private var known: Set<String> = []
    /// By the pod's UID and the container; there from the moment when that has started.
    private var logs: [String: [String: ModelLog]] = [:]

    init(_ api: ModelAPI, _ wire: ModelWire, _ stores: ModelStores) {
        self.api = api
        self.wire = wire
        self.stores = stores
        scheduler = api.scheduler
    }

    func log(of pod: JSONValue, _ container: String) -> ModelLog? {
        logs[pod.text("metadata", "uid") ?? ""]?[container]
    }

    /// The container writes a line, now.
    func emit(_ process: Process, _ line: String) {
        logs[process.uid]?[process.name]?.append(Array(line.utf8), at: scheduler.wall)
    }

    /// The container of a pod writes a line, now, if it runs: for tests.
    package func emit(_ pod: ModelKey, _ line: String) {
        guard let uid = api[pod]?.text("metadata", "uid"),
            let name = api[pod]?.items("spec", "containers").first?.text("name")
        else { return }
        logs[uid]?[name]?.append(Array(line.utf8), at: scheduler.wall)
    }

    func forgetVolume(_ uid: String) { volumes[uid]?.cluster = nil }

    /// The volume of a claim, for tests.
    package func volume(_ namespace: String, _ claim: String) -> ModelVolume? {
        api[ModelKey(.claims, namespace, claim)]?.text("metadata", "uid").flatMap { volumes[$0] }
    }

    // MARK: A pod's life

    func hear(_ change: ModelAPI.Change) {
        let key = change.key
        let uid = change.object.text("metadata", "uid") ?? ""
        if change.kind == .deleted {
            stop(uid)
        } else if change.object[path: ["metadata", "deletionTimestamp"]] != nil {
            guard known.insert("\(uid) ending").inserted else { return }
            scheduler.after(terminationDelay, "end of \(key)") { [self] in
                guard api[key]?.text("metadata", "uid") == uid else { return }
                stop(uid)
                api.acting(as: "kubelet") { api.remove(key) }
            }
        } else if known.insert(uid).inserted {
            scheduler.after(startDelay, "start of \(key)") { [self] in start(key, uid) }
        }
    }

    private func stop(_ uid: String) {
        running.remove(uid)
        for log in (logs[uid] ?? [:]).values { log.end() }
        for claim in volumes.keys { volumes[claim]?.writers.remove(uid) }
    }

    /// Whether the pod still runs: asked before each thing that it does.
    func isAlive(_ key: ModelKey, _ uid: String) -> Bool {
        running.contains(uid) && api[key]?.text("metadata", "uid") == uid
    }

    private func start(_ key: ModelKey, _ uid: String) {
        guard let pod = api[key], pod.text("metadata", "uid") == uid,
            pod[path: ["metadata", "deletionTimestamp"]] == nil
        else { return }
        func again() { scheduler.after(2_000, "start of \(key)") { [self] in start(key, uid) } }
        let container = pod.items("spec", "containers").first ?? .null
        let name = container.text("name") ?? ""
        guard let mounts = bindClaims(pod, key) else {
            show(key, uid) { status in
                status.set(
                    ["conditions"],
                    .array([
                        [
                            "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                            "message": "persistentvolumeclaim not found",
                        ]
                    ]))
            }
            return again()
        }
        let image = container.text("image") ?? ""
        guard ModelImages.exists(image) else {
            wait(key, uid, name, "ErrImagePull", "image \(image) not found")
            return again()
        }
        guard let environment = environment(container, pod, key.namespace) else {
            wait(key, uid, name, "CreateContainerConfigError", "a secret is not there")
            return again()
        }
        let process = Process(key: key, uid: uid, container: container, environment: environment, mounts: mounts)
        guard let first = pod.items("spec", "initContainers").first else { return begin(process, name) }
        guard let environment = self.environment(first, pod, key.namespace) else {
            wait(key, uid, name, "CreateContainerConfigError", "a secret is not there")
            return again()
        }
        running.insert(uid)
        for mount in mounts where !mount.readOnly { attach(process, mount.claim) }
        let initializer = Process(key: key, uid: uid, container: first, environment: environment, mounts: mounts)
        logs[uid, default: [:]][initializer.name] = ModelLog()
        ModelInit(self).run(initializer) { self.begin(process, name) }
    }

    private func begin(_ process: Process, _ name: String) {
        running.insert(process.uid)
        logs[process.uid, default: [:]][process.name] = ModelLog()
        for mount in process.mounts where !mount.readOnly { attach(process, mount.claim) }
        api.acting(as: "kubelet") {
            api.change(process.key) { pod in
                pod.set(["spec", "nodeName"], "node-1")
                pod.set(["status", "podIP"], .string("10.0.0.\(1 + (keyedHash(0, process.uid, 0) % 250))"))
            }
        }
        let isJob = api[process.key]?.items("metadata", "ownerReferences").first?["kind"] == "Job"
        runs(process, name, started: isJob, ready: isJob)
        if isJob { ModelPrograms(self).run(process) } else { ModelImages(self).run(process) }
    }

    private func attach(_ process: Process, _ claim: String) {
        let others = (volumes[claim]?.writers ?? []).filter { $0 != process.uid }
        if !others.isEmpty { violations.append("\(process.key) writes to a volume that another pod writes to") }
        volumes[claim]?.writers.insert(process.uid)
    }

    // MARK: What a pod needs

    struct Mount { var claim: String; var readOnly: Bool }

    struct Process {
        var key: ModelKey
        var uid: String
        var container: JSONValue
        var environment: [String: String]
        var mounts: [Mount]

        var name: String { container.text("name") ?? "" }
        var arguments: [String] { container.items("args").compactMap(\.string) }
        var image: String { container.text("image") ?? "" }
    }

    private func bindClaims(_ pod: JSONValue, _ key: ModelKey) -> [Mount]? {
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
    private func environment(_ container: JSONValue, _ pod: JSONValue, _ namespace: String) -> [String: String]? {
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

    /// The value of a mounted or referenced Secret's key.
    func secret(_ namespace: String, _ name: String, _ key: String) -> String? {
        api[ModelKey(.secrets, namespace, name)]?.text("data", key).map(unbase64)
    }

    // MARK: What a pod shows

    private func show(_ key: ModelKey, _ uid: String, _ body: (inout JSONValue) -> Void) {
        guard api[key]?.text("metadata", "uid") == uid else { return }
        api.acting(as: "kubelet") {
            api.change(key) { pod in
                var status = pod["status"] ?? [:]
                body(&status)
                pod.set(["status"], status)
            }
        }
    }

    private func wait(_ key: ModelKey, _ uid: String, _ container: String, _ reason: String, _ message: String) {
        show(key, uid) { status in
            status.set(
                ["containerStatuses"],
                .array([
                    [
                        "name": .string(container), "ready": false, "started": false, "restartCount": 0,
                        "state": ["waiting": ["reason": .string(reason), "message": .string(message)]],
                    ]
                ]))
        }
    }

    /// An init container runs, or has ended.
    func initializes(_ process: Process, state: JSONValue) {
        show(process.key, process.uid) { status in
            status.set(["phase"], "Pending")
            status.set(["conditions"], .array([["type": "PodScheduled", "status": "True"]]))
            status.set(
                ["initContainerStatuses"],
                .array([["name": .string(process.name), "ready": false, "restartCount": 0, "state": state]]))
        }
    }

    func runs(_ process: Process, _ name: String, started: Bool, ready: Bool) {
        let now = scheduler.wall.wholeSecond.rfc3339
        show(process.key, process.uid) { status in
            status.set(["phase"], "Running")
            status.set(
                ["conditions"],
                .array([
                    ["type": "PodScheduled", "status": "True"],
                    ["type": "Ready", "status": .string(ready ? "True" : "False")],
                ]))
            status.set(
                ["containerStatuses"],
                .array([
                    [
                        "name": .string(name), "ready": .bool(ready), "started": .bool(started),
                        "restartCount": .integer(restarts[process.uid] ?? 0),
                        "state": ["running": ["startedAt": .string(now)]],
                    ]
                ]))
        }
    }

    /// A container has ended, and with it its pod.
    /// - Parameter log: What it writes at last: whole lines.
    func ends(_ process: Process, exitCode: Int64, message: String?, log: [UInt8]) {
        var lines = log.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        for line in lines { logs[process.uid]?[process.name]?.append(Array(line), at: scheduler.wall) }
        let now = scheduler.wall.wholeSecond.rfc3339
        var terminated: JSONValue = [
            "exitCode": .integer(exitCode), "reason": .string(exitCode == 0 ? "Completed" : "Error"),
            "startedAt": .string(now), "finishedAt": .string(now),
        ]
        if let message { terminated.set(["message"], .string(message)) }
        guard api[process.key]?.text("spec", "restartPolicy") == "Never" else {
            return startAgain(process, after: terminated)
        }
        stop(process.uid)
        show(process.key, process.uid) { status in
            status.set(["phase"], .string(exitCode == 0 ? "Succeeded" : "Failed"))
            status.set(["conditions"], .array([["type": "Ready", "status": "False"]]))
            status.set(
                ["containerStatuses"],
                .array([
                    [
                        "name": .string(process.container.text("name") ?? ""), "ready": false, "started": false,
                        "restartCount": 0, "state": ["terminated": terminated],
                    ]
                ]))
        }
    }
}

extension ModelKubelet {
    /// A service's container is started again, each time later than the last: ten seconds, then twice as long, at most
    /// five minutes.
    private func startAgain(_ process: Process, after terminated: JSONValue) {
        let count = restarts[process.uid] ?? 0
        logs[process.uid]?[process.name]?.end()
        show(process.key, process.uid) { status in
            status.set(["conditions"], .array([["type": "Ready", "status": "False"]]))
            status.set(
                ["containerStatuses"],
                .array([
                    [
                        "name": .string(process.name), "ready": false, "started": false,
                        "restartCount": .integer(count), "lastState": ["terminated": terminated],
                        "state": ["waiting": ["reason": "CrashLoopBackOff"]],
                    ]
                ]))
        }
        scheduler.after(min(10_000 << count, 300_000), "restart of \(process.key)") { [self] in
            guard isAlive(process.key, process.uid) else { return }
            restarts[process.uid] = count + 1
            begin(process, process.name)
        }
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
