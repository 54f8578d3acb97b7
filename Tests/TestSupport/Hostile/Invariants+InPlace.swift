// SPDX-License-Identifier: Apache-2.0

import JSON
import Reconciler
import Resources

/// What must hold of a user's service whose data is replaced.
extension Invariants {
    /// Of a StatefulSet that is not ours nothing is changed but its replicas and the lock, and only by the run that holds it.
    func checkUserService(_ change: ModelAPI.Change, _ before: JSONValue) {
        let key = change.key
        guard change.kind != .deleted else { return broken("\(key) is a user's, and was deleted") }
        let (old, new) = (Self.lock(before), Self.lock(change.object))
        if Self.rest(before) != Self.rest(change.object) {
            broken("\(key) is a user's, and more of it was changed than its replicas and the lock")
        }
        let replicas = change.object.integer("spec", "replicas")
        if before.integer("spec", "replicas") != replicas {
            checkScaling(key, old, to: replicas ?? 1, generation: before.integer("metadata", "generation"))
        }
        guard old != new else { return }
        if let holder = new.flatMap({ run($0) }) {
            // Who has begun takes it back from who has not.
            let isTakenBack = Self.hasBegun(holder) && !(old.flatMap { run($0) }.map(Self.hasBegun) ?? false)
            if let old, let other = run(old), !Self.isOver(other), !isTakenBack {
                broken("\(key) was locked by \(name(holder)) while \(name(other)) had it")
            }
            let approved = Story.condition(holder, "Approved")?.text("status")
            if holder.text("status", "plan", "hash") == nil || Self.isOver(holder) {
                broken("\(key) was locked by \(name(holder)), which is not about to start")
            }
            // What the status says of it may be written in the same pass.
            if approved == nil { broken("\(key) was locked by \(name(holder)), which nobody was asked to approve") }
        } else if new != nil {
            broken("\(key) was locked by a run that is not there")
        }
    }

    private static func hasBegun(_ run: JSONValue) -> Bool {
        run.text("status", "restore", "mayWriteSince") != nil
    }

    /// A run that replaces data begins with a yes that counts still, by the clock of who begins it.
    func checkBeginning(_ run: JSONValue, _ before: JSONValue) {
        guard before.text("status", "state") == "Pending", run.text("status", "state") == "Running",
            run.text("spec", "target", "service", "name") != nil,
            let began = run.text("status", "startedAt").flatMap({ Timestamp(rfc3339: $0) })
        else { return }
        let counts = world.api.all(.approvals).contains { _, approval in
            let made = approval.text("metadata", "creationTimestamp").flatMap { Timestamp(rfc3339: $0) }
            return approval.text("spec", "run", "uid") == run.text("metadata", "uid")
                && approval.text("spec", "planHash") == run.text("status", "plan", "hash")
                && approval.text("spec", "decision") == "Approve"
                && made.map { began < $0.adding(seconds: Approval.lifetime) } ?? false
        }
        if !counts { broken("\(name(run)) began, and no approval of it counted any more") }
    }

    private func checkScaling(_ key: ModelKey, _ lock: String?, to replicas: Int64, generation: Int64?) {
        guard let lock, let holder = run(lock) else {
            // It was on its way when somebody took the lock off.
            if world.api[key]?.text("metadata", "annotations", Stage.unlocked) != nil { return }
            return broken("\(key) was scaled by nobody who has its lock")
        }
        guard holder.text("status", "state") == "Running" else {
            return broken("\(key) was scaled for \(name(holder)), which does not run")
        }
        guard
            holder.text("status", "restore", "originalReplicas") != nil
                || holder.integer("status", "restore", "originalReplicas") != nil
        else { return broken("\(key) was scaled, and nobody wrote down what it had") }
        guard holder.text("status", "approvedBy") != nil else {
            return broken("\(key) was scaled for \(name(holder)), which nobody has approved")
        }
        guard record(of: lock, holder)?.status == "running" else {
            return broken("\(key) was scaled for \(name(holder)), of which the ledger does not say that it runs")
        }
        guard holder.text("status", "restore", "targetUID") == world.api[key]?.text("metadata", "uid") else {
            return broken("\(key) was scaled for \(name(holder)), which was planned for another one of its name")
        }
        guard replicas > 0 else { return }
        // It starts again: then its data has its place, the old or the new.
        for volume in userVolumes() where volume.held != nil || volume.cluster == nil {
            broken("\(key) was started while its data is set aside")
        }
    }

    /// At every instant the data is there, in its place or set aside.
    func checkUserData() {
        // Whoever deletes the claim deletes the data.
        guard world.api[ModelKey(.claims, Story.space, UserService.claim)]?.text("metadata", "uid") == user?.volume
        else { return }
        for volume in userVolumes() where volume.cluster == nil && volume.held == nil {
            broken("the data of the user's service is gone")
        }
    }

    private func userVolumes() -> [ModelVolume] {
        user.map { world.kubelet.volumes[$0.volume].map { [$0] } ?? [] } ?? []
    }

    /// At the end its data is in its place, and is what the last run that replaced it has put there.
    func checkUserEnd(isTouched: Bool) {
        guard let user, !isTouched, let volume = world.kubelet.volumes[user.volume] else { return }
        if let held = volume.held, !isToldOf(held.run) {
            broken("the data of the user's service is set aside for good")
        }
        let runs = world.api.all(.runs).map(\.object).filter { $0.text("spec", "target", "service", "name") != nil }
        for run in runs {
            let uid = run.text("metadata", "uid") ?? ""
            let isCompleted = run.text("status", "state") == "Completed"
            let isSwapped = run[path: ["status", "restore", "inPlace", "isSwapped"]] == true
            if isCompleted, !isSwapped { broken("\(name(run)) is completed, and has replaced nothing") }
            if isCompleted, volume.swappedBy == nil { broken("\(name(run)) is completed, and the data is the old") }
            if volume.swappedBy == uid, !isSwapped, !isToldOf(uid) {
                broken("\(name(run)) has replaced the data, and does not say so")
            }
        }
        for (key, object) in world.api.all(.configMaps) where key.name.contains("-permit-") {
            let uid = object.text("metadata", "labels", Label.runUID) ?? ""
            if let run = run(uid), Self.isOver(run) { broken("\(key) is left of \(name(run))") }
        }
    }

    /// The run has lost what it stood on, and has said where the data is.
    private func isToldOf(_ uid: String) -> Bool {
        guard let run = run(uid), run.text("status", "state") == "Interrupted" else { return false }
        return ["NotPossible", "NotUndone"].contains(Story.condition(run, "CleanedUp")?.text("reason"))
    }

    // MARK: Parts

    private static func lock(_ set: JSONValue) -> String? {
        set.text("metadata", "annotations", TargetLock.annotation)
    }

    /// Everything but what a run in place may change, and what the server writes.
    private static func rest(_ set: JSONValue) -> JSONValue {
        var rest = set
        rest.set(["spec", "replicas"], nil)
        rest.set(["status"], nil)
        for field in ["resourceVersion", "generation", "managedFields"] { rest.set(["metadata", field], nil) }
        for name in [TargetLock.annotation, TargetLock.nameAnnotation] {
            rest.set(["metadata", "annotations", name], nil)
        }
        if rest[path: ["metadata", "annotations"]]?.object?.members.isEmpty == true {
            rest.set(["metadata", "annotations"], nil)
        }
        return rest
    }

    private static func isOver(_ run: JSONValue) -> Bool {
        ["Completed", "Failed", "Cancelled", "Interrupted"].contains(run.text("status", "state") ?? "")
    }

    private func name(_ run: JSONValue) -> String { run.text("metadata", "name") ?? "" }
}
