// SPDX-License-Identifier: Apache-2.0

import ControlLoop
import JSON
import Reconciler
import Resources

/// A kind of its own, so that the loop is seen to know no domain.
struct Widget: CustomResource {
    static let resourceKind = ResourceKind(group: "test.dev", version: "v1", plural: "widgets", kind: "Widget")

    var metadata: ObjectMeta
    var spec: Spec?
    var status: Status?

    struct Spec: Decodable, Equatable, Sendable {
        /// Name of the ConfigMap to make.
        var child: String?
        /// Give up the child when it was refused.
        var isTimid: Bool?
        /// Wake at that moment.
        var wakeAt: Timestamp?
        /// Record a row.
        var isRecorded: Bool?
        /// Name of a Secret to make: nobody ever reads it, so nobody hears that it was made.
        var secret: String?
        /// Follow the log of that pod's container `postgres`.
        var follows: String?
        /// How often that container has been restarted.
        var restart: Int?
        /// StatefulSets to watch, whoever made them (`LookoutBehavior`).
        var watches: [String]?
        /// Ask by quorum for what the watch does not have.
        var isSure: Bool?
        /// Scale the first of them to this, as read by a watch or, if so wanted, by quorum alone.
        var replicas: Int?
        var isBlind: Bool?
        /// Give the first of them this mark; an empty one takes it away.
        var mark: String?
    }

    struct Status: Codable, Equatable, Sendable {
        var phase: String?
        var trouble: String?
        var child: String?
        var row: String?
        /// What the log has given away: `restored 3 000000010000000000000004`, by the pattern's name.
        var lines: String?
        /// `db 1 mark, other gone`: what is watched.
        var seen: String?
    }
}

/// Makes a ConfigMap for a Widget, and says how that went.
enum WidgetBehavior: Behavior {
    typealias Object = Widget
    typealias Status = Widget.Status

    struct Snapshot: Equatable, Sendable {
        var widget: Widget
        var child: Observed<ConfigMap> = .unknown
        var siblings: Observed<[ConfigMap]> = .unknown
        var row: Observed<LedgerAnswer> = .unknown
        var lines: Observed<LineFacts> = .unknown
        var failure: Failure?
    }

    static func observe(_ object: Widget, through reader: inout some Reader) -> Snapshot {
        var snapshot = Snapshot(widget: object)
        if object.status?.phase == "Done" { return snapshot }
        let space = object.metadata.namespace ?? ""
        if let name = object.spec?.child {
            snapshot.child = reader.object(ConfigMap.self, space, name)
            if case .absent = snapshot.child { snapshot.child = reader.confirmed(ConfigMap.self, space, name) }
        }
        snapshot.siblings = reader.objects(ConfigMap.self, space, labelled: "widget", object.metadata.name)
        if object.spec?.isRecorded == true { snapshot.row = reader.ledger(.run(uid: object.metadata.uid ?? "")) }
        if let pod = object.spec?.follows {
            let seen = Seen(ref: Ref(Pod.resourceKind, space, pod), uid: "uid of \(pod)", resourceVersion: "1")
            let format = LineFormat(patterns: patterns, restart: object.spec?.restart ?? 0)
            snapshot.lines = reader.lines(of: seen, container: "postgres", as: format)
        }
        snapshot.failure = reader.lastFailure()
        return snapshot
    }

    static let patterns = [
        LinePattern("restored", ["restored log file \""], keepsWord: true),
        LinePattern("fetched", ["Finished extraction of "]),
        LinePattern("NoBackupsFound", ["No backups found"]),
    ]

    private static func summary(_ facts: LineFacts) -> String {
        let parts = facts.counts.keys.sorted().map { name in
            "\(name) \(facts.counts[name] ?? 0)\(facts.words[name].map { " \($0)" } ?? "")"
        }
        return parts.isEmpty ? "nothing" : parts.joined(separator: ", ")
    }

    static func decide(_ snapshot: Snapshot, at now: Timestamp) -> Decision<Widget.Status> {
        let widget = snapshot.widget
        var status = widget.status ?? Widget.Status()
        var decision = Decision<Widget.Status>()
        if status.phase == "Done" { return decision }
        status.phase = "Working"
        status.trouble = snapshot.failure?.reason
        // What is unknown changes nothing: the write would make it unknown again.
        if !snapshot.child.isUnknown {
            status.child = snapshot.child.value.map { $0.metadata.labels?["widget"] == nil ? "Stranger" : "Mine" }
        }
        if case .absent(confirmed: true) = snapshot.child, let name = widget.spec?.child {
            let mayTry = snapshot.failure == nil || widget.spec?.isTimid != true
            if mayTry { decision.effects.append(.create(.configMap(manifest(name, widget)))) }
        }
        if let facts = snapshot.lines.value { status.lines = summary(facts) }
        if widget.spec?.isRecorded == true {
            switch snapshot.row {
            case .unknown: break
            case .absent:
                decision.effects.append(.record(entry(widget)))
            case .present(.unavailable(let message)): status.row = message
            case .present(.run(let row)): status.row = row.status
            }
        }
        if let name = widget.spec?.secret {
            let metadata = ManifestMeta(name: name, namespace: widget.metadata.namespace ?? "")
            decision.effects.append(.makeSecret(SecretRecipe(metadata: metadata, username: "w", database: "d")))
        }
        if let moment = widget.spec?.wakeAt {
            if now < moment { decision.wake = .at(moment) } else { status.phase = "Done" }
        }
        decision.status = status
        return decision
    }

    static func notices(from old: Widget.Status?, to new: Widget.Status) -> [Notice] {
        guard old?.phase != new.phase, let phase = new.phase else { return [] }
        return [Notice(isWarning: false, reason: phase, message: "the widget is \(phase)")]
    }

    private static func manifest(_ name: String, _ widget: Widget) -> ConfigMapManifest {
        ConfigMapManifest(
            metadata: ManifestMeta(
                name: name, namespace: widget.metadata.namespace ?? "",
                labels: [Label.managedBy: Label.managedByValue, "widget": widget.metadata.name]),
            data: [:])
    }

    private static func entry(_ widget: Widget) -> LedgerEntry {
        LedgerEntry(
            runUID: widget.metadata.uid ?? "", namespace: "a", name: widget.metadata.name, specDigest: "",
            createdAt: Timestamp(seconds: 0))
    }

    static var set: BehaviorSet {
        BehaviorSet([BoundBehavior(WidgetBehavior.self)], watching: [.children(ConfigMap.self)])
    }
}

extension MiniServer {
    static let widgets = "/apis/test.dev/v1/namespaces/a/widgets/"
    static let configMaps = "/api/v1/namespaces/a/configmaps/"
    static let lease = "/apis/coordination.k8s.io/v1/namespaces/reprise-system/leases/reprise-controller"

    func status(of widget: String, _ field: String) -> String? {
        objects[Self.widgets + widget]?["status"]?[field]?.string
    }

    var holder: String? { objects[Self.lease]?["spec"]?["holderIdentity"]?.string }
}
