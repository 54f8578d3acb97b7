// SPDX-License-Identifier: Apache-2.0

import ControlLoop
import JSON
import Reconciler
import Resources

/// Watches StatefulSets that somebody else made, scales and marks them, and says what it sees.
enum LookoutBehavior: Behavior {
    typealias Object = Widget
    typealias Status = Widget.Status

    struct Snapshot: Equatable, Sendable {
        var widget: Widget
        var sets: [Observed<StatefulSet>] = []
    }

    static let mark = "reprise.dev/run"

    static func observe(_ object: Widget, through reader: inout some Reader) -> Snapshot {
        let space = object.metadata.namespace ?? ""
        var snapshot = Snapshot(widget: object)
        for name in object.spec?.watches ?? [] {
            var set: Observed<StatefulSet> = .absent(confirmed: false)
            if object.spec?.isBlind != true { set = reader.watched(StatefulSet.self, space, name) }
            if case .absent = set, object.spec?.isSure == true {
                set = reader.confirmed(StatefulSet.self, space, name)
            }
            snapshot.sets.append(set)
        }
        return snapshot
    }

    static func decide(_ snapshot: Snapshot, at now: Timestamp) -> Decision<Widget.Status> {
        let spec = snapshot.widget.spec
        var decision = Decision<Widget.Status>()
        // What is unknown changes nothing.
        if snapshot.sets.contains(where: \.isUnknown) { return decision }
        var status = snapshot.widget.status ?? Widget.Status()
        status.seen = zip(spec?.watches ?? [], snapshot.sets).map { "\($0) \(words($1))" }.joined(separator: ", ")
        decision.status = status
        guard let set = snapshot.sets.first?.value else { return decision }
        if let replicas = spec?.replicas, set.spec?.replicas != replicas {
            decision.effects.append(.scale(set.seen, generation: set.metadata.generation ?? 0, to: replicas))
        }
        if let wanted = spec?.mark, set.metadata.annotations?[mark] ?? "" != wanted {
            decision.effects.append(.annotate(set.seen, [mark: wanted.isEmpty ? nil : wanted]))
        }
        return decision
    }

    private static func words(_ set: Observed<StatefulSet>) -> String {
        switch set {
        case .unknown: "unknown"
        case .absent(let confirmed): confirmed ? "surely gone" : "gone"
        case .present(let set):
            "\(set.spec?.replicas ?? 1)\(set.metadata.annotations?[mark].map { " \($0)" } ?? "")"
        }
    }

    static func notices(from old: Widget.Status?, to new: Widget.Status) -> [Notice] { [] }

    static var set: BehaviorSet {
        BehaviorSet([BoundBehavior(LookoutBehavior.self)], watching: [.children(StatefulSet.self)])
    }
}

extension MiniServer {
    static let sets = "/apis/apps/v1/namespaces/a/statefulsets/"
    /// Lists and watches of single StatefulSets.
    static let lists = "GET /apis/apps/v1/namespaces/a/statefulsets "
    static let watches = "WATCH /apis/apps/v1/namespaces/a/statefulsets "

    func putSet(_ name: String, _ replicas: Int64, labels: [String: String] = [:]) {
        put(Self.sets + name, "StatefulSet", ["spec": ["replicas": .integer(replicas)]], labels: labels)
    }

    func lookout(_ widget: String, at names: [String], _ more: [String: JSONValue] = [:]) {
        var spec = JSONObject()
        spec["watches"] = .array(names.map { .string($0) })
        for key in more.keys.sorted() { spec[key] = more[key] }
        put(Self.widgets + widget, "Widget", ["spec": .object(spec)])
    }
}
