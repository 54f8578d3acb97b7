// SPDX-License-Identifier: Apache-2.0

import ControlLoop
import JSON
import Reconciler
import Resources

/// What must hold at every instant, whatever goes wrong. Asked inside the commit of every write, of the API server and of
/// the ledger: nothing is polled, and nothing can happen between two looks.
package final class Invariants {
    /// What was broken, in words; the first one is what to look at.
    package private(set) var violations: [String] = []

    unowned let world: Simulation
    /// The service whose data is replaced, where the story is about that.
    let user: UserService?
    /// By UID, as they were committed last.
    private var runs: [String: JSONValue] = [:]
    private var opened: Set<String> = []
    /// By run: somebody has edited its StatefulSet.
    private var spoiled: Set<String> = []
    private var leaseLost: Int64?
    private var circles = Circles()
    /// So long the ledger keeps what it was sent before it is written, in milliseconds.
    private static let onItsWay: Int64 = 30_000
    /// By UID: what a controller has made.
    private var made: Set<String> = []
    /// Whether a controller has made an object, and not somebody who copied its labels.
    func isMade(_ uid: String?) -> Bool { uid.map { made.contains($0) } ?? false }
    /// Whether a run's service has ever been opened.
    func isOpened(_ uid: String) -> Bool { opened.contains(uid) }

    package init(_ world: Simulation, user: UserService? = nil) {
        self.world = world
        self.user = user
        world.api.observers.append { [unowned self] change in look(at: change) }
        world.observeLedger { [unowned self] commit in look(at: commit) }
        // Whoever has thawed may still send, and end before it arrives.
        world.wire.onlookers.append { [unowned self] call, moment in
            if moment == .sent, call.isWrite, !call.isAboutLease {
                checkLeader(call.incarnation, "sent \(call.verb) \(call.target) \(call.name ?? "")")
            }
            return 0
        }
    }

    /// The user's StatefulSet, which he may make again.
    var userKey: ModelKey? { user.map { _ in ModelKey(.statefulSets, Story.space, UserService.name) } }

    func broken(_ words: String) {
        if violations.count < 20 { violations.append("at \(world.scheduler.now) ms: \(words)") }
    }

    /// A run by its UID, also when it is gone.
    func run(_ uid: String) -> JSONValue? { runs[uid] }

    // MARK: Writes to the API server

    private func look(at change: ModelAPI.Change) {
        if change.key.kind == .runs { follow(change) }
        if user != nil { checkUserData() }
        if change.key.kind == .leases, change.kind == .deleted { leaseLost = world.scheduler.now }
        let isOurs = world.incarnations.contains { $0.name == change.writer }
        if isOurs, change.key.kind != .leases {
            if change.before == nil, let uid = change.object.text("metadata", "uid") { made.insert(uid) }
            checkLeader(change.writer, "wrote \(change.key)")
            checkOwnership(change)
            if change.kind == .modified,
                let (one, other) = circles.follow(change.key, change.object, at: world.scheduler.now)
            {
                broken("\(change.key) says in turn '\(one)' and '\(other)'")
            }
        }
        switch change.key.kind {
        case .statefulSets, .services: checkOpening(change)
        default: break
        }
    }

    /// Only who holds the Lease writes. One that somebody has deleted is taken at once, and fences nobody.
    /// - Parameter what: What it did, in words.
    private func checkLeader(_ writer: String, _ what: @autoclosure () -> String) {
        guard let lease = world.api.all(.leases, in: Simulation.controllerNamespace).first?.object else { return }
        let holder = lease.text("spec", "holderIdentity") ?? ""
        // Somebody has deleted it: what was sent under the one before is still on its way, and may wait for the ledger.
        if let leaseLost, world.scheduler.now - leaseLost < world.election.duration + Self.onItsWay { return }
        if !holder.hasPrefix("\(writer)_") {
            broken("\(writer) \(what()) while the Lease was held by '\(holder)'")
        }
    }

    private func follow(_ change: ModelAPI.Change) {
        guard let uid = change.object.text("metadata", "uid") else { return }
        runs[uid] = change.object
        guard let before = change.before, change.kind == .modified else { return }
        checkBeginning(change.object, before)
        let (old, new) = (before["status"], change.object["status"])
        guard let state = old?.text("state") else { return }
        if !["Pending", "Running"].contains(state) {
            // Terminal is final; what may follow is where the outcome is recorded.
            for field in ["state", "phase", "failedPhase", "finishedAt", "message", "plan", "restore", "attempt"]
            where Self.untidied(old?[field]) != Self.untidied(new?[field]) {
                broken("\(change.key): \(field) changed after the run was \(state)")
            }
            let (was, now) = (finished(before), finished(change.object))
            if was != now { broken("\(change.key): it finished as \(was), and then as \(now)") }
        }
        if state == "Running", let hash = old?.text("plan", "hash"), new?.text("plan", "hash") != hash {
            broken("\(change.key): its plan changed while it ran")
        }
        if state == "Running", new?.text("state") == "Pending" { broken("\(change.key): from Running to Pending") }
        let steps = old?.items("restore", "completedSteps") ?? []
        let later = new?.items("restore", "completedSteps") ?? []
        if !later.starts(with: steps) { broken("\(change.key): a step that was done is not done any more") }
        for pin in ["claimUID", "targetUID", "pinnedBackup", "sourceURI", "archiveURI", "copied"] {
            if let value = old?[path: ["restore", pin]], new?[path: ["restore", pin]] != value {
                broken("\(change.key): \(pin) changed")
            }
        }
        for (pin, kind) in [("claimUID", ModelKind.claims), ("targetUID", .statefulSets)] {
            guard change.object.text("spec", "target", "service", "name") == nil, old?[path: ["restore", pin]] == nil,
                let pinned = new?.text("restore", pin)
            else { continue }
            for (key, object) in world.api.all(kind, in: change.key.namespace)
            where object.text("metadata", "uid") == pinned && object.text("metadata", "labels", Label.runUID) != uid {
                broken("\(change.key) takes \(key) for its own, which is somebody else's")
            }
        }
    }

    /// What was replaced in place is removed long after the end, and that is written down.
    private static func untidied(_ value: JSONValue?) -> JSONValue? {
        guard var value, value["inPlace"] != nil else { return value }
        for field in ["isTidying", "tidiedAt"] { value.set(["inPlace", field], nil) }
        return value
    }

    private func finished(_ run: JSONValue) -> String {
        run.items("status", "conditions").first { $0["type"] == "Finished" }?.text("reason") ?? "-"
    }

    // MARK: What the controller makes, changes and takes away

    private static let kept: Set<ModelKind> = [
        .statefulSets, .claims, .services, .secrets, .jobs, .configMaps, .pods,
    ]

    private func checkOwnership(_ change: ModelAPI.Change) {
        let key = change.key
        // Whoever has made a ServiceBackup, its status is written; only what a repository has made is taken away.
        guard Self.kept.contains(key.kind) || (key.kind == .backups && change.kind == .deleted) else { return }
        guard let before = change.before else { return checkMaking(change) }
        // Whoever takes one of the labels away does not take the object over.
        let labels = before[path: ["metadata", "labels"]]
        if labels?[Label.managedBy]?.string != Label.managedByValue, labels?[Label.runUID] == nil {
            if key == userKey {
                return checkUserService(change, before)
            }
            // A repository's catalogs carry no `managed-by`: no cache of the controller is to hold them.
            if labels?[Label.catalog] != nil, isMade(before.text("metadata", "uid")) { return }
            broken(
                "\(key) is somebody else's, and \(change.writer) \(change.kind == .deleted ? "deleted" : "changed") it")
        }
        checkIncarnation(key, before)
        let isLeaving =
            change.kind == .deleted
            || (before[path: ["metadata", "deletionTimestamp"]] == nil
                && change.object[path: ["metadata", "deletionTimestamp"]] != nil)
        if isLeaving { checkTakingAway(key, before) }
    }

    /// What a run works with is what it made, and not what somebody has put in its place, labels and all.
    private func checkIncarnation(_ key: ModelKey, _ object: JSONValue) {
        let pins: [ModelKind: String] = [.claims: "claimUID", .statefulSets: "targetUID"]
        guard let pin = pins[key.kind], let run = runs[object.text("metadata", "labels", Label.runUID) ?? ""],
            run.text("status", "state") == "Running", let pinned = run.text("status", "restore", pin),
            pinned != object.text("metadata", "uid")
        else { return }
        broken("\(key) was changed, and it is not the one that its run made")
    }

    /// Nothing is made before the plan is pinned and the ledger has the run; looking is all that may be done.
    private func checkMaking(_ change: ModelAPI.Change) {
        let key = change.key
        guard let uid = change.object.text("metadata", "labels", Label.runUID) else { return }
        if key.kind == .jobs, ["-scan-", "-inspect-", "-recheck-"].contains(where: key.name.contains) { return }
        // An outcome on its way to the ledger, and no part of a service.
        if key.kind == .configMaps { return }
        guard let run = runs[uid] else { return broken("\(key) was made for a run that never was") }
        guard run.text("status", "plan", "hash") != nil, run.text("status", "state") != "Pending" else {
            return broken("\(key) was made before its run was planned")
        }
        let record = record(of: uid, run)
        guard let record, ["running", "completed"].contains(record.status) else {
            return broken("\(key) was made while the ledger said '\(record?.status ?? "nothing")'")
        }
        let image = change.object.items("spec", "template", "spec", "containers").first?.text("image")
        if key.kind == .statefulSets {
            let copied = run.text("status", "restore", "copied", "service", "image")
            if let wanted = copied ?? run.text("spec", "target", "newService", "image"), wanted != image {
                broken("\(key) runs \(image ?? "nothing"), and \(wanted) was planned")
            }
            let hash = record.planHash
            if hash != run.text("status", "plan", "hash") { broken("\(key): the ledger has another plan") }
        }
    }

    /// What the ledger has of a run. Of one that may begin without it, what is spooled counts until the ledger has more.
    func record(of uid: String, _ run: JSONValue) -> LedgerEntry? {
        let row = world.ledger[ModelLedgerStore.Key(cluster: world.clusterUID, run: uid)]?.columns
        let isBegun = row.map { $0.status != "pending" } ?? false
        let spool = ModelKey(.configMaps, Simulation.controllerNamespace, spoolName(runUID: uid))
        guard !isBegun, run.text("spec", "ledger") == "BestEffort",
            run[path: ["status", "restore", "startedWithoutLedger"]] == true,
            let text = world.api[spool]?.text("data", SpoolBehavior.key),
            let entry = try? JSON.decode(LedgerEntry.self, from: Array(text.utf8)), entry.status == "running"
        else { return row }
        return entry
    }

    /// What holds data goes only with a run that failed before it was opened, and only the very object that it made.
    private func checkTakingAway(_ key: ModelKey, _ object: JSONValue) {
        guard [.statefulSets, .claims, .services, .secrets].contains(key.kind) else { return }
        let uid = object.text("metadata", "labels", Label.runUID) ?? ""
        guard let run = runs[uid] else { return broken("\(key) was deleted, and no run has made it") }
        if isAskedFor(uid) { return }
        let own = object.text("metadata", "uid")
        if opened.contains(uid) { broken("\(key) was deleted although its service had been opened") }
        if run.text("status", "state") == "Completed" { broken("\(key) was deleted although its run is completed") }
        let pin = key.kind == .claims ? "claimUID" : key.kind == .statefulSets ? "targetUID" : nil
        if let pin, let made = run.text("status", "restore", pin), made != own {
            broken("\(key) was deleted, and it is not the one that its run made")
        }
        let isEnding = run[path: ["status", "restore", "ending"]] != nil
        let isGoing = run[path: ["metadata", "deletionTimestamp"]] != nil
        if !isEnding, !isGoing { broken("\(key) was deleted before its run was ending") }
    }

    /// Somebody deletes a clone that takes its service along.
    private func isAskedFor(_ uid: String) -> Bool {
        world.api.all(.clones).contains { _, clone in
            clone[path: ["metadata", "deletionTimestamp"]] != nil && clone.text("spec", "deletionPolicy") == "Delete"
                && runs[uid]?.text("metadata", "labels", Label.cloneUID) == clone.text("metadata", "uid")
        }
    }

    // MARK: Opening

    private func variables(_ set: JSONValue) -> [String] {
        set.items("spec", "template", "spec", "containers").flatMap { $0.items("env") }.compactMap { $0.text("name") }
    }

    /// The server of a quarantined StatefulSet listens to nobody.
    private func isQuarantined(_ set: JSONValue) -> Bool {
        set.items("spec", "template", "spec", "containers").flatMap { $0.items("args") }
            .contains { $0 == "listen_addresses=" }
    }

    private func checkOpening(_ change: ModelAPI.Change) {
        let key = change.key
        guard change.kind != .deleted else { return }
        let setKey = ModelKey(.statefulSets, key.namespace, key.name)
        let isService = key.kind == .services
        if isService, change.object.text("spec", "clusterIP") == "None" { return }
        let set = isService ? world.api[setKey] : change.object
        guard let set, let uid = set.text("metadata", "labels", Label.runUID) else { return }
        let isCloning = variables(set).contains("WALG_CLONE_FROM")
        // Whoever puts it back himself will see what comes of it: that is not our doing.
        let isPodChanged = change.before?[path: ["spec", "template"]] != set[path: ["spec", "template"]]
        if change.writer == "somebody", !isService, isPodChanged { spoiled.insert(uid) }
        if spoiled.contains(uid) { return }
        // One that is left of an earlier run lets nobody in as long as the server listens to nobody.
        let service = isService ? change.object : world.api[ModelKey(.services, key.namespace, key.name)]
        let isServed = service?.text("metadata", "labels", Label.runUID) == uid
        if !isService {
            if let before = change.before, !variables(before).contains("WALG_CLONE_FROM"), isCloning,
                before.text("metadata", "uid") == set.text("metadata", "uid")
            {
                broken("\(key): WALG_CLONE_FROM is back")
            }
            if !isCloning, !isQuarantined(set) { opened.insert(uid) }
        }
        guard isServed else { return }
        opened.insert(uid)
        if isCloning { broken("\(key): clients are let in while WALG_CLONE_FROM is there") }
        if isQuarantined(set) { broken("\(key): clients are let in while it is in quarantine") }
        guard let volume = world.kubelet.volume(key.namespace, "data-\(key.name)-0"), let cluster = volume.cluster
        else {
            if change.before == nil, isService { broken("\(key): clients are let in, and there is no data") }
            return
        }
        if isService, change.before == nil, !cluster.isSealed { broken("\(key): clients are let in before the seal") }
    }

    // MARK: Writes to the ledger

    private func look(at commit: ModelLedgerStore.Commit) {
        let writer = world.api.writer
        let after = commit.after.columns
        if world.incarnations.contains(where: { $0.name == writer }) {
            checkLeader(writer, "wrote the ledger's row of \(after.name)")
        }
        if let before = commit.before?.columns {
            if LedgerWords.isTerminal(before.status), before.status != after.status, !before.inferred {
                broken("the ledger's row of \(after.name) was \(before.status), and then \(after.status)")
            }
        }
        guard after.status == "running" else { return }
        // Whoever reads the ledger after a disaster must find what the object says.
        if let run = runs[after.runUID], run.text("status", "plan", "hash") == nil {
            broken("the ledger says that \(after.name) runs, and it has no plan")
        }
    }
}
