// SPDX-License-Identifier: Apache-2.0

import KubeClient
import Resources
import Seams

/// What an informer watches, and which shelf it keeps.
struct InformerScope: Sendable {
    var place: Place
    var selector: LabelPair?
    var namespace: String?
    /// Only the object of this name.
    var name: String?

    init(_ place: Place, selector: LabelPair? = nil, namespace: String?, name: String? = nil) {
        self.place = place
        self.selector = selector
        self.namespace = namespace
        self.name = name
    }
}

/// Keeps one shelf of the cache in step with the API server.
///
/// Flow: a consistent list; then a watch from its resourceVersion, resumed from the last event or bookmark whenever it
/// ends; a new list when that position has expired. Errors are waited out with a growing pause, forever: what is known
/// stays known meanwhile.
///
/// Guarantees: no event between the list and the watch is missed; a list older than what has been seen is not taken.
/// An object that can't be decoded is marked as such and stops no other.
struct Informer<R: Resource>: Sendable {
    let loop: Loop
    let scope: InformerScope

    /// So many lists in a row may be older than what was seen; then the loop starts afresh.
    private static var patience: Int { 10 }

    /// Runs until the task is cancelled.
    /// - Throws: `CancellationError`; `LoopEnded.timeWentBack`.
    func run() async throws {
        while true {
            let version = try await list()
            try await watch(from: version)
        }
    }

    private var kindName: String { R.resourceKind.kind }
    /// For logs: the kind, and the object if it is one alone.
    private var fields: [String: String] {
        guard let name = scope.name else { return ["kind": kindName] }
        return ["kind": kindName, "object": Ref(R.resourceKind, scope.namespace ?? "", name).description]
    }
    /// In the names of draws: a kind's are not those of an object.
    private var purpose: String { scope.name.map { "\(kindName) \(scope.namespace ?? "")/\($0)" } ?? kindName }
    private var selector: String? { scope.selector.map { "\($0.label)=\($0.value)" } }

    /// Lists until a list is taken.
    /// - Returns: Its resourceVersion.
    private func list() async throws -> String {
        var failures = 0
        var backInTime = 0
        while true {
            let serial = loop.update { $0.nextSerial() }
            do {
                let result = try await loop.client.list(
                    R.self, namespace: scope.namespace, name: scope.name, selector: selector)
                if take(result, begunAt: serial) { return result.resourceVersion }
                backInTime += 1
                loop.note(.warning, LoopEvents.listWentBack, fields)
                if backInTime >= Self.patience { throw LoopEnded.timeWentBack(kind: kindName) }
            } catch let error as APIError {
                try Task.checkCancellation()
                note(error, LoopEvents.listFailed)
                if case .sight(let key, let opening) = scope.place {
                    let refusal = Loop.trouble(error).refusal(of: "object \(fields["object"] ?? kindName)")
                    loop.update { $0.sightFailed(key, opening, refusal) }
                }
            }
            failures += 1
            try await pause(failures, "list")
        }
    }

    private func take(_ result: ListResult<R>, begunAt serial: UInt64) -> Bool {
        let scope = scope
        let isTaken = loop.update { memory in
            memory.replace(
                result.items, result.undecodable, at: result.resourceVersion, begunAt: serial, on: scope.place)
        }
        guard isTaken else { return false }
        for object in result.undecodable { note(object) }
        var fields = fields
        fields["objects"] = "\(result.items.count)"
        if scope.name == nil {
            fields["unreadable"] = "\(result.undecodable.count)"
            loop.note(.info, LoopEvents.listed, fields)
        } else {
            loop.note(.debug, LoopEvents.objectListed, fields)
        }
        return true
    }

    /// Watches until the position has expired.
    private func watch(from version: String) async throws {
        var position = version
        var failures = 0
        while true {
            let began = loop.time.uptime
            let start = position
            do {
                try await follow(&position)
                failures = 0
                // A server that hangs up at once every time must not be called without a pause.
                if position == start, loop.time.uptime.since(began) < 1_000 { failures = 1 }
            } catch let error as APIError {
                try Task.checkCancellation()
                if error.code == .expired || error.code == .lineTooLong || error.code == .undecodable {
                    // The position is too old, or an event can't be got past: only a list goes on from here.
                    loop.note(
                        .info, LoopEvents.watchExpired,
                        fields.merging(["reason": error.code.rawValue]) { _, new in new })
                    if error.code != .expired { try await pause(1, "watch") }
                    return
                }
                failures = position == start ? failures + 1 : 1
                note(error, LoopEvents.watchFailed)
            }
            if failures > 0 { try await pause(failures, "watch") }
        }
    }

    /// One watch, up to its regular end.
    private func follow(_ position: inout String) async throws {
        // Spread, so that not all watches of all kinds end at once.
        let serverTimeout = 300 + Int(loop.entropy.below(300, for: "watch length/\(purpose)"))
        var stream = try await loop.client.watch(
            R.self, namespace: scope.namespace, name: scope.name, selector: selector, from: position,
            serverTimeout: serverTimeout)
        defer { stream.close() }
        let (loop, place) = (loop, scope.place)
        while let event = try await stream.next(unless: { seen in loop.update { $0.holds(seen, on: place) } }) {
            hear(event)
            if !event.resourceVersion.isEmpty { position = event.resourceVersion }
        }
        try Task.checkCancellation()
    }

    private func hear(_ event: WatchEvent<R>) {
        let place = scope.place
        switch event {
        case .added(let object), .modified(let object):
            loop.update { $0.hear(on: place) { $0.put(object, from: .watch) } }
        case .deleted(let object):
            loop.update { $0.hear(on: place) { $0.remove(ObjectName(object), Stamp(object), from: .watch) } }
        case .bookmark(let version), .known(let version):
            loop.update { memory in
                memory.hear(on: place) { shelf in
                    shelf.advance(to: Version(version))
                    return nil
                }
            }
        case .undecodable(let object, .deleted):
            let name = ObjectName(namespace: object.ref.namespace, name: object.ref.name)
            let stamp = Stamp(uid: object.uid, version: Version(object.resourceVersion))
            loop.update { $0.hear(on: place) { $0.remove(name, stamp, from: .watch) } }
        case .undecodable(let object, _):
            loop.update { $0.hear(on: place) { $0.markUnreadable(object) } }
            note(object)
        }
    }

    private func pause(_ failures: Int, _ what: String) async throws {
        let wait = Backoff.watch.wait(failures: failures, entropy: loop.entropy, for: "\(what) backoff/\(purpose)")
        try await loop.time.sleep(until: loop.time.uptime.adding(wait), for: .watchReconnect)
    }

    private func note(_ error: APIError, _ event: String) {
        let trouble = Loop.trouble(error)
        loop.note(
            .warning, event,
            fields.merging(["reason": trouble.reason, "message": trouble.message]) { _, new in new })
    }

    private func note(_ object: UndecodableObject) {
        loop.note(
            .error, LoopEvents.undecodable, ["object": object.ref.description, "message": object.message])
    }
}
