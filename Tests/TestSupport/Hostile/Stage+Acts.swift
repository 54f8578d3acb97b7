// SPDX-License-Identifier: Apache-2.0

import ControlLoop
package import JSON
import Reconciler
import Resources
import Seams

// What people do besides asking for things.
extension Stage {
    /// A number that is another one with another seed.
    package func draw(_ purpose: String, below bound: Int64) -> Int64 {
        Int64(keyedHash(world.seed, "story/\(purpose)", 0) % UInt64(max(1, bound)))
    }

    /// A stranger makes something of his own, if the name is still free.
    package func strangerMakes(_ kind: ModelKind, _ name: String, _ spec: JSONValue) {
        let body: JSONValue = [
            "apiVersion": .string(kind.apiVersion), "kind": .string(kind.kind),
            "metadata": ["name": .string(name), "namespace": .string(Story.space)], "spec": spec,
        ]
        let key = ModelKey(kind, Story.space, name)
        guard world.user(.post, key, body).status == 201 else { return }
        theirs[key] = world.api[key]?.text("metadata", "uid")
    }

    package func strangerMakesClaim(_ name: String) {
        strangerMakes(
            .claims, name,
            ["accessModes": ["ReadWriteOnce"], "resources": ["requests": ["storage": "20Gi"]]])
    }

    package func strangerMakesStatefulSet(_ name: String) {
        let labels: JSONValue = ["theirs": .string(name)]
        strangerMakes(
            .statefulSets, name,
            [
                "replicas": 0, "serviceName": .string(name), "selector": ["matchLabels": labels],
                "template": [
                    "metadata": ["labels": labels],
                    "spec": ["containers": [["name": "theirs", "image": .string(Story.image)]]],
                ],
            ])
    }

    package func strangerMakesService(_ name: String) {
        strangerMakes(.services, name, ["selector": ["theirs": .string(name)], "ports": [["port": 5432]]])
    }

    /// Somebody deletes something of a run and makes it again at once, labels and all: the same words, and another UID.
    /// From then on it is his. One that is open is left alone.
    package func strangerRemakes(_ kind: ModelKind, _ name: String, of run: String) {
        let key = ModelKey(kind, Story.space, name)
        noteStep(of: run)
        let isOpened = ["Open", "Serve", "Backup", "CompareSource", "Ended"].contains(steps[run] ?? "Ended")
        guard !isOpened, var body = world.api[key] else { return }
        body.set(["status"], nil)
        for field in [
            "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "finalizers",
            "managedFields",
        ] { body.set(["metadata", field], nil) }
        world.api.acting(as: "somebody") {
            world.api.remove(key)
            _ = try? world.api.create(key, body)
        }
        theirs[key] = world.api[key]?.text("metadata", "uid")
    }

    /// Somebody takes an object away at once, whatever holds it.
    package func strangerRemoves(_ kind: ModelKind, _ name: String) {
        world.api.acting(as: "somebody") { world.api.remove(ModelKey(kind, Story.space, name)) }
    }

    /// Somebody changes an object by hand, whatever an admission might say.
    package func edit(_ kind: ModelKind, _ name: String, _ change: (inout JSONValue) -> Void) {
        world.api.acting(as: "somebody") { world.api.change(ModelKey(kind, Story.space, name), change) }
    }

    /// Takes an object out of what the controller watches.
    package func unlabel(_ kind: ModelKind, _ name: String) {
        edit(kind, name) { $0.set(["metadata", "labels", Label.managedBy], nil) }
    }

    /// Nudges a run now and then until it has ended: of objects without the label nobody hears.
    package func nudge(_ run: String, every period: Int64, _ count: Int64 = 1) {
        world.scheduler.after(period, "somebody looks") { [unowned self] in
            guard let now = world.api[ModelKey(.runs, Story.space, run)], Bearings.step(of: now) != "Ended" else {
                return
            }
            edit(.runs, run) { $0.set(["metadata", "annotations", "example.com/note"], .string("\(count)")) }
            nudge(run, every: period, count + 1)
        }
    }

    /// The controller that leads, and the one that waits.
    package var leader: Incarnation? { world.incarnations.last { $0.end == nil && $0.state.facts.isLeading } }
    package var standby: Incarnation? { world.incarnations.last { $0.end == nil && !$0.state.facts.isLeading } }

    /// The leader's process ends, and is started again a second later.
    package func killLeader() {
        guard let leader else { return }
        world.kill(leader)
        at(1_000) { $0.world.start() }
    }

    /// As soon as a pod is on its way out.
    package func whenLeaving(_ pod: String, after delay: Int64 = 0, _ act: @escaping (Stage) -> Void) {
        once(after: delay) { change in
            change.key.kind == .pods && change.key.name == pod
                && change.object[path: ["metadata", "deletionTimestamp"]] != nil
        } do: {
            act($0)
        }
    }

    /// What of the strangers' is gone or another one.
    package var harm: String? {
        for (key, uid) in theirs.sorted(by: { $0.key < $1.key })
        where world.api[key]?.text("metadata", "uid") != uid { return "\(key) was somebody else's, and is gone" }
        return nil
    }
}
