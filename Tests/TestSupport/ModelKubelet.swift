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
    /// Harm that nobody but the cluster has done: told, and no failure of the controller.
    package var hazards: [String] = []
    /// Where pods can go; the first one that can be reached is taken.
    package var nodes = ["node-1", "node-2"]
    /// Nodes whose kubelet nobody hears of.
    package internal(set) var lostNodes: Set<String> = []
    /// Images that can't be pulled at the moment.
    package var unpullable: Set<String> = []
    /// Virtual milliseconds.
    package var startDelay: Int64 = 1_500
    package var terminationDelay: Int64 = 2_000
    package var fetchDelay: Int64 = 30_000
    package var replayDelay: Int64 = 12_000
    package var jobDelay: Int64 = 4_000
    /// How long a segment waits until it is archived, and a refused one until it is tried again.
    package var archiveTimeout: Int64 = 60_000
    /// An entrypoint that fetches is a shell, and heeds no SIGTERM: it goes on until the grace is over.
    package var fetchIgnoresTermination = false
    /// Clients are connected: a server that is to end waits for them until it is killed, and its last WAL is lost.
    package var clientsStay = false
    /// A volume whose claim is gone keeps its content, though no new claim gets it.
    package var retainsVolumes = false
    var pods: [String: ModelPod] = [:]
    private var addresses: Int64 = 0

    init(_ api: ModelAPI, _ wire: ModelWire, _ stores: ModelStores) {
        self.api = api
        self.wire = wire
        self.stores = stores
        scheduler = api.scheduler
    }

    // A pod and its process hold each other.
    deinit { for pod in pods.values { pod.process = nil } }

    func log(of pod: JSONValue, _ container: String) -> ModelLog? {
        guard let pod = pods[pod.text("metadata", "uid") ?? ""], !isLost(pod) else { return nil }
        return pod.logs[container]
    }

    /// The container writes a line, now.
    func emit(_ process: Process, _ line: String) {
        guard isAlive(process) else { return }
        process.pod.logs[process.name]?.append(Array(line.utf8), at: scheduler.wall)
    }

    /// The container of a pod writes a line, now, if it runs: for tests.
    package func emit(_ pod: ModelKey, _ line: String) {
        guard let pod = self.pod(pod), let name = pod.process?.name else { return }
        pod.logs[name]?.append(Array(line.utf8), at: scheduler.wall)
    }

    func pod(_ key: ModelKey) -> ModelPod? { api[key]?.text("metadata", "uid").flatMap { pods[$0] } }

    /// The volume of a claim, for tests.
    package func volume(_ namespace: String, _ claim: String) -> ModelVolume? {
        api[ModelKey(.claims, namespace, claim)]?.text("metadata", "uid").flatMap { volumes[$0] }
    }

    /// The claim is gone: with it the content, unless it is retained.
    func forgetVolume(_ uid: String) {
        guard volumes[uid] != nil else { return }
        volumes[uid]?.isGone = true
        guard !retainsVolumes else { return }
        volumes[uid]?.cluster = nil
        volumes[uid]?.staged = nil
        volumes[uid]?.leftOver = nil
    }

    /// Writes down what a process has done to a volume.
    func note(_ process: Process, _ what: String) {
        guard let claim = process.claim else { return }
        volumes[claim]?.journal.append(
            .init(at: scheduler.now, pod: process.key.name, uid: process.uid, what: what))
    }

    // MARK: A pod's life

    func hear(_ change: ModelAPI.Change) {
        let key = change.key
        let uid = change.object.text("metadata", "uid") ?? ""
        if change.kind == .deleted {
            guard let pod = pods[uid] else { return }
            isLost(pod) ? forceDetach(pod) : drop(pod)
        } else if change.object[path: ["metadata", "deletionTimestamp"]] != nil {
            if let pod = pods[uid] { terminate(pod) }
        } else if pods[uid] == nil {
            pods[uid] = ModelPod(key, uid, change.object)
            scheduler.after(startDelay, "start of \(key)") { [self] in start(key, uid) }
        }
    }

    private func drop(_ pod: ModelPod) {
        stop(pod)
        detach(pod)
        pod.process = nil
        pods[pod.uid] = nil
    }

    func terminate(_ pod: ModelPod) {
        guard !pod.isEnding, !isLost(pod) else { return }
        pod.isEnding = true
        let key = pod.key
        let grace = 1_000 * (api[key]?.integer("metadata", "deletionGracePeriodSeconds") ?? 30)
        let waits = pod.isRunning && (pod.isStubborn || clientsStay && pod.answer == .accepting)
        scheduler.after(waits ? max(grace, terminationDelay) : terminationDelay, "end of \(key)") { [self] in
            if !waits, let process = pod.process, isAlive(process) {
                ModelImages(self).shutDown(process)
                if pod.isOnce { ModelInPlace(self, process)?.interrupt() }
            }
            stop(pod)
            if isLost(pod) {
                pod.owesRemoval = true
            } else {
                remove(pod)
            }
        }
    }

    /// The kubelet's last word.
    func remove(_ pod: ModelPod) {
        guard api[pod.key]?.text("metadata", "uid") == pod.uid else { return drop(pod) }
        api.acting(as: "kubelet") { api.remove(pod.key) }
    }

    /// The processes of a pod are gone.
    func stop(_ pod: ModelPod) {
        pod.isRunning = false
        pod.isStubborn = false
        pod.answer = .nothing
        for name in pod.logs.keys.sorted() { pod.logs[name]?.end() }
        for mount in pod.mounts { volumes[mount.claim]?.writers.remove(pod.uid) }
    }

    /// Whether a container still runs: asked before each thing that it does.
    func isAlive(_ process: Process) -> Bool {
        process.pod.isRunning && process.pod.instance == process.instance
    }

    func start(_ key: ModelKey, _ uid: String) {
        guard let object = api[key], let pod = pods[uid], object.text("metadata", "uid") == uid,
            object[path: ["metadata", "deletionTimestamp"]] == nil, !pod.isOver
        else { return }
        func again() { scheduler.after(2_000, "start of \(key)") { [self] in start(key, uid) } }
        guard !isLost(pod) else { return again() }
        let container = object.items("spec", "containers").first ?? .null
        let name = container.text("name") ?? ""
        guard let mounts = bindClaims(object, key), let node = place(pod, mounts) else {
            unschedulable(pod)
            return again()
        }
        pod.mounts = mounts
        guard attach(pod, to: node) else {
            wait(pod, name, "ContainerCreating", "")
            return again()
        }
        let image = container.text("image") ?? ""
        guard ModelImages.exists(image), !unpullable.contains(image) else {
            let isKnown = pod.status.items("containerStatuses").first?[path: ["state", "waiting"]] != nil
            wait(pod, name, isKnown ? "ImagePullBackOff" : "ErrImagePull", "image \(image) not found")
            return again()
        }
        guard hasConfigMaps(object, key.namespace) else {
            wait(pod, name, "ContainerCreating", "")
            return again()
        }
        guard let environment = environment(container, object, key.namespace) else {
            wait(pod, name, "CreateContainerConfigError", "a secret is not there")
            return again()
        }
        let process = Process(pod: pod, container: container, environment: environment, mounts: mounts)
        guard let first = object.items("spec", "initContainers").first else { return begin(process) }
        guard let environment = self.environment(first, object, key.namespace) else {
            wait(pod, name, "CreateContainerConfigError", "a secret is not there")
            return again()
        }
        initialize(
            Process(pod: pod, container: first, environment: environment, mounts: mounts), before: process)
    }

    private func initialize(_ initializer: Process, before main: Process) {
        let process = run(initializer)
        ModelInit(self).run(process) { succeeded in
            guard self.isAlive(process) else { return }
            if succeeded {
                self.scheduler.after(200, "main container of \(main.key)") {
                    if self.isAlive(process) { self.begin(main) }
                }
            } else {
                self.initializeAgain(process, before: main)
            }
        }
    }

    private func initializeAgain(_ process: Process, before main: Process) {
        let pod = process.pod
        stop(pod)
        let count = pod.initRestarts
        scheduler.after(Self.backoff(count), "restart of the init container of \(pod.key)") { [self] in
            guard !pod.isEnding, !pod.isOver, pods[pod.uid] === pod else { return }
            pod.initRestarts = count + 1
            initialize(process, before: main)
        }
    }

    /// A container is started: it gets a log, and its pod writes to its volumes from now on.
    private func run(_ process: Process) -> Process {
        let pod = process.pod
        pod.isRunning = true
        pod.instance += 1
        pod.answer = .nothing
        var process = process
        process.instance = pod.instance
        pod.process = process
        pod.logs[process.name]?.end()
        pod.logs[process.name] = ModelLog()
        for mount in process.mounts where !mount.readOnly { write(process, mount.claim) }
        return process
    }

    func begin(_ main: Process) {
        let process = run(main)
        let pod = process.pod
        if pod.status["podIP"] == nil {
            addresses += 1
            pod.status.set(["podIP"], .string("10.0.\(addresses / 250).\(1 + addresses % 250)"))
        }
        answers(process, .nothing)
        watchProbes(process)
        if pod.isOnce { ModelPrograms(self).run(process) } else { ModelImages(self).run(process) }
    }

    private func write(_ process: Process, _ claim: String) {
        // A placeholder keeps a server out, and a program that replaces data looks for servers itself.
        if volumes[claim]?.held != nil || process.environment["REPRISE_ACTION"] != nil { return }
        let others = (volumes[claim]?.writers ?? []).filter { $0 != process.uid }
        if !others.isEmpty { violations.append("\(process.key) writes to a volume that another pod writes to") }
        volumes[claim]?.writers.insert(process.uid)
    }

    /// A container has ended, and with it its pod, unless that starts it again.
    /// - Parameter log: What it writes at last: whole lines.
    func ends(_ process: Process, exitCode: Int64, reason: String? = nil, message: String?, log: [UInt8]) {
        guard isAlive(process) else { return }
        let pod = process.pod
        var lines = log.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        for line in lines { pod.logs[process.name]?.append(Array(line), at: scheduler.wall) }
        let now = scheduler.wall.wholeSecond.rfc3339
        var terminated: JSONValue = [
            "exitCode": .integer(exitCode), "reason": .string(reason ?? (exitCode == 0 ? "Completed" : "Error")),
            "startedAt": .string(now), "finishedAt": .string(now),
        ]
        if let message { terminated.set(["message"], .string(message)) }
        stop(pod)
        if pod.isOnce {
            over(pod, process.name, terminated, exitCode == 0)
        } else {
            startAgain(process, after: terminated)
        }
    }

    /// A service's container is started again: soon, then after ten seconds, then twice as long, at most five minutes.
    private func startAgain(_ process: Process, after terminated: JSONValue) {
        let pod = process.pod
        let count = pod.restarts
        crashed(pod, process.name, terminated)
        scheduler.after(Self.backoff(count), "restart of \(process.key)") { [self] in
            guard !pod.isEnding, !pod.isOver, pods[pod.uid] === pod, !pod.isRunning else { return }
            pod.restarts = count + 1
            begin(process)
        }
    }

    static func backoff(_ count: Int64) -> Int64 {
        count == 0 ? 1_000 : min(10_000 << min(count - 1, 10), 300_000)
    }
}
