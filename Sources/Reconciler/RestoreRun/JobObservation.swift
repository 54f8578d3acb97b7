// SPDX-License-Identifier: Apache-2.0

package import Resources

/// One of a run's Jobs as far as it has come. A Job whose result is not believable is repeated under the next ordinal,
/// at most `limit` times: all Jobs are repeatable.
package struct JobObservation: Equatable, Sendable {
    package enum State: Equatable, Sendable {
        /// Not known yet, or its result is being read.
        case unknown
        /// To be created.
        case absent
        /// Somebody else's Job has the name.
        case foreign
        /// It runs; says what it is waiting for, if it is, and since when it exists.
        case running(obstacle: PlanFinding?, since: Timestamp?)
        case done(LogFacts)
        /// Every repetition ended without a believable result.
        case exhausted(String)
    }

    package static let limit = 3

    package var ordinal: Int
    package var state: State
    /// The run's own Job of this ordinal, if it is there.
    package var made: Seen?
    /// The UID of the server's pod that this one works with.
    package var serverUID: String?

    package init(ordinal: Int, state: State, made: Seen? = nil, serverUID: String? = nil) {
        self.ordinal = ordinal
        self.state = state
        self.made = made
        self.serverUID = serverUID
    }

    /// Looks for the newest Job of a role, and reads its result when it has ended.
    package static func observe(
        _ role: JobRole, of run: RunScope, through reader: inout some Reader
    ) -> JobObservation {
        var problem = "its pod left no result"
        for ordinal in 1...limit {
            let name = run.job(role, ordinal)
            switch reader.object(Job.self, run.namespace, name) {
            case .unknown: return JobObservation(ordinal: ordinal, state: .unknown)
            case .absent:
                return JobObservation(
                    ordinal: ordinal, state: beforeMaking(role, of: run, through: &reader) ?? .absent)
            case .present(let job):
                guard job.metadata.labels?[Label.runUID] == run.runUID else {
                    return JobObservation(ordinal: ordinal, state: .foreign)
                }
                let token = run.attemptToken(role, ordinal)
                let state = state(of: job, role.content, attempt: token, through: &reader)
                guard let why = worthRepeating(state), !(ordinal == limit && isTold(state)) else {
                    return JobObservation(
                        ordinal: ordinal, state: state, made: job.seen,
                        serverUID: job.metadata.labels?[Label.serverUID])
                }
                problem = why
            }
        }
        return JobObservation(ordinal: limit, state: .exhausted(problem))
    }

    /// What holds a Job back that is to be made. Two pods must never work on one volume: whoever deletes a Job that
    /// changes it leaves its pod behind for as long as that takes to end.
    private static func beforeMaking(
        _ role: JobRole, of run: RunScope, through reader: inout some Reader
    ) -> State? {
        guard role.changesVolume else { return nil }
        let names = JobRole.allCases.filter(\.changesVolume).flatMap { role in (1...limit).map { run.job(role, $0) } }
        guard
            let pods = reader.confirmedObjects(Pod.self, run.namespace, labelled: Label.runUID, run.runUID)
                .value
        else { return .unknown }
        // What a quorum list says is not said again: each of them is watched until it has ended. Its watch begins after it
        // was seen, so what is absent there is gone.
        for pod in pods where names.contains(pod.metadata.labels?[Label.job] ?? "") && !isOver(pod) {
            let now = reader.watched(Pod.self, run.namespace, pod.metadata.name)
            if now.isUnknown { return .unknown }
            guard let found = now.value, found.metadata.uid == pod.metadata.uid, !isOver(found) else { continue }
            let words = "waiting until pod \(pod.metadata.name) of an earlier Job has ended"
            return .running(obstacle: PlanFinding(reason: "PodStillRunning", message: words), since: nil)
        }
        return nil
    }

    private static func isOver(_ pod: Pod) -> Bool { ["Failed", "Succeeded"].contains(pod.status?.phase ?? "") }

    /// What its last repetition has found says more than that there is no other.
    private static func isTold(_ state: State) -> Bool {
        if case .done(.inspect) = state { true } else { false }
    }

    /// A result that is not believed, or a backup that failed: a busy server or store may let the next one through.
    private static func worthRepeating(_ state: State) -> String? {
        switch state {
        case .done(.unbelievable(let why)): why
        case .done(.backup(let result)) where result.code != "OK": RestoreRunBehavior.words(result.code, result.reasons)
        // It looked while another run was at work there. That one's end was waited for.
        case .done(.inspect(let result)) where result.heldBy != nil:
            "the data was held by run \(result.heldBy ?? "")"
        // Its pod was evicted in the middle; the program is made to be run again.
        case .done(.seal(let result)) where result.code == "Interrupted":
            "it was interrupted, in step \(result.step ?? "unknown")"
        case .done(.replace(let result)) where result.code == "Interrupted":
            "it was interrupted, in step \(result.step ?? "unknown")"
        case .unknown, .absent, .foreign, .running, .done, .exhausted: nil
        }
    }

    /// How far a Job has come, and what it left: `unknown`, `running` or `done`. Whoever made it.
    /// - Parameter token: What its result must carry to be believed.
    static func state(
        of job: Job, _ content: LogFormat.Content, attempt token: String, through reader: inout some Reader
    ) -> State {
        let space = job.metadata.namespace ?? ""
        guard var pods = reader.objects(Pod.self, space, labelled: Label.job, job.metadata.name).value
        else { return .unknown }
        // Only when the Job has ended: until then a pod that was deleted may be replaced by another one, and two of them
        // must never be taken for the same attempt.
        guard job.isComplete || job.isFailed else {
            return .running(
                obstacle: obstacle(of: job, pods, through: &reader), since: job.metadata.creationTimestamp)
        }
        // The caches of two kinds need not be equally fresh: a pod that is there and runs will be seen to end, and one
        // that is not there may not have been heard of yet.
        if pods.allSatisfy({ terminated($0) == nil && isOver($0) }) {
            guard let live = reader.confirmedObjects(Pod.self, space, labelled: Label.job, job.metadata.name).value
            else { return .unknown }
            pods = live
        }
        let ended = pods.compactMap { pod in terminated(pod).map { (pod, $0) } }
        // The newest pod counts: a deleted one is replaced even with `backoffLimit: 0`.
        if let (pod, end) = ended.max(by: { ($0.1.finishedAt ?? .distantPast) < ($1.1.finishedAt ?? .distantPast) }) {
            let format = LogFormat(content, attempt: token, message: end.message)
            switch reader.log(of: pod.seen, container: PostgresJobs.container, as: format) {
            case .unknown: return .unknown
            case .absent: return .done(.unbelievable("its pod is gone"))
            case .present(let facts): return .done(facts)
            }
        }
        // One that ended before its container began (refused by its node, out of time) leaves nothing to wait for.
        if pods.allSatisfy(isOver) {
            let why = pods.first?.status?.reason ?? job.status?.conditions?.first?.message
            return .done(.unbelievable(why ?? "it ended and its pod is gone"))
        }
        return .running(
            obstacle: pods.first.flatMap(PodObstacle.find), since: job.metadata.creationTimestamp)
    }

    /// What holds up a Job that has not ended.
    private static func obstacle(of job: Job, _ pods: [Pod], through reader: inout some Reader) -> PlanFinding? {
        // The caches of two kinds need not be equally fresh: a pod that its Job counts is only not heard of yet.
        guard pods.isEmpty, (job.status?.active ?? 0) == 0, !job.metadata.isDeleting else {
            return pods.first.flatMap(PodObstacle.find)
        }
        return PodObstacle.find(job.ref, since: job.metadata.creationTimestamp, reader.podRefusal(of: job.seen))
    }

    private static func terminated(_ pod: Pod) -> Pod.Terminated? {
        pod.status?.containerStatuses?.first { $0.name == PostgresJobs.container }?.state?.terminated
    }
}

extension Timestamp {
    fileprivate static let distantPast = Timestamp(microseconds: .min)
}

/// What keeps a pod from running, in words that people can act on.
package enum PodObstacle {
    package static func find(_ pod: Pod) -> PlanFinding? {
        let statuses = (pod.status?.initContainerStatuses ?? []) + (pod.status?.containerStatuses ?? [])
        for status in statuses {
            guard let waiting = status.state?.waiting, let reason = waiting.reason else { continue }
            let detail = bounded(waiting.message)
            switch reason {
            case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable":
                return PlanFinding(
                    reason: "ImagePullFailed",
                    message: "pod \(pod.metadata.name): \(reason)\(detail); check the image's name and pull secrets")
            case "CreateContainerConfigError", "CreateContainerError":
                return PlanFinding(
                    reason: "ContainerNotCreated", message: "pod \(pod.metadata.name): \(reason)\(detail)")
            case "CrashLoopBackOff":
                let code = status.lastState?.terminated?.exitCode.map { " with exit code \($0)" } ?? ""
                return PlanFinding(
                    reason: "RestoreCrashed",
                    message: "pod \(pod.metadata.name): container \(status.name) has ended \(status.restartCount ?? 0) "
                        + "times\(code); see kubectl logs \(pod.metadata.name) --previous")
            default: continue
            }
        }
        let scheduled = pod.status?.conditions?.first { $0.type == "PodScheduled" && $0.status == "False" }
        if let scheduled {
            return PlanFinding(
                reason: "Unschedulable",
                message: "pod \(pod.metadata.name): \(scheduled.reason ?? "not scheduled")"
                    + bounded(scheduled.message))
        }
        return nil
    }

    /// No pod could be made.
    package static let forbidden = "PodsForbidden"
    /// The same of a Job.
    package static let jobForbidden = "JobPodsForbidden"
    /// There is no pod, and nobody says why.
    package static let noPod = "NoPod"

    static func isWithoutPod(_ finding: PlanFinding) -> Bool {
        [forbidden, jobForbidden, noPod].contains(finding.reason)
    }

    /// What keeps a Job or StatefulSet from having a pod at all.
    /// - Parameter since: When it was made, if it has never had one.
    package static func find(
        _ owner: Ref, since: Timestamp? = nil, _ refusal: Observed<PodRefusal>
    ) -> PlanFinding? {
        let what = "\(owner) has no pod" + (since.map { ", and was made at \($0.rfc3339)" } ?? "")
        let look = "see kubectl -n \(owner.namespace) describe \(owner.kind.kind.lowercased()) \(owner.name)"
        switch refusal {
        case .unknown, .absent(confirmed: false): return nil
        case .present(.told(let words)):
            return PlanFinding(
                reason: owner.kind == Job.resourceKind ? jobForbidden : forbidden,
                message: "\(what): \(words); it is tried again and again until that is mended")
        case .absent(confirmed: true):
            return PlanFinding(reason: noPod, message: "\(what), and no Event says why; \(look)")
        case .present(.unreadable(let why)):
            return PlanFinding(
                reason: noPod,
                message: "\(what); why is not known here, because the Events can't be read (\(why)); \(look)")
        }
    }

    private static func bounded(_ text: String?) -> String {
        guard let text, !text.isEmpty else { return "" }
        return ": \(text.prefix(300))"
    }
}
