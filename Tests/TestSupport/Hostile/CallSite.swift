// SPDX-License-Identifier: Apache-2.0

package import JSON
import Resources

/// What a call is: the verb and what it is about, without the name. `PUT restoreruns/status`, `RECORD running`.
package struct CallName: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var verb: String
    package var what: String

    package init(_ verb: String, _ what: String) {
        self.verb = verb
        self.what = what
    }

    package static func < (left: CallName, right: CallName) -> Bool {
        (left.what, left.verb) < (right.what, right.verb)
    }

    package var description: String { "\(verb) \(what)" }

    package static let ledgerVerbs: Set = ["ASK", "RECORD", "SEEK", "PRESUME"]
    /// A call of the ledger, and not of the API server.
    package var isLedger: Bool { Self.ledgerVerbs.contains(verb) }
    package var isStream: Bool { verb == "WATCH" || verb == "FOLLOW" }
    package var isWrite: Bool { ["POST", "PUT", "PATCH", "DELETE", "RECORD", "PRESUME"].contains(verb) }
}

/// A call by its meaning: what it is, whom it is about, and where that one stands.
package struct CallPlace: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var call: CallName
    /// The service that it is about; `-` when it is about none.
    package var subject: String
    /// Where the run stands that the call names, or else that service's; `several` while more than one run is about it.
    package var step: String

    package init(_ call: CallName, of subject: String, at step: String) {
        self.call = call
        self.subject = subject
        self.step = step
    }

    package static func < (left: CallPlace, right: CallPlace) -> Bool {
        (left.call, left.subject, left.step) < (right.call, right.subject, right.step)
    }

    package var description: String { "\(call) of \(subject) at \(step)" }
}

/// The first, second, ... call of a place in a schedule, whoever makes it.
package struct CallSite: Hashable, Sendable, CustomStringConvertible {
    package var ordinal: Int
    package var place: CallPlace

    package init(_ ordinal: Int, _ place: CallPlace) {
        self.ordinal = ordinal
        self.place = place
    }

    package var description: String { "call \(ordinal) of \(place)" }
}

/// How often there was a call of a place, and when.
package struct CallTally: Sendable {
    package private(set) var count = 0
    /// When the first one arrived, in milliseconds.
    package let first: Int64
    /// When the last one arrived.
    package private(set) var last: Int64 = 0

    package init(first: Int64) { self.first = first }

    /// - Returns: Which one it is.
    mutating func note(at moment: Int64) -> Int {
        count += 1
        last = moment
        return count
    }
}

/// Tells of each call what it means. It follows the runs as they are committed, so that names made of a run's UID lead
/// back to the service that the run is about.
package final class Bearings {
    /// By a run's UID, what begins the names that are made of it, and its name: the service, and the run.
    private var subjects: [String: (service: String, run: String)] = [:]
    /// By the UID of a run, and by the service whose runs they are: then it is that of the one that has moved last.
    private var steps: [String: String] = [:]
    private var services: [String] = []
    /// By service, the UIDs of its runs that have not ended.
    private var open: [String: Set<String>] = [:]
    private var routes: [String: (verb: String, name: CallName, object: String)] = [:]

    private let targets: ModelRoutes

    package init(_ world: Simulation) {
        targets = world.api.routes
        world.api.observers.append { [unowned self] change in
            if change.key.kind == .runs { follow(change.object, isGone: change.kind == .deleted) }
        }
    }

    /// What a run's status says about where it stands.
    package static func step(of run: JSONValue) -> String {
        let status = run["status"]
        guard let state = status?.text("state") else { return "New" }
        guard ["Pending", "Running"].contains(state) else { return "Ended" }
        if status?[path: ["restore", "ending"]] != nil { return "Ending" }
        if let last = status?.items("restore", "completedSteps").last?.string { return last }
        return status?.text("plan", "hash") == nil ? "Planning" : "Planned"
    }

    /// The service that a run makes, or whose data it replaces.
    package static func target(of run: JSONValue) -> String? {
        run.text("spec", "target", "newService", "name") ?? run.text("spec", "target", "service", "name")
    }

    private func follow(_ run: JSONValue, isGone: Bool) {
        guard let uid = run.text("metadata", "uid"), let name = run.text("metadata", "name") else { return }
        let service = Self.target(of: run) ?? name
        if subjects[uid] == nil {
            for key in [uid, String(uid.replacing("-", with: "").prefix(13)), name] { subjects[key] = (service, uid) }
            if !services.contains(service) {
                services.append(service)
                services.sort { $0.count > $1.count }
            }
        }
        let step = Self.step(of: run)
        if isGone || step == "Ended" {
            open[service]?.remove(uid)
        } else {
            open[service, default: []].insert(uid)
        }
        steps[service] = step
        steps[uid] = step
    }

    /// Where the run of a service stands, now.
    package func step(of service: String) -> String { steps[service] ?? "-" }

    /// The place of a call, now.
    package func place(of call: WireCall) -> CallPlace {
        let (name, object) = names(of: call)
        let (service, run) = subject(of: object)
        if let step = run.flatMap({ steps[$0] }) { return CallPlace(name, of: service, at: step) }
        // Which of them asks can't be told, and the one that has moved last is it by chance.
        let isShared = open[service].map { $0.count > 1 } ?? false
        return CallPlace(name, of: service, at: isShared ? "several" : step(of: service))
    }

    private func names(of call: WireCall) -> (CallName, String) {
        if let known = routes[call.target], known.verb == call.verb {
            return (known.name, call.name ?? known.object)
        }
        let found = readNames(of: call)
        routes[call.target] = (call.verb, found.name, found.object)
        return (found.name, call.name ?? found.object)
    }

    private func readNames(of call: WireCall) -> (name: CallName, object: String) {
        if call.target.hasPrefix("ledger/") {
            let parts = call.target.split(separator: "/").map(String.init)
            // ledger/<name>/<status>/<phase> or ledger/<uid>
            guard parts.count > 2 else { return (CallName(call.verb, "ledger"), parts.count > 1 ? parts[1] : "") }
            return (CallName(call.verb, parts[2]), parts[1])
        }
        guard let route = try? targets.route(call.target) else { return (CallName(call.verb, "?"), "") }
        var what = route.kind.plural
        if let subresource = route.subresource { what += "/\(subresource)" }
        let verb = call.verb == "GET" && route.name == nil ? "LIST" : call.verb
        // A list or watch of one object is told from those of its kind by whom it is about.
        return (CallName(verb, what), route.name ?? route.selectedName ?? "")
    }

    private func subject(of object: String) -> (service: String, run: String?) {
        if object.isEmpty { return ("-", nil) }
        if let known = subjects[object] { return known }
        if object.hasPrefix("reprise-") {
            let rest = object.dropFirst("reprise-".count)
            let mark = String(rest.prefix { $0 != "-" })
            if let known = subjects[mark] { return known }
            if rest.hasPrefix("spool-"), let known = subjects[String(rest.dropFirst("spool-".count))] { return known }
        }
        let found = services.first { service in
            object == service || object.hasPrefix("\(service)-") || object.hasSuffix("-\(service)-0")
        }
        return (found ?? "-", nil)
    }
}
