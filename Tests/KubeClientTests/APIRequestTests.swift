// SPDX-License-Identifier: Apache-2.0

import JSON
import KubeClient
import Resources
import Seams
import Testing

@Suite struct APIRequestTests {
    private static let pod = Pod.resourceKind
    private static let run = RestoreRun.resourceKind
    private static let seen = Seen(
        ref: Ref(StatefulSet.resourceKind, "db", "orders"), uid: "u-1", resourceVersion: "42")

    private func body(_ request: HTTPRequest) throws -> String {
        let value = try JSON.decode(JSONValue.self, from: request.body)
        return String(decoding: try JSON.encode(value, sortedKeys: true), as: UTF8.self)
    }

    @Test func reads() throws {
        let table: [(HTTPRequest, String)] = [
            (try APIRequest.get(Ref(Self.pod, "db", "orders-0")), "/api/v1/namespaces/db/pods/orders-0"),
            (try APIRequest.get(Ref(Namespace.resourceKind, "", "kube-system")), "/api/v1/namespaces/kube-system"),
            (
                try APIRequest.get(Ref(Self.run, "db", "orders.2026-01")),
                "/apis/reprise.dev/v1alpha1/namespaces/db/restoreruns/orders.2026-01"
            ),
            (try APIRequest.list(Self.pod, namespace: nil), "/api/v1/pods"),
            (
                try APIRequest.list(
                    Job.resourceKind, namespace: "db", selector: "app in (a,b),x=ü&y", limit: 500,
                    continuation: "a+/="),
                "/apis/batch/v1/namespaces/db/jobs?labelSelector=app%20in%20%28a%2Cb%29%2Cx%3D%C3%BC%26y&limit=500"
                    + "&continue=a%2B%2F%3D"
            ),
            (
                try APIRequest.events(about: "3f2a-1", namespace: "db", limit: 500),
                "/api/v1/namespaces/db/events?fieldSelector=involvedObject.uid%3D3f2a-1&limit=500"
            ),
            (
                try APIRequest.list(Self.pod, namespace: "db", name: "orders-0", limit: 500),
                "/api/v1/namespaces/db/pods?fieldSelector=metadata.name%3Dorders-0&limit=500"
            ),
            (
                try APIRequest.watch(
                    Self.pod, namespace: "db", name: "orders-0", from: "12", serverTimeout: 300, idleTimeout: 9),
                "/api/v1/namespaces/db/pods?watch=true&allowWatchBookmarks=true&resourceVersion=12"
                    + "&fieldSelector=metadata.name%3Dorders-0&timeoutSeconds=300"
            ),
            (
                try APIRequest.watch(
                    Self.pod, namespace: nil, from: "12", serverTimeout: 300, idleTimeout: 9),
                "/api/v1/pods?watch=true&allowWatchBookmarks=true&resourceVersion=12&timeoutSeconds=300"
            ),
            (
                try APIRequest.log(
                    Ref(Self.pod, "db", "p"),
                    LogOptions(container: "a b", limitBytes: 10, tailLines: 5, timestamps: true, previous: true)),
                "/api/v1/namespaces/db/pods/p/log?container=a%20b&limitBytes=10&tailLines=5&timestamps=true"
                    + "&previous=true"
            ),
            (
                try APIRequest.log(Ref(Self.pod, "db", "p"), LogOptions(container: "c", limitBytes: 0)),
                "/api/v1/namespaces/db/pods/p/log?container=c&limitBytes=1"
            ),
            (
                try APIRequest.follow(Ref(Self.pod, "db", "p"), container: "c", since: nil, idleTimeout: nil),
                "/api/v1/namespaces/db/pods/p/log?container=c&follow=true&timestamps=true"
            ),
            (
                try APIRequest.follow(
                    Ref(Self.pod, "db", "p"), container: "c", since: "2026-05-27T03:00:00.000000001Z", idleTimeout: 9),
                "/api/v1/namespaces/db/pods/p/log?container=c&follow=true&timestamps=true"
                    + "&sinceTime=2026-05-27T03%3A00%3A00.000000001Z"
            ),
        ]
        for (request, target) in table {
            #expect(request.target == target)
            #expect(request.method == .get)
            #expect(request.body.isEmpty)
        }
    }

    @Test(arguments: [
        "", ".", "..", "a/b", "../x", "a..b", "a%2fb", "A", "a_b", "-a", "a-", "a b", "ä", "a?b", "a#b", "a\u{0}",
        String(repeating: "a", count: 254),
    ])
    func refusedNames(_ name: String) {
        let error = #expect(throws: APIError.self) { try APIRequest.get(Ref(Self.pod, "db", name)) }
        #expect(error?.code == .invalidRequest)
        let manifest = ConfigMapManifest(metadata: ManifestMeta(name: name, namespace: "db"), data: [:])
        #expect(throws: APIError.self) { try APIRequest.create(manifest) }
        #expect(throws: APIError.self) { try APIRequest.list(Self.pod, namespace: name) }
        #expect(throws: APIError.self) { try APIRequest.list(Self.pod, namespace: "db", name: name) }
        if !name.isEmpty { #expect(throws: APIError.self) { try APIRequest.get(Ref(Self.pod, name, "x")) } }
        let kind = ResourceKind(group: "", version: "v1", plural: name, kind: "X")
        #expect(throws: APIError.self) { try APIRequest.get(Ref(kind, "db", "x")) }
    }

    @Test(arguments: ["", "0"])
    func watchNeedsAVersion(_ version: String) {
        #expect(throws: APIError.self) {
            try APIRequest.watch(Self.pod, namespace: nil, from: version, serverTimeout: 1, idleTimeout: nil)
        }
    }

    @Test func writes() throws {
        let create = try APIRequest.create(
            ConfigMapManifest(metadata: ManifestMeta(name: "n", namespace: "db"), data: ["k": "v"]))
        #expect(create.method == .post)
        #expect(create.target == "/api/v1/namespaces/db/configmaps?fieldManager=reprise")
        #expect(create.headers.contains(HTTPHeader("Content-Type", "application/json")))
        #expect(
            try body(create)
                == #"{"apiVersion":"v1","data":{"k":"v"},"kind":"ConfigMap","metadata":{"name":"n","namespace":"db"}}"#)

        let status = try APIRequest.replaceStatus(
            of: Seen(ref: Ref(Self.run, "db", "r"), uid: "u", resourceVersion: "7"), with: ["phase": "Done"])
        #expect(status.method == .put)
        #expect(
            status.target
                == "/apis/reprise.dev/v1alpha1/namespaces/db/restoreruns/r/status?fieldManager=reprise")
        #expect(
            try body(status)
                == #"{"apiVersion":"reprise.dev/v1alpha1","kind":"RestoreRun","metadata":{"name":"r","namespace":"db","#
                + #""resourceVersion":"7","uid":"u"},"status":{"phase":"Done"}}"#)

        let delete = try APIRequest.delete(Self.seen, propagation: .background)
        #expect(delete.method == .delete)
        #expect(delete.target == "/apis/apps/v1/namespaces/db/statefulsets/orders")
        #expect(
            try body(delete)
                == #"{"apiVersion":"v1","kind":"DeleteOptions","preconditions":{"resourceVersion":"42","uid":"u-1"},"#
                + #""propagationPolicy":"Background"}"#)
    }

    @Test func patches() throws {
        let environment = try APIRequest.patch(
            Self.seen.ref, .dropEnvironment(["CLONE", "X"], fromContainer: "main", of: Self.seen))
        #expect(environment.method == .patch)
        #expect(environment.headers.contains(HTTPHeader("Content-Type", "application/strategic-merge-patch+json")))
        #expect(
            try body(environment)
                == #"{"metadata":{"resourceVersion":"42","uid":"u-1"},"#
                + #""spec":{"template":{"spec":{"containers":[{"env":["#
                + #"{"$patch":"delete","name":"CLONE"},{"$patch":"delete","name":"X"}],"name":"main"}]}}}}"#)

        let scale = try Patch.scale(to: 0, of: Self.seen, generation: 3)
        #expect(scale.format == .json)
        #expect(
            String(decoding: scale.body, as: UTF8.self)
                == #"[{"op":"test","path":"/metadata/uid","value":"u-1"},"#
                + #"{"op":"test","path":"/metadata/generation","value":3},"#
                + #"{"op":"replace","path":"/spec/replicas","value":0}]"#)

        let dropped = try Patch.dropAnnotations(["reprise.dev/run": "r-1", "a~b": "c"], of: Self.seen)
        #expect(dropped.format == .json)
        #expect(
            String(decoding: dropped.body, as: UTF8.self)
                == #"[{"op":"test","path":"/metadata/uid","value":"u-1"},"#
                + #"{"op":"test","path":"/metadata/annotations/a~0b","value":"c"},"#
                + #"{"op":"remove","path":"/metadata/annotations/a~0b"},"#
                + #"{"op":"test","path":"/metadata/annotations/reprise.dev~1run","value":"r-1"},"#
                + #"{"op":"remove","path":"/metadata/annotations/reprise.dev~1run"}]"#)
        let marks = try Patch.annotations(["reprise.dev/run": "r-1", "old": nil], of: Self.seen)
        #expect(marks.format == .merge)
        #expect(
            String(decoding: marks.body, as: UTF8.self)
                == #"{"metadata":{"uid":"u-1","resourceVersion":"42","annotations":{"old":null,"#
                + #""reprise.dev/run":"r-1"}}}"#)

        let finalizers = try Patch.finalizers(["reprise.dev/run"], of: Self.seen)
        #expect(finalizers.format == .merge)
        #expect(
            String(decoding: finalizers.body, as: UTF8.self)
                == #"{"metadata":{"uid":"u-1","resourceVersion":"42","finalizers":["reprise.dev/run"]}}"#)

        let merge = try Patch.merge(["spec": ["replicas": 2]], into: Self.seen)
        #expect(
            String(decoding: merge.body, as: UTF8.self)
                == #"{"metadata":{"uid":"u-1","resourceVersion":"42"},"spec":{"replicas":2}}"#)
        let target = try APIRequest.patch(Self.seen.ref, merge, subresource: "status").target
        #expect(target == "/apis/apps/v1/namespaces/db/statefulsets/orders/status?fieldManager=reprise")
    }

    @Test(arguments: [("", "42"), ("u-1", "")])
    func writesNeedAPrecondition(_ uid: String, _ version: String) {
        let seen = Seen(ref: Self.seen.ref, uid: uid, resourceVersion: version)
        #expect(throws: APIError.self) { try APIRequest.delete(seen, propagation: .background) }
        #expect(throws: APIError.self) { try Patch.scale(to: 1, of: seen, generation: 1) }
        #expect(throws: APIError.self) { try APIRequest.replaceStatus(of: seen, with: ["a": "b"]) }
        #expect(throws: APIError.self) { try Patch.finalizers([], of: seen) }
        #expect(throws: APIError.self) { try Patch.annotations(["a": "b"], of: seen) }
    }
}
