// SPDX-License-Identifier: Apache-2.0

import JSON
import Reconciler
import Resources

/// What must hold when a story has come to its end.
extension Invariants {
    /// - Parameter isTouched: Somebody has taken things apart: what is left of them proves nothing.
    package func checkEnd(of world: Simulation, isTouched: Bool = false) {
        if !isTouched { for words in world.kubelet.violations { broken(words) } }
        if world.scheduler.foreign > 0 { broken("\(world.scheduler.foreign) jobs ran outside of the executor") }
        for incarnation in world.incarnations {
            if incarnation.isStuck { broken("\(incarnation.name) went on after it was killed") }
            if case .failed(let words) = incarnation.end { broken("\(incarnation.name) failed: \(words)") }
        }
        checkRecords(world)
        checkUserEnd(isTouched: isTouched)
        if !isTouched { checkLeftovers(world) }
        for put in world.stores.puts where put.bucket == "prod" && put.by != "somebody" {
            broken("\(put.by) wrote \(put.key) into the source's bucket")
        }
    }

    /// Told without a fault, a story costs no more than it needs, and no run says that it could not look.
    func checkCosts(of stage: Stage, atMost most: Int?) {
        let calls = stage.world.wire.calls.count { !$0.isAboutLease }
        if let most, calls > most { broken("\(calls) calls, and \(most) are enough") }
        for run in stage.runs where run.text("status", "restore", "unreadableSince") != nil {
            broken("\(run.text("metadata", "name") ?? "") says that something can't be read, and all can")
        }
    }

    /// Each run has one row, and it says what the object says.
    private func checkRecords(_ world: Simulation) {
        var rows = Dictionary(grouping: world.ledger.runs, by: \.key.run).mapValues { $0.map(\.run.columns) }
        for (key, run) in world.api.all(.runs) {
            let uid = run.text("metadata", "uid") ?? ""
            let found = rows.removeValue(forKey: uid) ?? []
            let state = run.text("status", "state") ?? "-"
            guard found.count == 1, let row = found.first else {
                broken("\(key) has \(found.count) rows in the ledger")
                continue
            }
            if row.status != state.lowercased() { broken("\(key) is \(state), and the ledger says \(row.status)") }
            if !run.items("metadata", "finalizers").isEmpty { broken("\(key) has ended, and a finalizer holds it") }
        }
        for (uid, left) in rows {
            for row in left where !LedgerWords.isTerminal(row.status) {
                broken("the run \(row.name) (\(uid)) is gone, and the ledger says that it is \(row.status)")
            }
            if left.count > 1 { broken("the run \(uid) has \(left.count) rows in the ledger") }
        }
    }

    /// Of a run that did not complete nothing is left that holds data or lets anybody in; unless it had been opened.
    private func checkLeftovers(_ world: Simulation) {
        for kind in [ModelKind.statefulSets, .claims, .services] {
            for (key, object) in world.api.all(kind) {
                guard let uid = object.text("metadata", "labels", Label.runUID) else { continue }
                guard let run = run(uid) else {
                    broken("\(key) belongs to no run")
                    continue
                }
                // Of a StatefulSet that somebody has made again, everything is left to him.
                let set = world.api[ModelKey(.statefulSets, key.namespace, service(of: key))]
                let isTheirs =
                    set?.text("metadata", "labels", Label.runUID) == uid && !isMade(set?.text("metadata", "uid"))
                if isTheirs || !isMade(object.text("metadata", "uid")) { continue }
                let state = run.text("status", "state")
                if state != "Completed", !isOpened(uid) { broken("\(key) is left of a run that is \(state ?? "new")") }
            }
        }
        for (key, set) in world.api.all(.statefulSets) where set.text("metadata", "labels", Label.runUID) != nil {
            checkData(key, set, world)
        }
    }

    /// The service that an object belongs to, by its name.
    private func service(of key: ModelKey) -> String {
        switch key.kind {
        case .claims: String(key.name.dropFirst("data-".count).dropLast("-0".count))
        case .services where key.name.hasSuffix("-pods"): String(key.name.dropLast("-pods".count))
        default: key.name
        }
    }

    /// A service that runs serves what was restored, sealed, with the password that its Secret has.
    private func checkData(_ key: ModelKey, _ set: JSONValue, _ world: Simulation) {
        guard let uid = set.text("metadata", "labels", Label.runUID), let run = run(uid),
            run.text("status", "state") == "Completed"
        else { return }
        // Whoever deletes the data gets an empty volume: that is not what was restored.
        let claim = world.api[ModelKey(.claims, key.namespace, "data-\(key.name)-0")]
        if let claim, claim.text("metadata", "uid") != run.text("status", "restore", "claimUID") { return }
        guard let cluster = world.kubelet.volume(key.namespace, "data-\(key.name)-0")?.cluster else {
            return broken("\(key): its run is completed, and its volume is empty")
        }
        if !cluster.isSealed { broken("\(key): its run is completed, and its data is not sealed") }
        let sealed = run[path: ["status", "restore", "sealed"]]
        if sealed?.text("systemIdentifier") != cluster.systemIdentifier || sealed?.integer("rolesReset") == nil {
            broken(
                "\(key): its run does not say what was sealed: \(sealed.map { String(decoding: $0.bytes, as: UTF8.self) } ?? "-")"
            )
        }
        if cluster.password != world.secretText(key.namespace, "\(key.name)-credentials", "password") {
            broken("\(key): its password is not the one in its Secret")
        }
    }

    /// What clients write when a story is over.
    static let laterRow = "written later"

    /// Clients write into every service that is open and has a base backup of its own.
    /// - Returns: The services.
    func clientsCommit(in world: Simulation) -> [ModelKey] {
        let services: [ModelKey] = world.api.all(.runs).compactMap { key, run in
            guard run.text("status", "state") == "Completed",
                Story.condition(run, "FreshBackup")?.text("status") == "True",
                let name = run.text("spec", "target", "newService", "name"),
                // People may have taken it away since.
                world.api[ModelKey(.statefulSets, key.namespace, name)]?.integer("status", "readyReplicas") == 1
            else { return nil }
            if !world.kubelet.commit(Self.laterRow, in: ModelKey(.pods, key.namespace, "\(name)-0")) {
                broken("\(name) is open, and takes nothing that clients write")
            }
            return ModelKey(.statefulSets, key.namespace, name)
        }
        guard user != nil else { return services }
        let key = ModelKey(.statefulSets, Story.space, UserService.name)
        guard world.api[key]?.integer("status", "readyReplicas") == 1 else { return services }
        if !world.kubelet.commit(Self.laterRow, in: ModelKey(.pods, Story.space, "\(UserService.name)-0")) {
            broken("\(key) runs, and takes nothing that clients write")
        }
        return services + [key]
    }

    /// A restore from a service's own archive would bring back what the service serves.
    func checkWayBack(of services: [ModelKey], in world: Simulation) {
        for key in services {
            let served = world.kubelet.volume(key.namespace, "data-\(key.name)-0")?.cluster?.rows
            let set = world.api[key] ?? .null
            let place = set.items("spec", "template", "spec", "containers").flatMap { $0.items("env") }
                .first { $0.text("name") == "WALG_S3_PREFIX" }?.text("value").map { "\($0.dropFirst(5))/15" }
            let archive = place.flatMap { world.stores.archives[$0] }
            let restored = archive.flatMap { archive in
                archive.latest.map { archive.replayed(from: $0, upTo: nil).rows }
            }
            if restored == nil || restored != served {
                broken(
                    "\(key) serves \(served ?? []), and a restore from \(place ?? "nowhere") would yield "
                        + "\(restored ?? [])")
            }
        }
    }
}
