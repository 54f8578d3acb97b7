// SPDX-License-Identifier: Apache-2.0

import Resources

// How it is told, from the world as it is, whether a step is done.

extension RestoreRunBehavior {
    static func evidence(of step: Step, _ snapshot: RestoreRunSnapshot, _ world: Workplace) -> Evidence {
        switch step.name {
        case .claim: claim(snapshot, world)
        case .provision: provisioned(snapshot, world)
        case .restore: promoted(snapshot, world)
        case .quiesce: stopped(snapshot, world)
        case .seal: sealed(snapshot, world)
        case .open: opened(snapshot, world)
        case .serve: serving(snapshot, world)
        case .backup: backedUp(snapshot, world)
        case .compareSource: compared(snapshot)
        case .stop, .permit, .replace, .revoke, .start, .unlock: .looking
        }
    }

    static func isMine(_ metadata: ObjectMeta, _ snapshot: RestoreRunSnapshot) -> Bool {
        metadata.labels?[Label.runUID] == snapshot.run.metadata.uid
    }

    private static func claim(_ snapshot: RestoreRunSnapshot, _ world: Workplace) -> Evidence {
        switch snapshot.claim {
        case .unknown, .absent(confirmed: false): return .looking
        case .absent(confirmed: true): return .none
        case .present(let claim):
            guard isMine(claim.metadata, snapshot) else {
                return .failed(taken("PersistentVolumeClaim", claim.metadata.name, world))
            }
            return .done(warning: nil)
        }
    }

    private static func provisioned(_ snapshot: RestoreRunSnapshot, _ world: Workplace) -> Evidence {
        if let lost = lostClaim(snapshot, world) { return lost }
        switch snapshot.statefulSet {
        case .unknown, .absent(confirmed: false): return .looking
        case .absent(confirmed: true):
            switch snapshot.headlessService {
            case .unknown, .absent(confirmed: false): return .looking
            case .absent(confirmed: true): return .none
            case .present(let service):
                return isMine(service.metadata, snapshot) || world.request.isReusable(service)
                    ? .none : .failed(taken("Service", service.metadata.name, world))
            }
        case .present(let statefulSet):
            guard isMine(statefulSet.metadata, snapshot) else {
                return .failed(taken("StatefulSet", statefulSet.metadata.name, world))
            }
            return .done(warning: nil)
        }
    }

    /// The volume that this run works on, or what became of it.
    private static func lostClaim(_ snapshot: RestoreRunSnapshot, _ world: Workplace) -> Evidence? {
        lost(snapshot.claim, snapshot, world)
    }

    private static func lost(
        _ claim: Observed<PersistentVolumeClaim>, _ snapshot: RestoreRunSnapshot, _ world: Workplace
    ) -> Evidence? {
        switch claim {
        case .unknown, .absent(confirmed: false): return .looking
        case .absent(confirmed: true): return .failed(deleted("PersistentVolumeClaim", world.request.names.claim))
        case .present(let claim):
            guard claim.metadata.uid == snapshot.record.claimUID || snapshot.record.claimUID == nil else {
                return .failed(replaced("PersistentVolumeClaim", claim.metadata.name))
            }
            return claim.metadata.isDeleting ? .failed(deleted("PersistentVolumeClaim", claim.metadata.name)) : nil
        }
    }

    /// The StatefulSet that this run made, or what became of it.
    static func ownStatefulSet(
        _ snapshot: RestoreRunSnapshot, _ world: Workplace
    ) -> (statefulSet: StatefulSet?, otherwise: Evidence) {
        if let lost = lostClaim(snapshot, world) { return (nil, lost) }
        switch snapshot.statefulSet {
        case .unknown, .absent(confirmed: false): return (nil, .looking)
        case .absent(confirmed: true):
            return (nil, .failed(deleted("StatefulSet", world.request.names.statefulSet)))
        case .present(let statefulSet):
            guard statefulSet.metadata.uid == snapshot.record.targetUID || snapshot.record.targetUID == nil else {
                return (nil, .failed(replaced("StatefulSet", statefulSet.metadata.name)))
            }
            if statefulSet.metadata.isDeleting {
                return (nil, .failed(deleted("StatefulSet", statefulSet.metadata.name)))
            }
            return (statefulSet, .none)
        }
    }

    /// What became of the opened service, if there is nothing to back up any more. Its claim may be on its way out and
    /// still be served: all the better to have a backup then, if its pod runs already. No other one starts on it.
    static func lostService(_ snapshot: RestoreRunSnapshot, _ world: Workplace) -> PlanFinding? {
        lostStatefulSet(snapshot, world).map {
            PlanFinding(
                reason: $0.reason,
                message:
                    "\($0.message); once it serves its claim \(world.request.names.claim) again, take one with the "
                    + "image's tool")
        } ?? lostData(snapshot, world)
    }

    private static func lostData(_ snapshot: RestoreRunSnapshot, _ world: Workplace) -> PlanFinding? {
        let names = world.request.names
        let isStarted =
            switch snapshot.jobs[.backup]?.state {
            case .absent, nil: false
            case .running(let obstacle, _): obstacle == nil
            default: true
            }
        guard !isStarted, case .failed(let lost)? = lostClaim(snapshot, world) else { return nil }
        return PlanFinding(
            reason: lost.reason,
            message:
                "\(lost.message), and no pod can start on it any more; what pod \(names.pod) still serves is gone when "
                + "it ends: copy it first")
    }

    private static func lostStatefulSet(_ snapshot: RestoreRunSnapshot, _ world: Workplace) -> PlanFinding? {
        let name = world.request.names.statefulSet
        if snapshot.statefulSet.isConfirmedAbsent { return deleted("StatefulSet", name) }
        guard let found = snapshot.statefulSet.value else { return nil }
        if let made = snapshot.record.targetUID, found.metadata.uid != made { return replaced("StatefulSet", name) }
        if found.spec?.replicas == 0 {
            return PlanFinding(reason: "ScaledToZero", message: "StatefulSet \(name) was scaled to 0")
        }
        return found.metadata.isDeleting ? deleted("StatefulSet", name) : nil
    }

    private static func promoted(_ snapshot: RestoreRunSnapshot, _ world: Workplace) -> Evidence {
        let own = ownStatefulSet(snapshot, world)
        guard own.statefulSet != nil else { return own.otherwise }
        let live = snapshot.pod.value.flatMap { $0.metadata.isDeleting || isOfAnother($0, snapshot) ? nil : $0 }
        // With `hot_standby=off` the server rejects connections until recovery has ended: ready means promoted.
        if live?.isReady == true { return .done(warning: nil) }
        if ScaledToZero.isSeen(snapshot) {
            return ScaledToZero.isAgain(snapshot)
                ? .underWay("waiting until StatefulSet \(world.request.names.statefulSet) is scaled back") : .none
        }
        guard let pod = live else { return .underWay("waiting for pod \(world.request.names.pod)") }
        switch RestoreTrouble.find(pod, snapshot, world) {
        case .fatal(let finding): return .failed(finding)
        case .passing(let finding): return .underWay(finding.message)
        case nil: break
        }
        return .underWay(isReplaying(snapshot) ? "the server replays WAL" : "fetching \(world.pinned.name)")
    }

    /// A pod of a StatefulSet that somebody has made again: the news of that one may come later than those of its pod.
    private static func isOfAnother(_ pod: Pod, _ snapshot: RestoreRunSnapshot) -> Bool {
        let owner = pod.metadata.ownerReferences?.first { $0.controller == true }
        return owner.map { $0.uid != snapshot.record.targetUID } ?? false
    }

    /// Fetching and replaying look the same from outside, but for two things: the server process answers the startup
    /// probe, and its log tells of the first segment.
    static func isReplaying(_ snapshot: RestoreRunSnapshot) -> Bool {
        let facts = snapshot.lines[.server]?.value
        if facts?.words[PostgresLog.Progress.segment] != nil { return true }
        guard let pod = snapshot.pod.value, let profile = snapshot.request?.profile else { return false }
        return RestoringContainer.server.status(in: pod, profile)?.started == true
    }

    private static func stopped(_ snapshot: RestoreRunSnapshot, _ world: Workplace) -> Evidence {
        let own = ownStatefulSet(snapshot, world)
        guard let statefulSet = own.statefulSet else { return own.otherwise }
        guard statefulSet.spec?.replicas == 0 else { return .none }
        // ReadWriteOnce is per node: the next pod may start beside this one unless the object is really gone.
        guard snapshot.pod.isConfirmedAbsent else {
            return .underWay("waiting until pod \(world.request.names.pod) is gone")
        }
        return .done(warning: nil)
    }

    private static func opened(_ snapshot: RestoreRunSnapshot, _ world: Workplace) -> Evidence {
        let own = ownStatefulSet(snapshot, world)
        guard let statefulSet = own.statefulSet else { return own.otherwise }
        guard !PostgresService.isToBeOpened(statefulSet, world.request.profile) else {
            // The server makes a new cluster on an empty volume, and the cache may know of another claim than there is.
            return lost(snapshot.claimToOpen, snapshot, world) ?? .none
        }
        switch snapshot.clientService {
        case .unknown, .absent(confirmed: false): return .looking
        case .absent(confirmed: true): return .none
        case .present(let service):
            guard world.request.isReusable(service) else {
                return .underWay("Service \(service.metadata.name) is not this run's: remove it, and the run goes on")
            }
            return .done(warning: nil)
        }
    }

    private static func serving(_ snapshot: RestoreRunSnapshot, _ world: Workplace) -> Evidence {
        let own = ownStatefulSet(snapshot, world)
        guard own.statefulSet != nil else { return own.otherwise }
        guard let pod = snapshot.pod.value, !pod.metadata.isDeleting, pod.isReady else {
            let obstacle = snapshot.pod.value.flatMap(PodObstacle.find)
            return .underWay(obstacle?.message ?? "waiting until pod \(world.request.names.pod) is ready")
        }
        // A pod of the quarantined template can't be here any more, but if it is, it is not what clients should see.
        let arguments = pod.spec?.containers?.first { $0.name == world.request.profile.container }?.args ?? []
        guard !arguments.contains("listen_addresses=") else { return .underWay("waiting for the opened pod") }
        return .done(warning: nil)
    }

    /// The server's pod is another one than the Job that takes the first backup was made for: it has another address than
    /// the Job was given, which would wait for five minutes at the old one.
    static func hasMoved(_ snapshot: RestoreRunSnapshot) -> Bool {
        guard let job = snapshot.jobs[.backup], case .running = job.state, let server = job.serverUID,
            let pod = snapshot.pod.value?.metadata.uid
        else { return false }
        return pod != server
    }

    private static func backedUp(_ snapshot: RestoreRunSnapshot, _ world: Workplace) -> Evidence {
        if let lost = lostService(snapshot, world) {
            // The Job would wait for a server that does not come back: it is taken away first.
            if case .running = snapshot.jobs[.backup]?.state { return .none }
            return .done(
                warning: PlanFinding(
                    reason: lost.reason, message: "no base backup of its own was taken: \(lost.message)"))
        }
        if hasMoved(snapshot) { return .none }
        return ofJob(.backup, snapshot) { facts in
            guard case .backup(let result) = facts else { return nil }
            guard result.code != "OK" else { return .done(warning: nil) }
            return .done(warning: backupMissing(words(result.code, result.reasons)))
        } exhausted: { why in
            .done(warning: backupMissing(why))
        }
    }

    private static func compared(_ snapshot: RestoreRunSnapshot) -> Evidence {
        ofJob(.compareSource, snapshot) { facts in
            guard case .scan(let result) = facts else { return nil }
            guard result.code == "OK", let comparison = result.comparison else {
                return .done(warning: unknownSource("\(result.code)\(result.message.map { ": \($0)" } ?? "")"))
            }
            if comparison.unchanged, comparison.newHistories.isEmpty { return .done(warning: nil) }
            if let history = comparison.newHistories.first {
                return .done(
                    warning: PlanFinding(
                        reason: "SourceChanged",
                        message:
                            "a timeline was begun in the source's archive while the run was under way (\(history)); "
                            + "if the source itself was not promoted, look at it at once"))
            }
            return .done(
                warning: PlanFinding(
                    reason: "SourceChanged",
                    message: "of \(snapshot.record.source?.keys ?? 0) objects in the source's archive "
                        + "\(comparison.keys) are there now, or some were written again; if its own retention did not "
                        + "do that, look at it at once"))
        } exhausted: { why in
            .done(warning: unknownSource(why))
        }
    }

    /// What a Job's state means for its step. `judge` answers `nil` for a result of another kind.
    static func ofJob(
        _ role: JobRole, _ snapshot: RestoreRunSnapshot, judge: (LogFacts) -> Evidence?,
        exhausted: (String) -> Evidence
    ) -> Evidence {
        // Not observed in this pass: the step before it was seen done just now, and the next pass looks.
        guard let observation = snapshot.jobs[role] else { return .looking }
        switch observation.state {
        case .unknown: return .looking
        case .absent: return .none
        case .foreign:
            return .failed(foreignJob(snapshot.request?.names.job(role, observation.ordinal) ?? role.rawValue))
        case .running(let obstacle, _): return .underWay(obstacle?.message ?? "Job \(role.rawValue) runs")
        case .done(let facts): return judge(facts) ?? exhausted("its result is of another kind")
        case .exhausted(let why): return exhausted(why)
        }
    }

    /// A program's code with what its logs gave away.
    static func words(_ code: String, _ reasons: [String]?) -> String {
        guard let reasons, !reasons.isEmpty else { return code }
        return "\(code) (\(reasons.prefix(6).joined(separator: ", ")))"
    }

    private static func backupMissing(_ why: String) -> PlanFinding {
        PlanFinding(
            reason: "BackupFailed",
            message: "the service is open, but has no base backup of its own: \(why); take one with the image's tool")
    }

    private static func unknownSource(_ why: String) -> PlanFinding {
        PlanFinding(reason: "NotCompared", message: "the source's archive could not be compared: \(why)")
    }

    private static func taken(_ kind: String, _ name: String, _ world: Workplace) -> PlanFinding {
        PlanFinding(
            reason: "TargetNotEmpty",
            message: "\(kind) \(name) exists in namespace \(world.request.namespace) and is not this run's; choose "
                + "another name")
    }

    private static func deleted(_ kind: String, _ name: String) -> PlanFinding {
        PlanFinding(reason: "TargetDeleted", message: "\(kind) \(name) was deleted while the run was under way")
    }

    private static func replaced(_ kind: String, _ name: String) -> PlanFinding {
        PlanFinding(
            reason: "TargetReplaced",
            message: "\(kind) \(name) was deleted and made again by someone else while the run was under way")
    }
}
