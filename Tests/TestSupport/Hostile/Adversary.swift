// SPDX-License-Identifier: Apache-2.0

import ControlLoop
import JSON
import Resources
import Seams

/// Carries out a fault script in a world, and keeps count of what it did.
package final class Adversary {
    package let bearings: Bearings
    /// Faults that have happened, in order.
    package private(set) var taken: [Fault] = []
    /// Calls by place, whether or not anything happened to them.
    package private(set) var places: [CallPlace: CallTally] = [:]
    /// The moment of the last fault, or of the end of one that lasts.
    package private(set) var calmSince: Int64 = 0
    /// Whether faults still happen.
    package var isArmed = true

    private unowned let world: Simulation
    private var troubles: [CallSite: CallTrouble] = [:]
    private var present: [Int: CallTrouble] = [:]
    private var delayed: Set<Int> = []
    private var looked: Set<Int> = []
    private var ledgerMuteUntil: Int64 = 0
    private var ledgerReadOnlyUntil: Int64 = 0
    private var serverDownUntil: Int64 = 0

    package init(_ world: Simulation, _ script: FaultScript) {
        self.world = world
        bearings = Bearings(world)
        for fault in script.faults {
            switch fault {
            case .call(let site, let trouble): troubles[site] = trouble
            case .world(let at, let trouble):
                world.scheduler.after(at, trouble.rawValue) { [unowned self] in
                    if isArmed { strike(trouble, fault) }
                }
            case .event(let at, let event):
                world.scheduler.after(at, "\(event)") { [unowned self] in
                    guard isArmed else { return }
                    let seconds = length(of: event)
                    if world.happen(event) { note(fault, lasting: 1_000 * seconds) }
                }
            }
        }
        world.wire.interfere = { [unowned self] call, moment in meet(call, moment) }
        // Another object of the same name owes nothing.
        world.api.observers.append { [unowned self] change in
            guard change.kind == .deleted || change.before == nil, !pauses.isEmpty else { return }
            let place = "/\(change.key.kind.plural)/\(change.key.name)"
            pauses = pauses.filter { !$0.key.contains(place) }
        }
    }

    /// Somebody has taken things apart, or broken them.
    package var isTouched: Bool {
        taken.contains { if case .event(_, let event) = $0 { !event.isHarmless } else { false } }
    }

    /// How many Jobs somebody has deleted.
    package private(set) var deletedJobs = 0

    /// Writes that were sent again although their pause was not over, in words.
    package private(set) var impatience: [String] = []
    /// Until when a write is not to be sent again, by who sends what.
    private var pauses: [String: Int64] = [:]

    /// How often a write was struck in a row, by who sends what.
    private var failures: [String: Int] = [:]

    /// A server that asks for a pause gets it.
    private func judgePatience(_ call: WireCall) {
        guard call.isWrite, !call.isAboutLease else { return }
        // Of two runs that write to one object each waits for itself.
        let what = "\(call.incarnation): \(call.verb) \(call.target) \(call.name ?? "") \(call.digest)"
        if let end = pauses[what], world.scheduler.now < end {
            impatience.append(
                "at \(world.scheduler.now) ms: \(what) comes again \(end - world.scheduler.now) ms too early")
        }
        guard let trouble = present[call.number] else { return }
        // A controller remembers one failure of an object: with the next one, the pause of the one before is over.
        pauses = pauses.filter { !$0.key.hasPrefix("\(call.incarnation): ") }
        if let pause = trouble.pause { pauses[what] = world.scheduler.now + pause }
    }

    /// No fault is at work, and none that depends on time is to come.
    package var isCalm: Bool { world.scheduler.now >= calmSince }

    // MARK: Calls

    private func meet(_ call: WireCall, _ moment: WireMoment) -> Interference {
        if moment == .arriving, present[call.number] == nil, let outage = outage(of: call) { return outage }
        guard isArmed else { return .none }
        if moment == .arriving, looked.insert(call.number).inserted {
            look(at: call)
            judgePatience(call)
        }
        guard let trouble = present[call.number] else { return .none }
        if trouble == .late {
            // It arrives again when the time is over.
            guard moment == .arriving, delayed.insert(call.number).inserted else { return .none }
            return .delay(5_000)
        }
        return meet(trouble, call, moment)
    }

    /// Finds out whether something is to happen to this call.
    private func look(at call: WireCall) {
        let place = bearings.place(of: call)
        let now = world.scheduler.now
        let count = places[place, default: CallTally(first: now)].note(at: now)
        let site = CallSite(count, place)
        let what = "\(call.incarnation): \(call.verb) \(call.target) \(call.name ?? "")"
        guard let trouble = troubles[site], trouble.canHappen(to: place.call) else {
            if call.isWrite { failures[what] = nil }
            return
        }
        present[call.number] = trouble
        // The pause after a refusal grows with each failure right before it.
        let before = call.isWrite ? failures[what, default: 0] : 0
        if call.isWrite { failures[what] = before + 1 }
        let isRefusal = trouble == .unprocessable || trouble == .forbidden
        let pause: Int64 = isRefusal && before > 2 ? min(300_000, 5_000 << Int64(min(before, 6))) : 0
        note(.call(site, trouble), lasting: max(pause, Self.length(of: trouble, place.call)))
    }

    /// How long it may take until the caller knows.
    private static func length(of trouble: CallTrouble, _ call: CallName) -> Int64 {
        switch trouble {
        case .late: 5_000
        // Another one starts, and waits until the lease of the one before has run out.
        case .diesBefore, .diesCommitted, .diesAnswered: 20_000
        case .timesOut, .timesOutCommitted: call.isLedger ? 0 : 30_000
        case .throttled: 7_000
        // Refused for good, and tried again all the same, later.
        case .unprocessable: 45_000
        default: 0
        }
    }

    /// How long something lasts that somebody does, in seconds.
    private func length(of event: WorldEvent) -> Int64 {
        guard case .edit(let key, .scale(0)) = event else { return event.seconds }
        // A run scales its StatefulSet back once. One that is open, or it happens to again, is waited for for as long.
        let isOpen = ["Seal", "Open"].contains(bearings.step(of: key.name))
        let isAgain = taken.contains { if case .event(_, event) = $0 { true } else { false } }
        // Whoever does that to a service whose data was replaced decides on it.
        return isOpen || isAgain || key.name == UserService.name ? 900 : 0
    }

    private func note(_ fault: Fault, lasting: Int64) {
        taken.append(fault)
        calmSince = max(calmSince, world.scheduler.now + lasting)
    }

    private func meet(_ trouble: CallTrouble, _ call: WireCall, _ moment: WireMoment) -> Interference {
        switch (trouble, moment) {
        case (.diesBefore, .arriving), (.diesCommitted, .answering), (.diesAnswered, .answered):
            die(call.incarnation)
            return .none
        case (.unreachable, .arriving): return .fail(ExchangeError(.unreachable, "no connection"))
        case (.timesOut, .arriving), (.timesOutCommitted, .answering):
            return silence(call)
        case (.lostCommitted, .answering): return .fail(ExchangeError(.connectionLost, "the connection was lost"))
        case (.garbled, .answering):
            return .answer(
                HTTPResponse(
                    status: 200, headers: [HTTPHeader("Content-Type", "application/json")],
                    body: Array(#"{"kind":"Status","metadata":{"res"#.utf8)))
        case (_, .arriving): return Self.answer(trouble).map { .answer($0) } ?? .none
        default: return .none
        }
    }

    /// A ledger's call has no patience of its own: the connection's keepalive ends it.
    private func silence(_ call: WireCall) -> Interference {
        guard CallName.ledgerVerbs.contains(call.verb) else { return .silence }
        return .fail(ExchangeError(.timedOut, "the ledger did not answer"))
    }

    private static func answer(_ trouble: CallTrouble) -> HTTPResponse? {
        func status(_ code: Int, _ reason: String, _ message: String, after seconds: Int? = nil) -> HTTPResponse {
            var body: JSONValue = [
                "kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Failure",
                "message": .string(message), "reason": .string(reason), "code": .integer(Int64(code)),
            ]
            var headers = [HTTPHeader("Content-Type", "application/json")]
            if let seconds {
                body.set(["details"], ["retryAfterSeconds": .integer(Int64(seconds))])
                headers.append(HTTPHeader("Retry-After", "\(seconds)"))
            }
            return HTTPResponse(status: code, headers: headers, body: body.bytes)
        }
        switch trouble {
        case .conflict:
            return status(409, "Conflict", "Operation cannot be fulfilled: the object has been modified")
        case .gone: return status(410, "Expired", "too old resource version")
        case .unprocessable: return status(422, "Invalid", "is invalid: a webhook does not like it")
        case .throttled: return status(429, "TooManyRequests", "too many requests", after: 7)
        case .throttledPlainly: return status(429, "TooManyRequests", "too many requests")
        case .internalError: return status(500, "InternalError", "etcdserver: leader changed")
        case .unavailable: return status(503, "ServiceUnavailable", "apiserver is shutting down", after: 1)
        case .unauthorized: return status(401, "Unauthorized", "Unauthorized")
        case .forbidden: return status(403, "Forbidden", "is forbidden: RBAC was changed")
        default: return nil
        }
    }

    // MARK: The world

    /// What lasts and concerns every call.
    private func outage(of call: WireCall) -> Interference? {
        let now = world.scheduler.now
        let isLedger = CallName.ledgerVerbs.contains(call.verb)
        if isLedger, now < ledgerMuteUntil {
            return .delay(ledgerMuteUntil - now)
        }
        if ["RECORD", "PRESUME"].contains(call.verb), now < ledgerReadOnlyUntil {
            return .fail(ExchangeError(.connectionLost, "cannot execute INSERT in a read-only transaction"))
        }
        if !isLedger, now < serverDownUntil { return .fail(ExchangeError(.unreachable, "connection refused")) }
        return nil
    }

    private func die(_ name: String) {
        guard let incarnation = world.incarnations.first(where: { $0.name == name && $0.end == nil }) else { return }
        die(incarnation)
    }

    private func die(_ incarnation: Incarnation) {
        world.kill(incarnation)
        world.scheduler.after(1_000, "a new incarnation") { [unowned world] in world.start() }
    }

    private var leader: Incarnation? {
        world.incarnations.last { $0.end == nil && $0.state.facts.isLeading }
    }

    private func strike(_ trouble: WorldTrouble, _ fault: Fault) {
        let wire = world.wire
        let now = world.scheduler.now
        func lag(_ plurals: [String]) {
            for plural in plurals { wire.holdBack(plural, until: now + 20_000) }
            note(fault, lasting: 20_000)
        }
        switch trouble {
        case .watchesCut:
            wire.breakWatches()
            note(fault, lasting: 0)
        case .historyForgotten:
            world.api.compact()
            wire.breakWatches()
            note(fault, lasting: 0)
        case .watchesSilent:
            wire.muteWatches()
            // It takes the client's patience to notice.
            note(fault, lasting: 150_000)
        case .runsLag: lag(["restoreruns"])
        case .workloadsLag: lag(["statefulsets", "pods"])
        case .claimsLag: lag(["persistentvolumeclaims", "services"])
        case .jobsLag: lag(["jobs"])
        case .eventsTwice:
            for kind in ModelKind.all { wire.tellTwice(kind.plural, until: now + 20_000) }
            note(fault, lasting: 20_000)
        case .logsCut:
            wire.breakFollows()
            note(fault, lasting: 0)
        case .leaderFrozen, .leaderDies, .clockForward, .clockBack: strikeLeader(trouble, fault)
        case .ledgerDown, .ledgerMute, .ledgerReadOnly, .serverDown: strikeServers(trouble, fault)
        case .leaseTaken, .jobsDeleted, .strangerLabels: strikeObjects(trouble, fault)
        }
    }

    private func strikeLeader(_ trouble: WorldTrouble, _ fault: Fault) {
        guard let leader else { return }
        switch trouble {
        case .leaderFrozen:
            world.freeze(leader)
            world.scheduler.after(60_000, "thaw") { [unowned world] in world.thaw(leader) }
            note(fault, lasting: 60_000)
        case .clockForward:
            leader.time.wallError += 3_600_000
            note(fault, lasting: 0)
        case .clockBack:
            leader.time.wallError -= 3_600_000
            note(fault, lasting: 0)
        default:
            die(leader)
            note(fault, lasting: 20_000)
        }
    }

    private func strikeServers(_ trouble: WorldTrouble, _ fault: Fault) {
        let now = world.scheduler.now
        switch trouble {
        case .ledgerDown:
            world.ledger.setDown(true)
            world.scheduler.after(30_000, "ledger up") { [unowned world] in world.ledger.setDown(false) }
            note(fault, lasting: 30_000)
        case .ledgerMute:
            ledgerMuteUntil = now + 30_000
            note(fault, lasting: 30_000)
        case .ledgerReadOnly:
            ledgerReadOnlyUntil = now + 30_000
            note(fault, lasting: 30_000)
        default:
            // Longer than a leader goes on without its Lease.
            serverDownUntil = now + 25_000
            world.wire.breakWatches()
            world.wire.breakFollows()
            note(fault, lasting: 25_000)
        }
    }

    private func strikeObjects(_ trouble: WorldTrouble, _ fault: Fault) {
        let api = world.api
        func label(_ kinds: [ModelKind], in namespace: String?) {
            for kind in kinds {
                for (key, _) in api.all(kind, in: namespace) {
                    api.acting(as: "somebody") {
                        api.change(key) { $0.set(["metadata", "labels", "example.com/seen"], "yes") }
                    }
                }
            }
        }
        switch trouble {
        case .leaseTaken: label([.leases], in: nil)
        case .jobsDeleted:
            for (key, _) in api.all(.jobs) {
                deletedJobs += 1
                api.acting(as: "somebody") { api.delete(key) }
            }
        default: label([.statefulSets, .claims], in: nil)
        }
        note(fault, lasting: 0)
    }
}
