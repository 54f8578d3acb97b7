// SPDX-License-Identifier: Apache-2.0

import ControlLoop
package import JSON
import Resources
import Seams

/// A story under way: the world that it is told in, and what people do in it.
package final class Stage {
    package let story: Story
    package var world: Simulation { story.world }
    /// What people have still to do.
    package private(set) var actsToCome = 0
    private var isDirty = true
    /// What strangers have made, by its UID: it must be there in the end, and be the same.
    package var theirs: [ModelKey: String] = [:]
    /// What a story wants to know of its own course at the end.
    package var notes: Set<String> = []
    /// The service whose data is replaced, where the story is about that.
    package var user: UserService?
    private var lastLack: String? = "nothing has happened"

    package init(_ scenario: Scenario, seed: UInt64) {
        story = Story(seed: seed)
        let world = story.world
        world.supervises = true
        world.wire.keepsTrace = false
        world.keepsJournals = false
        // Few heartbeats, as most of what a quiet controller does is to renew its own Lease; and still a successor comes
        // long before a minute is over.
        world.election.duration = 30_000
        world.election.renewDeadline = 20_000
        world.election.retryPeriod = 9_000
        // What takes minutes in life takes seconds here; what counts is the order.
        world.kubelet.startDelay = 400
        world.kubelet.terminationDelay = 500
        world.kubelet.fetchDelay = 4_000
        world.kubelet.replayDelay = 2_000
        world.kubelet.jobDelay = 700
        world.api.observers.append { [unowned self] change in
            if [.runs, .clones, .statefulSets, .configMaps].contains(change.key.kind) { isDirty = true }
        }
        scenario.tell(self)
    }

    /// Something of somebody else's goes on for ever.
    package var isRestless: Bool { !theirs.isEmpty || world.kubelet.nodes.isEmpty }

    // MARK: What people do

    /// So many milliseconds from now.
    package func at(_ moment: Int64, _ act: @escaping (Stage) -> Void) {
        actsToCome += 1
        world.scheduler.after(moment, "somebody acts") { [unowned self] in
            actsToCome -= 1
            isDirty = true
            act(self)
        }
    }

    /// Something has been done that may bring the goal nearer, or take it away.
    func noteChange() { isDirty = true }

    /// When the run of a service stands at a step, or is past it by having ended.
    package func when(_ service: String, is step: String, after delay: Int64 = 0, _ act: @escaping (Stage) -> Void) {
        once(after: delay) { change in
            guard change.key.kind == .runs, Bearings.target(of: change.object) == service else { return false }
            // Several steps may be seen done at once.
            let now = Bearings.step(of: change.object)
            let done = change.object.items("status", "restore", "completedSteps")
            return now == step || now == "Ended" || done.contains { $0.string == step }
        } do: {
            act($0)
        }
    }

    /// When something of a kind and a name has been made, whoever made it.
    package func whenMade(_ kind: ModelKind, _ name: String, after delay: Int64 = 0, _ act: @escaping (Stage) -> Void) {
        once(after: delay) {
            $0.before == nil && $0.key.kind == kind && $0.key.name == name
        } do: {
            act($0)
        }
    }

    /// So many milliseconds after the first change of this sort.
    package func once(
        after delay: Int64, _ isMeant: @escaping (ModelAPI.Change) -> Bool, do act: @escaping (Stage) -> Void
    ) {
        var isOver = false
        world.api.observers.append { [unowned self] change in
            guard !isOver, isMeant(change) else { return }
            isOver = true
            at(delay, act)
        }
    }

    /// Asks for a clone of production under a name.
    package func clone(_ name: String, _ change: (inout JSONValue) -> Void = { _ in }) {
        world.apply(Self.clone(name, change))
    }

    package static func clone(_ name: String, _ change: (inout JSONValue) -> Void = { _ in }) -> JSONValue {
        Story.clone {
            $0.set(["metadata", "name"], .string(name))
            $0.set(["spec", "service", "name"], .string(name))
            $0.set(["spec", "service", "archive", "path"], .string(name))
            change(&$0)
        }
    }

    /// Asks for a run by hand.
    package func run(_ name: String, into service: String, _ change: (inout JSONValue) -> Void = { _ in }) {
        var spec = Self.clone(service, change)["spec"] ?? .null
        let wanted = spec["service"] ?? .null
        spec.set(["service"], nil)
        spec.set(["mode"], "NewService")
        spec.set(["target"], ["newService": wanted])
        world.apply([
            "apiVersion": "reprise.dev/v1alpha1", "kind": "RestoreRun",
            "metadata": ["name": .string(name), "namespace": .string(Story.space)], "spec": spec,
        ])
    }

    package func cancel(_ run: String) {
        noteStep(of: run)
        world.user(.patch, key(.runs, run), ["spec": ["cancel": true]])
    }

    package func delete(_ kind: ModelKind, _ name: String) {
        if kind == .runs { noteStep(of: name) }
        world.user(.delete, key(kind, name))
    }

    /// Where a run stood when somebody first cancelled it, deleted it or took it apart.
    package private(set) var steps: [String: String] = [:]

    package func noteStep(of run: String) {
        guard let object = world.api[key(.runs, run)], steps[run] == nil else { return }
        steps[run] = Bearings.step(of: object)
    }

    private func key(_ kind: ModelKind, _ name: String) -> ModelKey { ModelKey(kind, Story.space, name) }

    // MARK: Where it stands

    package var runs: [JSONValue] { world.api.all(.runs).map(\.object) }

    /// What is still to come; `nil` when everybody has what he asked for, or was told why not.
    package var lack: String? {
        if world.cluster.remakes > 0 { return "a run or clone is to be made again as soon as it is gone" }
        guard isDirty else { return lastLack }
        isDirty = false
        lastLack = look()
        return lastLack
    }

    private func look() -> String? {
        if actsToCome > 0 { return "\(actsToCome) acts are to come" }
        for (key, run) in world.api.all(.runs) {
            if run[path: ["metadata", "deletionTimestamp"]] != nil { return "\(key) is being deleted" }
            let step = Bearings.step(of: run)
            guard step == "Ended" else { return "\(key) is at \(step)" }
            let recorded = Story.condition(run, "Recorded")
            guard recorded?.text("status") == "True" else { return "\(key) is not recorded" }
            if !run.items("metadata", "finalizers").isEmpty { return "\(key) is held by a finalizer" }
        }
        let spools = world.api.all(.configMaps).map(\.key.name).filter { $0.hasPrefix("reprise-spool-") }
        if let first = spools.first { return "\(first) is not in the ledger yet" }
        for (key, clone) in world.api.all(.clones) {
            if clone[path: ["metadata", "deletionTimestamp"]] != nil { return "\(key) is being deleted" }
            // What it says is of what was asked for before.
            guard clone.integer("status", "observedGeneration") == clone.integer("metadata", "generation") else {
                return "\(key) was not looked at since it was changed"
            }
            let isOver = ["Ready", "Stalled"].contains { Story.condition(clone, $0)?.text("status") == "True" }
            guard isOver else { return "\(key) is neither ready nor stalled: \(clone.text("status", "message") ?? "")" }
            if Story.condition(clone, "Ready")?.text("status") == "True", !isServed(key.name) {
                return "\(key) says that it is ready, and its service is not"
            }
        }
        return nil
    }

    /// A repository is still being looked at.
    package var areRepositoriesUnread: Bool {
        world.api.all(.repositories).contains { _, repository in
            ["Scanning", nil].contains(Story.condition(repository, "Ready")?.text("reason"))
        }
    }

    private func isServed(_ service: String) -> Bool {
        guard let set = world.api[key(.statefulSets, service)] else { return false }
        return set.integer("status", "readyReplicas") == 1
    }

    /// What there is, in words: for people who look for a fault.
    package var remains: [String] {
        var lines: [String] = []
        for kind in [ModelKind.clones, .runs, .statefulSets, .jobs, .pods, .claims, .services] {
            for (key, object) in world.api.all(kind, in: Story.space) {
                let phase = object.text("status", "phase") ?? "-"
                let conditions = object.items("status", "conditions").map {
                    "\($0.text("type") ?? "")=\($0.text("status") ?? "") \($0.text("reason") ?? "")"
                }
                let containers = object.items("status", "containerStatuses").map {
                    String(decoding: $0.bytes, as: UTF8.self)
                }
                lines.append("\(key) \(phase) \((conditions + containers).joined(separator: ", "))")
            }
        }
        for (claim, volume) in world.kubelet.volumes.sorted(by: { $0.key < $1.key }) {
            lines += volume.journal.map { "volume \(claim): at \($0.at) \($0.pod) \($0.what)" }
        }
        return lines
    }

    /// The rows that came back into a service; `nil` when there is none.
    package func rows(_ service: String) -> [String]? {
        world.kubelet.volume(Story.space, "data-\(service)-0")?.cluster?.rows.filter { $0 != Invariants.laterRow }
    }

    package func outcome(_ service: String) -> [String] {
        runs.filter { $0.text("spec", "target", "newService", "name") == service }
            .map { Story.condition($0, "Finished")?.text("reason") ?? "-" }.sorted()
    }
}

/// A story with a name, that can be told again.
package struct Scenario: Sendable {
    package var name: String
    /// How many controllers run side by side.
    package var controllers = 1
    /// How often it is told in comparison with others.
    package var weight = 1
    /// Told without a fault, it meets no conflict: people do nothing to what the controller writes.
    package var isSmooth = true
    /// Services that runs are about.
    package var targets = 1
    /// How long it takes at most when nothing goes wrong, in milliseconds.
    package var length: Int64 = 120_000
    /// Passes that it may take more than when nothing goes wrong: who comes first decides how often the others look.
    package var morePasses = 0
    /// Calls that it may cost when nothing goes wrong, but for the Lease's; `nil`: not asked.
    package var mostCalls: Int?
    /// Sets the scene, and says who does what when.
    package var tell: @Sendable (Stage) -> Void
    /// What is wrong with the end, given that nothing happened that may change what was asked for.
    package var isWrong: @Sendable (Stage) -> String?

    package init(
        _ name: String, controllers: Int = 1, weight: Int = 1, targets: Int = 1, length: Int64 = 120_000,
        mostCalls: Int? = nil, morePasses: Int = 0, isSmooth: Bool = true, tell: @escaping @Sendable (Stage) -> Void,
        isWrong: @escaping @Sendable (Stage) -> String?
    ) {
        self.name = name
        self.controllers = controllers
        self.weight = weight
        self.targets = targets
        self.length = length
        self.mostCalls = mostCalls
        self.morePasses = morePasses
        self.isSmooth = isSmooth
        self.tell = tell
        self.isWrong = isWrong
    }
}
