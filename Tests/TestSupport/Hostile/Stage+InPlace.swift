// SPDX-License-Identifier: Apache-2.0

import ControlLoop
package import JSON
import Reconciler
import Resources
import Seams

/// A user's service that holds data and archives it, as the stories in place are about.
package struct UserService: Sendable {
    package static let name = "orders-db"
    package static let claim = "data-orders-db-0"
    /// In its archive.
    package static let archived = ["order 1", "order 2", "order 3"]
    /// Only on its volume.
    package static let tail = "order 4"

    /// Somebody has locked it, or writes to it while it is locked.
    package static func isLocked(by change: ModelAPI.Change) -> Bool {
        change.key.kind == .statefulSets && change.key.name == name
            && change.object.text("metadata", "annotations", TargetLock.annotation) != nil
    }

    /// UID of its StatefulSet.
    package var uid: String
    /// UID of its claim.
    package var volume: String
    /// What it serves before anything happens.
    package var rows: [String]
}

extension Stage {
    /// Somebody has a PostgreSQL with an archive, and says so.
    package func userService(replicas: Int64 = 1) {
        let stores = world.stores
        let epoch = world.scheduler.epoch
        world.apply(Self.claimOfUser)
        guard let claim = world.api[ModelKey(.claims, Story.space, UserService.claim)]?.text("metadata", "uid") else {
            return
        }
        var archive = Story.archive(world)
        archive.commits = [
            "order 2": epoch.adding(seconds: -50_000), "order 3": epoch.adding(seconds: -100),
        ]
        archive.owner = claim
        stores.seed(archive, bucket: "staging", path: UserService.name)
        var cluster = ModelVolume.Cluster(
            systemIdentifier: archive.systemIdentifier, timeline: 1, rows: UserService.archived + [UserService.tail],
            password: "p")
        cluster.commits = archive.commits
        cluster.commits[UserService.tail] = epoch.adding(seconds: -5)
        cluster.isSealed = true
        var volume = ModelVolume()
        volume.cluster = cluster
        world.kubelet.volumes[claim] = volume
        world.apply(Self.setOfUser(replicas))
        world.apply(Self.managedService(UserService.name))
        let set = world.api[ModelKey(.statefulSets, Story.space, UserService.name)]
        user = UserService(uid: set?.text("metadata", "uid") ?? "", volume: claim, rows: cluster.rows)
    }

    private static var claimOfUser: JSONValue {
        [
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": ["name": .string(UserService.claim), "namespace": .string(Story.space)],
            "spec": ["accessModes": ["ReadWriteOnce"], "resources": ["requests": ["storage": "20Gi"]]],
        ]
    }

    private static func setOfUser(_ replicas: Int64) -> JSONValue {
        let labels: JSONValue = ["app": .string(UserService.name)]
        func fromSecret(_ key: String) -> JSONValue {
            ["name": .string(key), "valueFrom": ["secretKeyRef": ["name": "staging-backups", "key": .string(key)]]]
        }
        let container: JSONValue = [
            "name": "postgres", "image": .string(Story.image),
            "env": [
                ["name": "WALG_S3_PREFIX", "value": .string("s3://staging/\(UserService.name)")],
                fromSecret("AWS_ACCESS_KEY_ID"), fromSecret("AWS_SECRET_ACCESS_KEY"),
                ["name": "POSTGRES_PASSWORD", "value": "p"],
            ],
            "readinessProbe": ["exec": ["command": ["pg_isready"]]],
            "volumeMounts": [["name": "data", "mountPath": "/var/lib/postgresql"]],
        ]
        return [
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": ["name": .string(UserService.name), "namespace": .string(Story.space)],
            "spec": [
                "serviceName": .string(UserService.name), "replicas": .integer(replicas),
                "selector": ["matchLabels": labels],
                "template": ["metadata": ["labels": labels], "spec": ["containers": [container]]],
                "volumeClaimTemplates": [
                    [
                        "metadata": ["name": "data"],
                        "spec": ["accessModes": ["ReadWriteOnce"], "resources": ["requests": ["storage": "20Gi"]]],
                    ]
                ],
            ],
        ]
    }

    /// Declares the user's StatefulSet under a name.
    package static func managedService(_ name: String) -> JSONValue {
        [
            "apiVersion": "reprise.dev/v1alpha1", "kind": "ManagedService",
            "metadata": ["name": .string(name), "namespace": .string(Story.space)],
            "spec": [
                "engine": "Postgres", "workload": ["name": .string(UserService.name)], "major": 15,
                "archive": ["repository": ["name": "staging-backups"], "path": .string(UserService.name)],
                "protection": [
                    "verification": [
                        ["name": "has-orders", "query": "order 1"], ["name": "impossible", "query": "order 99"],
                    ]
                ],
            ],
        ]
    }

    /// Asks for the data of the user's service to be replaced.
    package func restoreInPlace(
        _ name: String, service: String = UserService.name, _ change: (inout JSONValue) -> Void = { _ in }
    ) {
        var spec: JSONValue = [
            "mode": "InPlace", "source": ["service": ["name": .string(service)]],
            "target": ["service": ["name": .string(service)]],
            "confirm": .string("\(service)/\((user?.uid ?? "").prefix(8))"),
            // Longer than a story and the day after it.
            "preRestore": ["keepFor": "240h"],
        ]
        change(&spec)
        world.apply([
            "apiVersion": "reprise.dev/v1alpha1", "kind": "RestoreRun",
            "metadata": ["name": .string(name), "namespace": .string(Story.space)], "spec": spec,
        ])
    }

    /// To a moment instead of the archive's end.
    package static func toAMoment(_ spec: inout JSONValue, _ moment: JSONValue) {
        spec.set(["mode"], "PointInTime")
        spec.set(["recoveryTarget"], moment)
    }

    /// Somebody agrees to a run, or refuses it, once it asks.
    /// - Parameter again: Only one that is made again is decided on: this one has its answer.
    package func approve(
        _ run: String, after delay: Int64 = 100, decision: String = "Approve", again: Bool = false
    ) {
        var asked: Set<String> = []
        if again, let uid = world.api[ModelKey(.runs, Story.space, run)]?.text("metadata", "uid") { asked = [uid] }
        world.api.observers.append { [unowned self] change in
            guard change.key.kind == .runs, change.key.name == run,
                Story.condition(change.object, "Approved")?.text("reason") == "ApprovalRequired",
                // One that is made again is asked about again.
                asked.insert(change.object.text("metadata", "uid") ?? "").inserted
            else { return }
            let number = asked.count
            at(delay) { $0.decide(run, "\(run)-by-bob-\(number)", decision) }
        }
    }

    /// Somebody decides on a run.
    /// - Parameter age: He did so before that many seconds: as if the run had waited for that long.
    package func decide(_ run: String, _ name: String, _ decision: String = "Approve", age: Int64 = 0) {
        defer {
            if age > 0 {
                let made = world.scheduler.wall.adding(seconds: -age).wholeSecond.rfc3339
                edit(.approvals, name) { $0.set(["metadata", "creationTimestamp"], .string(made)) }
            }
        }
        if let object = world.api[ModelKey(.runs, Story.space, run)] {
            world.apply([
                "apiVersion": "reprise.dev/v1alpha1", "kind": "RestoreApproval",
                "metadata": ["name": .string(name), "namespace": .string(Story.space)],
                "spec": [
                    "run": ["name": .string(run), "uid": .string(object.text("metadata", "uid") ?? "")],
                    "planHash": .string(object.text("status", "plan", "hash") ?? ""),
                    "decision": .string(decision), "approver": "bob", "reason": "orders were lost at noon",
                ],
            ])
        }
    }

    /// A run waits for somebody's yes.
    package func isAsking(_ run: String) -> Bool {
        let object = world.api[ModelKey(.runs, Story.space, run)]
        return Story.condition(object, "Approved")?.text("reason") == "ApprovalRequired"
    }

    /// When a run that waits says that its approval has run out.
    package func whenExpired(_ run: String, _ act: @escaping (Stage) -> Void) {
        once(after: 500) { [unowned self] change in
            guard change.key.kind == .runs, change.key.name == run, Bearings.step(of: change.object) == "Planned",
                Story.condition(change.object, "Approved")?.text("reason") == "ApprovalExpired"
            else { return false }
            notes.insert("\(run) asks anew")
            return true
        } do: {
            act($0)
        }
    }

    /// When a run has locked the user's StatefulSet.
    package func whenLocked(after delay: Int64 = 0, _ act: @escaping (Stage) -> Void) {
        once(after: delay, UserService.isLocked(by:)) { act($0) }
    }

    /// Somebody deletes the user's StatefulSet, and a tool that has it in Git makes it again at once.
    package func remakeUser(replicas: Int64 = 1) {
        let key = ModelKey(.statefulSets, Story.space, UserService.name)
        if world.api[key] != nil { world.api.acting(as: "somebody") { world.api.remove(key) } }
        world.apply(Self.setOfUser(replicas))
    }

    /// Somebody sets the replicas of the user's service, as a GitOps tool does.
    package func scaleUser(to replicas: Int64) {
        edit(.statefulSets, UserService.name) { $0.set(["spec", "replicas"], .integer(replicas)) }
    }

    /// Who has taken the lock off leaves this annotation.
    package static let unlocked = "somebody.example.com/unlocked"

    /// Somebody takes the lock off the user's service.
    package func unlockUser() {
        edit(.statefulSets, UserService.name) {
            $0.set(["metadata", "annotations"], nil)
            $0.set(["metadata", "annotations", Self.unlocked], "true")
        }
    }

    /// What the user's volume holds now.
    package var userVolume: ModelVolume? { user.flatMap { world.kubelet.volumes[$0.volume] } }

    /// How the runs on the user's service ended, by their names.
    package func ends(of run: String) -> String {
        Story.condition(world.api[ModelKey(.runs, Story.space, run)], "Finished")?.text("reason") ?? "-"
    }
}
