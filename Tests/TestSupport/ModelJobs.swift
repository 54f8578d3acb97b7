// SPDX-License-Identifier: Apache-2.0

import JSON
import Resources

/// The Job controller, with the habits of the cluster's minor version.
///
/// A pod that is being deleted does not count as active: its successor may run beside it. A Job's own deadline deletes
/// the pods, and with them log and message; failed pods are kept.
final class ModelJobs {
    private unowned let cluster: ModelCluster
    private var api: ModelAPI { cluster.api }
    /// By the Job's UID: pods that ended without success, whether they are still there or not.
    private var failed: [String: Set<String>] = [:]
    /// Deadlines and deletions that an event is set for.
    private var planned: Set<String> = []

    init(_ cluster: ModelCluster) { self.cluster = cluster }

    private struct Pods {
        var active: [ModelKey] = []
        var terminating: [ModelKey] = []
        var succeeded = 0
        var failed = 0
    }

    /// - Returns: Whether all went well; otherwise it is to be tried again.
    func sync(_ key: ModelKey) -> Bool {
        guard let job = api[key], job[path: ["metadata", "deletionTimestamp"]] == nil else { return true }
        if let ended = Self.condition(job, ["Complete", "Failed"]) {
            forget(key, job, ended)
            return true
        }
        let uid = job.text("metadata", "uid") ?? ""
        let pods = pods(of: uid)
        if let target = Self.condition(job, ["SuccessCriteriaMet", "FailureTarget"]) {
            return end(key, target["type"] == "SuccessCriteriaMet", target.text("reason") ?? "", pods)
        }
        if job[path: ["status", "startTime"]] == nil {
            api.change(key) { $0.set(["status", "startTime"], .string(now)) }
        }
        let failures = pods.failed
        if failures > Int(job.integer("spec", "backoffLimit") ?? 6) {
            return end(key, false, "BackoffLimitExceeded", pods)
        }
        if isOverdue(key, job) { return end(key, false, "DeadlineExceeded", pods) }
        if pods.succeeded >= Int(job.integer("spec", "completions") ?? 1), pods.active.isEmpty {
            return end(key, true, "", pods)
        }
        if pods.active.isEmpty, pods.succeeded == 0 {
            guard waited(key, uid, failures) else { return true }
            guard makePod(job, key, uid) else { return false }
        }
        api.change(key) { object in
            object.set(["status", "active"], 1)
            if failures > 0 { object.set(["status", "failed"], .integer(Int64(failures))) }
        }
        return true
    }

    private var now: String { cluster.scheduler.wall.wholeSecond.rfc3339 }

    private static func condition(_ job: JSONValue, _ types: [String]) -> JSONValue? {
        job.items("status", "conditions").first { types.contains($0.text("type") ?? "") && $0["status"] == "True" }
    }

    private func pods(of uid: String) -> Pods {
        var pods = Pods()
        var gone = failed[uid] ?? []
        for key in api.index.owned(by: uid) where key.kind == .pods {
            guard let pod = api[key] else { continue }
            let podUID = pod.text("metadata", "uid") ?? ""
            let isTerminating = pod[path: ["metadata", "deletionTimestamp"]] != nil
            switch pod.text("status", "phase") {
            case "Succeeded": pods.succeeded += 1
            case "Failed":
                pods.failed += 1
                gone.insert(podUID)
            default:
                if isTerminating { pods.terminating.append(key) } else { pods.active.append(key) }
                if isTerminating, cluster.minor >= 26 { gone.insert(podUID) }
            }
        }
        if cluster.minor >= 26 {
            failed[uid] = gone
            pods.failed = gone.count
        }
        return pods
    }

    // MARK: A pod

    private func makePod(_ job: JSONValue, _ key: ModelKey, _ uid: String) -> Bool {
        let number = UInt64(cluster.wire.draw("job pod/\(key.name)", below: 1 << 30))
        var pod = job[path: ["spec", "template"]] ?? [:]
        let name = "\(key.name)-\(String(keyedHash(0, uid, number), radix: 36).prefix(5))"
        pod.set(["metadata", "name"], .string(name))
        pod.set(["metadata", "labels", "job-name"], .string(key.name))
        pod.set(["metadata", "labels", "controller-uid"], .string(uid))
        if cluster.minor >= 27 {
            pod.set(["metadata", "labels", "batch.kubernetes.io/job-name"], .string(key.name))
            pod.set(["metadata", "labels", "batch.kubernetes.io/controller-uid"], .string(uid))
        }
        pod.set(["metadata", "ownerReferences"], .array([ModelCluster.owner(job)]))
        return cluster.createPod(ModelKey(.pods, key.namespace, name), pod, for: job)
    }

    /// After a failure the next pod waits: ten seconds, then twice as long.
    private func waited(_ key: ModelKey, _ uid: String, _ failures: Int) -> Bool {
        guard failures > 0, planned.insert("\(uid) retry \(failures)").inserted else {
            return failures == 0 || planned.contains("\(uid) go \(failures)")
        }
        let delay = Int64(min(10_000 << min(failures - 1, 10), 360_000))
        cluster.scheduler.after(delay, "backoff of \(key)") { [self] in
            planned.insert("\(uid) go \(failures)")
            cluster.job(key, after: 0)
        }
        return false
    }

    // MARK: The end

    private func isOverdue(_ key: ModelKey, _ job: JSONValue) -> Bool {
        guard let seconds = job.integer("spec", "activeDeadlineSeconds"), let uid = job.text("metadata", "uid"),
            let started = api[key]?.text("status", "startTime").flatMap({ Timestamp(rfc3339: $0) })
        else { return false }
        let left = started.adding(seconds: seconds).microseconds - cluster.scheduler.wall.microseconds
        guard left > 0 else { return true }
        if planned.insert("\(uid) deadline").inserted { cluster.job(key, after: left / 1_000 + 1) }
        return false
    }

    private func end(_ key: ModelKey, _ succeeded: Bool, _ reason: String, _ pods: Pods) -> Bool {
        for pod in pods.active { api.delete(pod) }
        let texts = [
            "BackoffLimitExceeded": "Job has reached the specified backoff limit",
            "DeadlineExceeded": "Job was active longer than specified deadline",
        ]
        func condition(_ type: String) -> JSONValue {
            var condition: JSONValue = [
                "type": .string(type), "status": "True", "lastProbeTime": .string(now),
                "lastTransitionTime": .string(now),
            ]
            if !succeeded {
                condition.set(["reason"], .string(reason))
                condition.set(["message"], .string(texts[reason] ?? ""))
            }
            return condition
        }
        let isFirst = api[key].flatMap { Self.condition($0, ["SuccessCriteriaMet", "FailureTarget"]) } == nil
        let isOver = pods.active.isEmpty && pods.terminating.isEmpty
        let failedPods = pods.failed + (cluster.minor < 26 ? pods.active.count : 0)
        api.change(key) { job in
            var conditions = job.items("status", "conditions")
            if cluster.minor >= 31, isFirst {
                conditions.append(condition(succeeded ? "SuccessCriteriaMet" : "FailureTarget"))
            }
            if cluster.minor < 31 || (isOver && !isFirst) {
                conditions.append(condition(succeeded ? "Complete" : "Failed"))
                if succeeded { job.set(["status", "completionTime"], .string(now)) }
            }
            job.set(["status", "active"], nil)
            if pods.succeeded > 0 { job.set(["status", "succeeded"], .integer(Int64(pods.succeeded))) }
            if failedPods > 0 { job.set(["status", "failed"], .integer(Int64(failedPods))) }
            job.set(["status", "conditions"], .array(conditions))
        }
        return true
    }

    /// `ttlSecondsAfterFinished`: the Job goes, and its pods with it.
    private func forget(_ key: ModelKey, _ job: JSONValue, _ ended: JSONValue) {
        let uid = job.text("metadata", "uid") ?? ""
        failed[uid] = nil
        guard let seconds = job.integer("spec", "ttlSecondsAfterFinished"),
            planned.insert("\(uid) ttl").inserted
        else { return }
        cluster.scheduler.after(seconds * 1_000, "ttl of \(key)") { [self] in
            guard api[key]?.text("metadata", "uid") == uid else { return }
            api.acting(as: "ttl-after-finished-controller") { api.delete(key) }
        }
    }
}
