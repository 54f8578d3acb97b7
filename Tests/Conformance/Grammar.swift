// SPDX-License-Identifier: Apache-2.0

import JSON
import TestSupport

/// Makes sequences of requests: verb x kind x subresource x content type x precondition x bad field, drawn by a seed.
///
/// Not recordings of the controller's own requests: most of what is asked here it never asks.
struct Grammar {
    var draw: Draw
    let ground: KindGround
    let names: [String]
    private let number: Int
    private let run: String

    private init(_ draw: Draw, _ ground: KindGround, _ names: [String], _ number: Int, _ run: String) {
        self.draw = draw
        self.ground = ground
        self.names = names
        self.number = number
        self.run = run
    }

    static func sequence(seed: UInt64, number: Int, run: String) -> Sequence {
        var draw = Draw(seed: seed, sequence: number)
        let ground = draw.pick(KindGround.all)
        var grammar = Grammar(draw, ground, ["a", "b", "c"], number, run)
        return grammar.make()
    }

    private mutating func make() -> Sequence {
        let length = 4 + draw.below(9)
        var steps = [creation(), draw.chance(70) ? change() : creation()]
        while steps.count < length { steps.append(step()) }
        var watches: [Step] = []
        if draw.chance(60) {
            watches.append(watch())
            if draw.chance(40) { watches.append(watch()) }
        }
        return Sequence(number: number, steps: steps, watches: watches, namespace: "\(run)-\(number)")
    }

    /// Mostly the first name, so that something happens to it.
    mutating func name() -> String { draw.chance(75) ? names[0] : draw.pick(names) }

    private mutating func step() -> Step {
        switch draw.below(100) {
        case ..<14: return draw.chance(70) ? creation() : oddCreation()
        case ..<34: return change()
        case ..<48: return draw.chance(50) ? badChange() : oddMetadata()
        case ..<60: return subresource()
        case ..<66: return jsonPatch()
        case ..<72: return reading()
        case ..<92: return deletion()
        default: return oddRequest()
        }
    }

    // MARK: Creating

    private mutating func labels() -> JSONValue? { draw.pick([["tier": "a"], ["tier": "b"], nil, ["tier": "a"]]) }

    private mutating func creation() -> Step {
        let name = name()
        var object = ground.object(name, labels: labels())
        if draw.chance(30) {
            object.set(["metadata", "finalizers"], draw.pick([["reprise.dev/hold"], ["x.io/a", "x.io/b"]]))
        }
        if draw.chance(15) { object.set(["metadata", "ownerReferences"], [Self.owner("u-1")]) }
        if draw.chance(10) {
            object.set(["metadata", "uid"], .string(Memory.nobody))
            object.set(["metadata", "generation"], 7)
            object.set(["metadata", "creationTimestamp"], "2020-01-01T00:00:00Z")
        }
        if draw.chance(15) { object.set(["status"], draw.pick(ground.status + [["phase": "Bound"]])) }
        return post(object, "valid")
    }

    func post(_ object: JSONValue, _ aspect: String) -> Step {
        Step(verb: .post, kind: ground.kind, contentType: "application/json", body: .value(object), aspect: aspect)
    }

    static func owner(_ uid: String, blocks: Bool = false) -> JSONValue {
        [
            "apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": .string(uid),
            "blockOwnerDeletion": .bool(blocks),
        ]
    }

    private mutating func oddCreation() -> Step {
        var object = ground.object(name())
        let long = String(repeating: "n", count: 254)
        switch draw.below(12) {
        case 0:
            object.set(["metadata", "name"], nil)
            return post(object, "no name")
        case 1:
            object.set(["metadata", "name"], .string(long))
            return post(object, "long name")
        case 2:
            object.set(["metadata", "name"], draw.pick(["Not_Valid", "a/b", "-a", "a b", "", "."]))
            return post(object, "bad name")
        case 3:
            object.set(["metadata", "namespace"], "elsewhere")
            return post(object, "namespace mismatch")
        case 4:
            object.set(["metadata", "resourceVersion"], "5")
            return post(object, "with resourceVersion")
        case 5:
            object.set(["kind"], "Wrong")
            return post(object, "wrong kind")
        case 6:
            object.set(["apiVersion"], "wrong/v9")
            return post(object, "wrong apiVersion")
        case 7:
            object.set(["metadata"], nil)
            return post(object, "no metadata")
        case 8:
            var step = post(object, "unknown namespace")
            step.namespace = "no-such-namespace"
            return step
        case 9:
            object.set(["metadata", "deletionTimestamp"], "2020-01-01T00:00:00Z")
            return post(object, "with deletionTimestamp")
        default:
            let edit = draw.pick(ground.refused + Self.badMetadata)
            object.set(edit.path, edit.value)
            return post(object, "bad field")
        }
    }

    static let badMetadata = [
        Edit("metadata/labels/tier", "not valid!"), Edit("metadata/labels/-x", "y"), Edit("metadata/labels/tier", 5),
        Edit("metadata/annotations/a b", "x"), Edit("metadata/finalizers", ["no domain"]),
        Edit("metadata/finalizers", ["hold"]), Edit("metadata/labels", "x"),
        Edit("metadata/ownerReferences", [["apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": ""]]),
        Edit("metadata/ownerReferences", [["apiVersion": "v1", "kind": "ConfigMap", "uid": "u"]]),
        Edit("metadata/finalizers", "x"), Edit("metadata/generateName", "g-"),
        Edit(
            "metadata/ownerReferences",
            [
                ["apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "1", "controller": true],
                ["apiVersion": "v1", "kind": "ConfigMap", "name": "p", "uid": "2", "controller": true],
            ]),
    ]
    static let metadata = [
        Edit("metadata/labels/tier", "a"), Edit("metadata/labels/tier", "b"), Edit("metadata/labels/tier", nil),
        Edit("metadata/labels", nil), Edit("metadata/annotations/note", "x"),
        Edit("metadata/finalizers", ["reprise.dev/hold"]), Edit("metadata/finalizers", []),
        Edit("metadata/finalizers", nil), Edit("metadata/ownerReferences", [owner("u-1"), owner("u-2", blocks: true)]),
        Edit("metadata/ownerReferences", nil), Edit("metadata/finalizers", ["x.io/a", "x.io/b"]),
    ]

    // MARK: Changing

    private enum Way: CaseIterable { case put, shownPut, merge, strategic }

    /// Sends edits as a PUT, or as one of the two merging patches.
    mutating func write(_ name: String, _ edits: [Edit], _ aspect: String, to subresource: String? = nil) -> Step {
        var way = draw.pick([.merge, .merge, .strategic, .put, .shownPut, .shownPut] as [Way])
        // A strategic patch of a custom kind is refused whatever it says.
        if way == .strategic, ground.kind.isCustom, !draw.chance(20) { way = .merge }
        switch way {
        case .put, .shownPut:
            var object = ground.object(name)
            var changes = edits
            if way == .put {
                for edit in edits { object.set(edit.path, edit.value) }
                let version: JSONValue? = draw.pick(["@rv", "@rv", "@rv", nil])
                if !edits.contains(where: { $0.path == ["metadata", "resourceVersion"] }),
                    object["metadata"]?.object != nil
                {
                    object.set(["metadata", "resourceVersion"], version)
                }
                changes = []
            }
            return Step(
                verb: .put, kind: ground.kind, name: name, subresource: subresource, contentType: "application/json",
                body: way == .put ? .value(object) : .shown(changes, otherwise: object), aspect: aspect)
        case .merge, .strategic:
            var body: JSONValue = [:]
            for edit in edits { Self.setPatch(&body, edit.path, edit.value ?? .null) }
            let type = way == .merge ? "merge-patch" : "strategic-merge-patch"
            return Step(
                verb: .patch, kind: ground.kind, name: name, subresource: subresource,
                contentType: "application/\(type)+json", body: .value(body), aspect: aspect)
        }
    }

    private static func setPatch(_ body: inout JSONValue, _ path: [String], _ value: JSONValue) {
        body.set(path, value)
    }

    private mutating func change() -> Step {
        var edits = [draw.pick(draw.chance(60) ? ground.allowed : Self.metadata)]
        if draw.chance(25) { edits.append(draw.pick(Self.metadata)) }
        if draw.chance(15) { edits = [] }
        return write(name(), edits + precondition(), edits.isEmpty ? "no change" : "change")
    }

    mutating func precondition() -> [Edit] {
        switch draw.below(10) {
        case 0: return [Edit("metadata/resourceVersion", "@rv-1")]
        case 1: return [Edit("metadata/resourceVersion", "@rv-2")]
        case 2: return [Edit("metadata/uid", "@uid")]
        case 3: return [Edit("metadata/uid", "@uid-1")]
        case 4: return [Edit("metadata/uid", "@uid"), Edit("metadata/resourceVersion", "@rv")]
        default: return []
        }
    }

    private mutating func badChange() -> Step {
        write(name(), [draw.pick(ground.refused + Self.badMetadata)] + precondition(), "bad field")
    }

    private mutating func oddMetadata() -> Step {
        let edit = draw.pick([
            Edit("metadata/uid", .string(Memory.nobody)), Edit("metadata/uid", ""),
            Edit("metadata/resourceVersion", ""),
            Edit("metadata/resourceVersion", "abc"), Edit("metadata/resourceVersion", "999999999"),
            Edit("metadata/resourceVersion", nil), Edit("metadata/resourceVersion", "0"),
            Edit("metadata/name", "other"), Edit("metadata/name", nil), Edit("metadata/namespace", "elsewhere"),
            Edit("metadata/namespace", nil), Edit("metadata/creationTimestamp", "2020-01-01T00:00:00Z"),
            Edit("metadata/creationTimestamp", nil), Edit("metadata/deletionTimestamp", "2020-01-01T00:00:00Z"),
            Edit("metadata/generation", 99), Edit("metadata/deletionGracePeriodSeconds", 5), Edit("kind", "Wrong"),
            Edit("apiVersion", "wrong/v9"), Edit("kind", nil), Edit("metadata", nil), Edit("metadata", "x"),
            Edit("metadata/deletionTimestamp", nil), Edit("metadata/uid", 5),
        ])
        return write(name(), [edit], "odd \(edit.path.last ?? "")")
    }
}
