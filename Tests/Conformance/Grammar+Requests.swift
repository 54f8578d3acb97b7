// SPDX-License-Identifier: Apache-2.0

import JSON
import TestSupport

/// What is neither a creation nor a change of the main resource.
extension Grammar {
    // MARK: Subresources

    mutating func subresource() -> Step {
        if ground.kind == .statefulSets, draw.chance(50) { return scale() }
        let name = name()
        guard !ground.status.isEmpty else {
            return write(name, [Edit("data/a", "9")], "no such subresource", to: draw.pick(["status", "scale"]))
        }
        if draw.chance(30) { return bareStatus(name) }
        var edits = [Edit("status", draw.pick(ground.status))]
        if draw.chance(20) { edits.append(draw.pick(Self.metadata)) }
        if draw.chance(15) { edits.append(draw.pick(ground.allowed)) }
        if draw.chance(10) { edits.append(draw.pick(ground.refused)) }
        if draw.chance(10) { edits.append(draw.pick([Edit("metadata/name", "other"), Edit("metadata/uid", "")])) }
        if draw.chance(10) { edits.append(Edit("metadata/resourceVersion", draw.pick([nil, "", "abc"]))) }
        return write(name, edits + precondition(), "status", to: "status")
    }

    /// A PUT with nothing but the identity and the status, as the controller sends it.
    private mutating func bareStatus(_ name: String) -> Step {
        var body: JSONValue = [
            "apiVersion": .string(ground.kind.apiVersion), "kind": .string(ground.kind.kind),
            "metadata": ["name": .string(name), "namespace": "@namespace", "uid": "@uid", "resourceVersion": "@rv"],
            "status": draw.pick(Array(ground.status.prefix(2))),
        ]
        for edit in precondition() { body.set(edit.path, edit.value) }
        return Step(
            verb: .put, kind: ground.kind, name: name, subresource: "status", contentType: "application/json",
            body: .value(body), aspect: "bare status")
    }

    private mutating func scale() -> Step {
        let name = name()
        var body: JSONValue = [
            "apiVersion": "autoscaling/v1", "kind": "Scale",
            "metadata": ["name": .string(name), "namespace": "@namespace"],
        ]
        body.set(["spec", "replicas"], draw.pick([0, 1, 2, 3, 0, 1, -1, "x", nil] as [JSONValue?]))
        for edit in precondition() { body.set(edit.path, edit.value) }
        if draw.chance(10) { body.set(["metadata", "name"], draw.pick(["other", nil] as [JSONValue?])) }
        if draw.chance(5) { body.set(["kind"], "Wrong") }
        if draw.chance(5) { body.set(["metadata", "namespace"], draw.pick(["elsewhere", nil] as [JSONValue?])) }
        if draw.chance(8) { body.set(["metadata", "labels"], ["tier": "a"]) }
        let way = draw.below(4)
        if way == 0 {
            return Step(
                verb: .get, kind: ground.kind, name: name, subresource: "scale", aspect: "scale")
        }
        let type = way == 1 ? "application/merge-patch+json" : "application/json"
        return Step(
            verb: way == 1 ? .patch : .put, kind: ground.kind, name: name, subresource: "scale", contentType: type,
            body: .value(body), aspect: "scale")
    }

    // MARK: JSON patches

    mutating func jsonPatch() -> Step {
        var operations: [JSONValue] = []
        func operation(_ name: String, _ path: String, _ value: JSONValue? = nil) -> JSONValue {
            var operation: JSONValue = ["op": .string(name), "path": .string(path)]
            operation.set(["value"], value)
            return operation
        }
        if draw.chance(70) {
            operations.append(
                operation("test", "/metadata/uid", draw.pick(["@uid", "@uid", "@uid", "@uid-1", ""])))
        }
        if draw.chance(40) {
            operations.append(
                draw.pick([
                    operation("test", "/metadata/generation", draw.pick([1, 2, 3])),
                    operation("test", "/metadata/resourceVersion", draw.pick(["@rv", "@rv-1"])),
                    operation("test", "/metadata/nonsense", "x"), operation("test", "/nonsense", ["x": 1]),
                ]))
        }
        let generic = [
            operation("replace", "/metadata/labels", ["tier": "b"]), operation("add", "/metadata/labels/tier", "b"),
            operation("remove", "/metadata/labels/tier"), operation("replace", "/metadata/labels/tier", "a"),
            operation("add", "/metadata/finalizers/-", "x.io/c"), operation("remove", "/metadata/finalizers/0"),
            operation("replace", "/metadata/uid", "x"), operation("replace", "/metadata/resourceVersion", "@rv-1"),
            operation("remove", "/metadata/finalizers"), operation("add", "/metadata/finalizers", ["x.io/c"]),
            operation("replace", "/metadata/nonsense/deep", 1), operation("explode", "/metadata/labels"),
            operation("remove", "/metadata/finalizers/7"), operation("add", "metadata/labels", [:]),
            operation("remove", "/metadata/annotations"), operation("add", "/metadata/annotations", ["y": "x"]),
            operation("test", "/metadata/name", "a"), operation("replace", "/metadata/name", "other"),
            operation("test", "/metadata/labels", ["tier": "a"]), operation("remove", "/spec"),
        ]
        let edits = (ground.allowed + ground.refused).map { edit in
            let path =
                "/"
                + edit.path.map { $0.replacing("~", with: "~0").replacing("/", with: "~1") }
                .joined(separator: "/")
            return operation(edit.value == nil ? "remove" : "replace", path, edit.value)
        }
        operations.append(draw.pick(draw.chance(50) ? generic : edits))
        if draw.chance(20) { operations.append(draw.pick(generic)) }
        var body = Step.Body.value(.array(operations))
        if draw.chance(6) {
            body = draw.pick([
                .value(operation("test", "/metadata/uid", "@uid")), .raw("[{"), .value([]), .value([1]), .raw("null"),
            ])
        }
        let hasScale = ground.kind == .statefulSets
        let subresource = draw.pick([nil, nil, nil, hasScale ? "scale" : nil, ground.status.isEmpty ? nil : "status"])
        return Step(
            verb: .patch, kind: ground.kind, name: name(), subresource: subresource,
            contentType: "application/json-patch+json", body: body, aspect: "operations")
    }

    // MARK: Reading

    mutating func reading() -> Step {
        let kind = ground.kind
        switch draw.below(8) {
        case 0, 1: return Step(verb: .get, kind: kind, name: name(), aspect: "get")
        case 6: return fieldSelection()
        case 2:
            return Step(
                verb: .list, kind: kind, query: [("labelSelector", draw.pick(Self.selectors))], aspect: "selector")
        case 3:
            return Step(
                verb: .list, kind: kind, query: [("limit", draw.pick(["1", "2", "0", "-1", "x"]))], aspect: "limit")
        case 4:
            let token = draw.pick(["@continue", "@continue", "@expired", "nonsense"])
            return Step(
                verb: .list, kind: kind, query: [("limit", draw.pick(["1", "5"])), ("continue", token)],
                aspect: token == "@expired" ? "expired page" : "next page")
        default: return Step(verb: .list, kind: kind, aspect: "list")
        }
    }

    private mutating func fieldSelection() -> Step {
        var query = [("fieldSelector", draw.pick(Self.fieldSelectors))]
        if draw.chance(20) { query.append(("limit", draw.pick(["1", "2"]))) }
        if draw.chance(20) { query.append(("labelSelector", draw.pick(["tier=a", "tier!=a", "a b c"]))) }
        return Step(verb: .list, kind: ground.kind, query: query, aspect: "field selector")
    }

    static let fieldSelectors = [
        "metadata.name=a", "metadata.name=a", "metadata.name=b", "metadata.name==a", "metadata.name!=a",
        "metadata.name!=b,metadata.name!=c", "metadata.name=a,metadata.name=b", "metadata.name=nobody",
        "metadata.name=", "metadata.name=A/b", "metadata.namespace=elsewhere",
        "metadata.namespace!=elsewhere,metadata.name=a", "", ",", "metadata.name", "=a", "metadata.name=a=b",
        "metadata.name= a", "metadata.name =a", "spec.nonsense=x", "metadata.uid=x",
        "involvedObject.uid=u", "involvedObject.uid=u,reason=Made", "involvedObject.uid!=u", "reason=Other",
        "involvedObject.uid=nobody", "involvedObject.uid=u,metadata.name=a", "involvedObject.nonsense=u",
    ]

    static let selectors = [
        "tier=a", "tier=b", "tier=a,tier!=b", "tier!=a", "tier", "!tier", "tier in (a,b)", "tier notin (b)", "tier==a",
        "a b c", "tier=not valid!", "", "=", "other=x",
    ]

    mutating func watch() -> Step {
        if draw.chance(25) { return fieldWatch() }
        let selector = draw.pick(["", "", "tier=a", "tier=a", "tier=b", "tier!=a", "tier", "tier in (a,b)"])
        let start = draw.chance(85) ? "@start" : draw.pick(["1", "abc", "@rv:\(ground.kind.plural)/a"])
        var query = [("watch", "true"), ("resourceVersion", start), ("timeoutSeconds", "20")]
        if !selector.isEmpty { query.append(("labelSelector", selector)) }
        if draw.chance(50) { query.append(("allowWatchBookmarks", "true")) }
        let aspect = start == "@start" ? selector.isEmpty ? "all" : "selector" : "from \(start.prefix(3))"
        return Step(verb: .watch, kind: ground.kind, query: query, aspect: aspect)
    }

    /// Of one object, mostly: the only watch by a field that the controller opens.
    private mutating func fieldWatch() -> Step {
        let selector = draw.pick([
            "metadata.name=a", "metadata.name=a", "metadata.name=a", "metadata.name==b", "metadata.name=nobody",
            "metadata.name!=a", "metadata.name!=b,metadata.name!=c", "metadata.name", "spec.nonsense=x",
        ])
        return Step(
            verb: .watch, kind: ground.kind,
            query: [
                ("watch", "true"), ("resourceVersion", "@start"), ("timeoutSeconds", "20"),
                ("fieldSelector", selector),
            ], aspect: "field selector")
    }

    // MARK: Deleting

    mutating func deletion() -> Step {
        // Half of them: the end of an object that is marked.
        if draw.chance(20) {
            return write(
                name(), [Edit("metadata/finalizers", draw.pick([nil, [], ["x.io/a"], ["new.io/x"]]))], "finalizers")
        }
        var options: JSONValue = [:]
        var aspect = "plain"
        switch draw.below(10) {
        case 0:
            options.set(["preconditions"], ["uid": draw.pick(["@uid", "@uid-1", .string(Memory.nobody)])])
            aspect = "uid"
        case 1:
            options.set(["preconditions"], ["resourceVersion": draw.pick(["@rv", "@rv-1", "", "abc"])])
            aspect = "resourceVersion"
        case 2:
            options.set(
                ["preconditions"], ["uid": draw.pick(["@uid", ""]), "resourceVersion": draw.pick(["@rv", "@rv-1"])])
            aspect = "uid and resourceVersion"
        case 3:
            options.set(
                ["gracePeriodSeconds"], draw.pick([0, 5, -1, "x"] as [JSONValue]))
            aspect = "grace"
        case 4, 5, 6: aspect = "propagation"
        case 7: aspect = "odd"
        default: break
        }
        if aspect == "propagation" || draw.chance(30) {
            options.set(
                ["propagationPolicy"],
                draw.pick(["Background", "Foreground", "Orphan", "Background", "Foreground", "Sideways"]))
        }
        var step = Step(
            verb: .delete, kind: ground.kind, name: name(), contentType: "application/json", body: .value(options),
            aspect: aspect)
        if options == [:] { (step.body, step.contentType) = (.none, nil) }
        if aspect == "odd" { oddDeletion(&step, options) }
        return step
    }

    private mutating func oddDeletion(_ step: inout Step, _ options: JSONValue) {
        var options = options
        switch draw.below(5) {
        case 0: step.body = .raw("{")
        case 1:
            options.set(["orphanDependents"], true)
            step.body = .value(options)
        case 2:
            step.body = .none
            step.query = [("propagationPolicy", draw.pick(["Foreground", "Orphan", "Background"]))]
        case 3:
            options.set(["kind"], "DeleteOptions")
            options.set(["apiVersion"], "v1")
            step.body = .value(options)
        default: step.body = .value(["preconditions": "x"])
        }
        step.contentType = "application/json"
    }

    // MARK: Broken requests

    mutating func oddRequest() -> Step {
        let name = name()
        let object = ground.object(name)
        switch draw.below(9) {
        case 0:
            return Step(
                verb: .post, kind: ground.kind, contentType: "application/json",
                body: .raw(draw.pick(["{", "", "[]", "null", "7", "{\"metadata\":", "nonsense"])), aspect: "malformed")
        case 1:
            return Step(
                verb: .post, kind: ground.kind, contentType: draw.pick(["text/plain", "application/xml", "x"]),
                body: .value(object), aspect: "content type")
        case 2:
            return Step(
                verb: .patch, kind: ground.kind, name: name,
                contentType: draw.pick(["application/json", "text/plain", "application/xml"]),
                body: .value(["metadata": ["labels": ["x": "y"]]]), aspect: "content type")
        case 3:
            return Step(
                verb: .patch, kind: ground.kind, name: name,
                contentType: draw.pick(["application/merge-patch+json", "application/strategic-merge-patch+json"]),
                body: .raw(draw.pick(["{", "", "[]", "null", "7"])), aspect: "malformed")
        case 4:
            let verb = draw.pick([.get, .put, .patch] as [Step.Verb])
            return Step(
                verb: verb, kind: ground.kind, name: name, subresource: "nonsense",
                contentType: verb == .get ? nil : "application/json", body: verb == .get ? .none : .value(object),
                aspect: "no such subresource")
        case 5:
            return Step(
                verb: .put, kind: ground.kind, name: name, contentType: "application/json",
                body: .raw(draw.pick(["{", "", "[]", "{\"metadata\":"])), aspect: "malformed")
        case 6: return Step(verb: .get, kind: ground.kind, name: draw.pick(["no-such", "Not_Valid"]), aspect: "absent")
        case 7:
            var step = write(draw.pick(["no-such", "Not_Valid"]), precondition(), "absent")
            step.subresource = draw.pick([nil, nil, ground.status.isEmpty ? nil : "status"])
            return step
        default:
            return Step(
                verb: .put, kind: ground.kind, name: name, contentType: draw.pick(["text/plain", "application/xml"]),
                body: .value(object), aspect: "content type")
        }
    }
}
