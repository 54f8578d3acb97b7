// SPDX-License-Identifier: Apache-2.0

package import ControlLoop
package import JSON
import Reconciler
import Resources
package import Seams
import Wiring

/// One life of the controller's process in a simulated world.
package final class Incarnation: @unchecked Sendable {
    package enum End: Equatable, Sendable {
        case stopped
        case ended(LoopEnded)
        case killed
        case failed(String)
    }

    package let name: String
    package let executor: DeterministicExecutor
    package let port: Port
    package let journal: RecordingJournal
    package let time: VirtualTimekeeper
    package let stop = StopSignal()
    package let state = LoopState()
    /// `nil` while it lives.
    package fileprivate(set) var end: End?
    /// A task of it went on after it was killed.
    package fileprivate(set) var isStuck = false
    fileprivate var task: Task<Void, Never>?

    fileprivate init(_ name: String, _ scheduler: Scheduler) {
        self.name = name
        executor = DeterministicExecutor(scheduler)
        port = Port(name)
        journal = RecordingJournal(scheduler)
        time = VirtualTimekeeper(scheduler)
    }
}

/// Passes on what the ledger's store tells, on the world's thread.
private final class LedgerRelay: @unchecked Sendable {
    var observers: [(ModelLedgerStore.Commit) -> Void] = []

    func hear(_ commit: ModelLedgerStore.Commit) {
        for observer in observers { observer(commit) }
    }
}

/// A small deterministic world: a cluster, a ledger, object stores, and any number of controllers.
///
/// The same seed and the same story give the same trace, byte for byte, in one build. Only the thread that made it may
/// touch it.
package final class Simulation: @unchecked Sendable {
    package let seed: UInt64
    package let scheduler: Scheduler
    package let api: ModelAPI
    package let wire: ModelWire
    package let stores: ModelStores
    package let cluster: ModelCluster
    package let ledger: ModelLedgerStore
    private let relay = LedgerRelay()
    /// Whether incarnations keep what they tell; without it a schedule is cheaper.
    package var keepsJournals = true
    package let behaviors: BehaviorSet
    package private(set) var incarnations: [Incarnation] = []
    package var kubelet: ModelKubelet { cluster.kubelet }
    package static let controllerNamespace = "reprise-system"

    package init(seed: UInt64 = 1, behaviors: BehaviorSet = .reprise(in: "reprise-system")) {
        self.seed = seed
        self.behaviors = behaviors
        scheduler = Scheduler(seed: seed)
        api = ModelAPI(scheduler, seed: seed)
        wire = ModelWire(scheduler, api, seed: seed)
        stores = ModelStores(scheduler)
        cluster = ModelCluster(api, wire, stores)
        ledger = ModelLedgerStore { [relay] commit in relay.hear(commit) }
        api.addNamespace(Self.controllerNamespace)
    }

    deinit {
        for incarnation in incarnations where incarnation.end == nil { kill(incarnation) }
        // What is still to come holds everything else, in circles.
        scheduler.end()
        wire.end()
        api.end()
    }

    package var clusterUID: String {
        api[ModelKey(.namespaces, "", "kube-system")]?.text("metadata", "uid") ?? ""
    }

    /// Hears of each change of a row in the ledger: for invariants.
    package func observeLedger(_ observer: @escaping (ModelLedgerStore.Commit) -> Void) {
        relay.observers.append(observer)
    }

    // MARK: Controllers

    /// The times of leader election.
    package var election = ElectionTimes()

    /// Whether a process that has ended by itself is started again, as a Deployment does.
    package var supervises = false

    private func processEnded() {
        guard supervises else { return }
        scheduler.after(1_000, "a new incarnation") { [weak self] in self?.start() }
    }

    @discardableResult
    package func start(_ name: String = "controller") -> Incarnation {
        let number = incarnations.count
        let incarnation = Incarnation("\(name)-\(number)", scheduler)
        incarnation.journal.keepsEvents = keepsJournals
        incarnations.append(incarnation)
        let settings = Settings(
            agentImage: ModelImages.agent, controllerNamespace: Self.controllerNamespace)
        var prepared = LoopConfiguration(
            settings: settings, identity: incarnation.name, stop: incarnation.stop, state: incarnation.state)
        prepared.election = election
        let configuration = prepared
        let surroundings = Surroundings(
            executor: incarnation.executor, exchange: ModelExchange(wire, incarnation.port),
            ledger: WiredLedger(wire, incarnation.port, ledger, cluster: clusterUID), time: incarnation.time,
            entropy: KeyedEntropy(seed: keyedHash(seed, "incarnation", UInt64(number))),
            journal: incarnation.journal)
        let behaviors = behaviors
        incarnation.task = Task(executorPreference: incarnation.executor) { [weak self] in
            let end: Incarnation.End
            do {
                try await runControlLoop(behaviors, configuration: configuration, in: surroundings)
                end = .stopped
            } catch let ended as LoopEnded {
                end = .ended(ended)
            } catch is CancellationError {
                end = .killed
            } catch {
                end = .failed("\(error)")
            }
            incarnation.end = end
            if case .ended = end { self?.processEnded() }
        }
        return incarnation
    }

    /// Ends an incarnation as a crash does: nothing of it reaches the world any more, and it unwinds into the void.
    package func kill(_ incarnation: Incarnation) {
        guard incarnation.end == nil else { return }
        incarnation.port.sever()
        incarnation.task?.cancel()
        incarnation.executor.isFrozen = false
        scheduler.drain(incarnation.executor)
        if incarnation.end == nil { incarnation.isStuck = true }
    }

    /// Stops an incarnation as a suspended machine does; the world goes on.
    package func freeze(_ incarnation: Incarnation) { incarnation.executor.isFrozen = true }
    package func thaw(_ incarnation: Incarnation) { incarnation.executor.isFrozen = false }

    // MARK: Time

    /// Lets time pass.
    @discardableResult
    package func run(seconds: Int64) -> Standstill { scheduler.run(until: scheduler.now + seconds * 1_000) }

    /// Lets time pass until the condition holds.
    /// - Returns: Whether it does.
    package func run(atMost seconds: Int64, until condition: () -> Bool) -> Bool {
        let limit = scheduler.now + seconds * 1_000
        while !condition() {
            guard scheduler.now < limit else { return false }
            // Looked at after each write and twice a second: after each job it would be most of the work.
            let revision = api.revision
            let end = scheduler.run(until: min(limit, scheduler.now + 500)) { api.revision == revision }
            if end == .livelock || end == .deadlock { return condition() }
        }
        return true
    }

    /// Lets time pass until no controller has written anything but its lease for a while.
    package func runUntilQuiet(_ quiet: Int64 = 60, atMost seconds: Int64 = 7_200) -> Bool {
        var writes = writeCount
        var since = scheduler.now
        return run(atMost: seconds) {
            if writeCount != writes {
                writes = writeCount
                since = scheduler.now
            }
            return scheduler.now - since >= quiet * 1_000
        }
    }

    /// Writes of all controllers, but for the lease.
    package var writeCount: Int { wire.writeCount }

    /// Passes of all controllers.
    package var passCount: Int { incarnations.reduce(0) { $0 + $1.state.facts.passes } }

    // MARK: People

    /// Sends a request as a person does, at once.
    @discardableResult
    package func user(_ method: HTTPMethod, _ key: ModelKey, _ body: JSONValue? = nil) -> HTTPResponse {
        let root = key.kind.group.isEmpty ? "/api/\(key.kind.version)" : "/apis/\(key.kind.apiVersion)"
        let collection = "\(root)/namespaces/\(key.namespace)/\(key.kind.plural)"
        let type = method == .patch ? "application/merge-patch+json" : "application/json"
        let request = HTTPRequest(
            method, method == .post ? collection : "\(collection)/\(key.name)",
            headers: [HTTPHeader("Content-Type", type)], body: body?.bytes ?? [])
        return api.acting(as: "user") { api.handle(request) }
    }

    /// As `kubectl apply` does: makes it, or changes what the manifest names.
    @discardableResult
    package func apply(_ manifest: JSONValue) -> HTTPResponse {
        guard let kind = ModelKind.all.first(where: { $0.kind == manifest.text("kind") }) else {
            return ModelRefusal.unknownPath.response
        }
        let key = ModelKey(
            kind, manifest.text("metadata", "namespace") ?? "default", manifest.text("metadata", "name") ?? "")
        if api[ModelKey(.namespaces, "", key.namespace)] == nil { api.addNamespace(key.namespace) }
        return user(api[key] == nil ? .post : .patch, key, manifest)
    }
}
