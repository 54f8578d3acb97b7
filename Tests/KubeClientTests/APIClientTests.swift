// SPDX-License-Identifier: Apache-2.0

import KubeClient
import Resources
import Seams
import Testing

@Suite struct APIClientTests {
    @Test func get() async throws {
        let exchange = ScriptedExchange([
            .json(200, try fixture("pod.json")), .json(404, try fixture("status-notfound-object.json")),
            .json(404, try fixture("status-notfound-object.json")),
            .json(404, try fixture("status-notfound-resource.json")), .json(404, Array("404 page not found\n".utf8)),
            .json(200, Array(#"{"metadata":{}}"#.utf8)),
        ])
        let client = APIClient(exchange).with(timeout: 5_000)
        let pod = try await client.get(Pod.self, "db", "orders-0")
        #expect(pod?.isReady == true)
        #expect(pod?.seen.resourceVersion == "1001")
        #expect(try await client.get(RestoreRun.self, "db", "orders-1") == nil)
        // A 404 about something else, about the kind, from something else: never "absent".
        for name in ["other", "orders-1", "orders-1"] {
            let error = try await apiError { _ = try await client.get(RestoreRun.self, "db", name) }
            #expect(error.code == .unknownResource)
        }
        let broken = try await apiError { _ = try await client.get(Pod.self, "db", "orders-0") }
        #expect(broken.code == .undecodable)
        #expect(broken.message.contains("metadata.name"))
        #expect(exchange.requests.allSatisfy { $0.timeout == 5_000 })
    }

    @Test func listInPagesWithABrokenItem() async throws {
        let exchange = ScriptedExchange([
            .json(200, try fixture("podlist-page1.json")), .json(200, try fixture("podlist-page2.json")),
        ])
        let list = try await APIClient(exchange, pageSize: 2).list(Pod.self, selector: "app=orders")
        #expect(list.items.map(\.metadata.name) == ["orders-0", "orders-2"])
        #expect(list.resourceVersion == "2000")
        #expect(list.undecodable.count == 1)
        let broken = try #require(list.undecodable.first)
        #expect(broken.ref == Ref(Pod.resourceKind, "tenant", "orders-1"))
        #expect(broken.uid == "00000000-0000-4000-8000-000000000002")
        #expect(broken.resourceVersion == "1002")
        #expect(broken.message.contains("items[1].spec.containers"))
        #expect(!broken.message.contains("not a list"))
        #expect(exchange.targets[0] == "/api/v1/pods?labelSelector=app%3Dorders&limit=2")
        #expect(exchange.targets[1].hasPrefix("/api/v1/pods?labelSelector=app%3Dorders&limit=2&continue=eyJ2"))
        #expect(!exchange.targets.contains { $0.contains("resourceVersion") })
    }

    @Test func eventsAreOnePageOfThem() async throws {
        let body = #"""
            {"metadata":{"resourceVersion":"9","continue":"more"},"items":[
            {"metadata":{"name":"a"},"reason":"FailedCreate","message":"quota","eventTime":null,
            "firstTimestamp":"2026-05-27T03:00:00Z","lastTimestamp":"2026-05-27T03:00:09Z"},
            {"metadata":{"name":"b"},"reason":7},
            {"metadata":{"name":"c"},"eventTime":"2026-05-27T03:00:00.000009Z"},
            {"metadata":{"name":"d"},"eventTime":"2026-05-27T03:00:00.000009Z",
            "series":{"count":2,"lastObservedTime":"2026-05-27T03:00:01.000000Z"}}]}
            """#
        let exchange = ScriptedExchange([.json(200, Array(body.utf8))])
        let events = try await APIClient(exchange).events(about: "u-1", namespace: "db")
        #expect(events.map(\.metadata.name) == ["a", "c", "d"], "what is none stops nobody")
        #expect(events[0].message == "quota")
        #expect(events[0].toldAt == Timestamp(rfc3339: "2026-05-27T03:00:09Z"))
        #expect(events[1].toldAt == Timestamp(rfc3339: "2026-05-27T03:00:00.000009Z"))
        #expect(events[2].toldAt == Timestamp(rfc3339: "2026-05-27T03:00:01Z"))
        #expect(exchange.targets.count == 1, "anybody may write any number of them")
        for uid in ["", "a,b", "a=b", "ü"] {
            let error = try await apiError { _ = try await APIClient(exchange).events(about: uid, namespace: "db") }
            #expect(error.code == .invalidRequest)
        }
    }

    @Test func theMomentOfAListIsThatOfItsFirstPage() async throws {
        let pages = [#"{"metadata":{"resourceVersion":"5","continue":"c"}}"#, #"{"metadata":{"resourceVersion":"9"}}"#]
        let exchange = ScriptedExchange(pages.map { .json(200, Array($0.utf8)) })
        #expect(try await APIClient(exchange).list(Pod.self) == ListResult(items: [], resourceVersion: "5"))
    }

    @Test(arguments: ["[]", "null"])
    func emptyList(_ items: String) async throws {
        let body = #"{"kind":"PodList","metadata":{"resourceVersion":"9"},"items":\#(items)}"#
        let list = try await APIClient(ScriptedExchange([.json(200, Array(body.utf8))])).list(Pod.self, namespace: "db")
        #expect(list == ListResult(items: [], resourceVersion: "9"))
    }

    @Test(arguments: [
        #"{"items":[]}"#, #"{"metadata":{},"items":[]}"#, #"{"metadata":{"resourceVersion":"1"},"items":{}}"#, "",
    ])
    func listsThatAreNone(_ body: String) async throws {
        let client = APIClient(ScriptedExchange([.json(200, Array(body.utf8))]))
        let error = try await apiError { _ = try await client.list(Pod.self) }
        #expect(error.code == .undecodable)
    }

    @Test func anExpiredContinuationStartsOver() async throws {
        let (first, second) = (try fixture("podlist-page1.json"), try fixture("podlist-page2.json"))
        let expired = ScriptedExchange.Step.json(410, try fixture("status-expired.json"))
        let exchange = ScriptedExchange([
            .json(200, first), expired, .json(200, first), expired, .json(200, second),
        ])
        let list = try await APIClient(exchange).list(Pod.self)
        #expect(list.items.map(\.metadata.name) == ["orders-2"])
        #expect(list.undecodable.isEmpty)
        #expect(exchange.targets.map { $0.contains("continue") } == [false, true, false, true, false])
        #expect(exchange.targets.last == "/api/v1/pods")

        let hopeless = ScriptedExchange(Array(repeating: expired, count: 20))
        let error = try await apiError { _ = try await APIClient(hopeless).list(Pod.self) }
        #expect(error.code == .expired)
        #expect(hopeless.requests.count == 4)
    }

    @Test func aContinuationThatDoesNotGetOnIsAnError() async throws {
        let page = ScriptedExchange.Step.json(200, try fixture("podlist-page1.json"))
        let exchange = ScriptedExchange([page, page, page, page])
        let error = try await apiError { _ = try await APIClient(exchange).list(Pod.self) }
        #expect(error.code == .undecodable)
        #expect(exchange.requests.count == 2)
    }

    @Test func aPageThatIsTooLargeIsAskedForInSmallerPages() async throws {
        let huge = ScriptedExchange.Step.json(200, [UInt8](repeating: 0x20, count: (64 << 20) + 1))
        let exchange = ScriptedExchange([huge, .json(200, try fixture("podlist-page2.json"))])
        let list = try await APIClient(exchange).list(Pod.self)
        #expect(list.items.count == 1)
        #expect(exchange.targets == ["/api/v1/pods?limit=500", "/api/v1/pods?limit=50"])
    }

    @Test func anObjectThatIsTooLargeByItselfIsAnErrorAndNoCircle() async throws {
        let huge = ScriptedExchange.Step.json(200, [UInt8](repeating: 0x20, count: (64 << 20) + 1))
        let exchange = ScriptedExchange(Array(repeating: huge, count: 6))
        let error = try await apiError { _ = try await APIClient(exchange).list(Pod.self) }
        #expect(error.code == .answerTooLarge)
        #expect(exchange.targets == [500, 50, 5, 1].map { "/api/v1/pods?limit=\($0)" })
    }

    @Test func writes() async throws {
        let exchange = ScriptedExchange([
            .json(201, try fixture("pod.json")), .json(201, Array("not read".utf8)),
            .json(200, try fixture("restorerun.json")),
            .json(200, Array(#"{"kind":"Status","status":"Success"}"#.utf8)),
            .json(200, try fixture("pod.json")),
        ])
        let client = APIClient(exchange)
        let meta = ManifestMeta(name: "n", namespace: "db")
        let created = try await client.create(ConfigMapManifest(metadata: meta, data: [:]), as: Pod.self)
        #expect(created.metadata.name == "orders-0")
        try await client.create(SecretManifest(metadata: meta, stringData: [:]))
        let seen = Seen(ref: Ref(StatefulSet.resourceKind, "db", "orders"), uid: "u", resourceVersion: "1")
        let run = Seen(ref: Ref(RestoreRun.resourceKind, "db", "orders-1"), uid: "u-1", resourceVersion: "4001")
        let updated = try await client.replaceStatus(RestoreRun.self, of: run, with: RestoreRunStatus())
        #expect(updated.seen.resourceVersion == "4002")
        try await client.delete(seen)
        _ = try await client.patch(Pod.self, seen.ref, .finalizers([], of: seen))
        #expect(exchange.requests.map(\.method) == [.post, .post, .put, .delete, .patch])
    }

    @Test func aWriteWhoseAnswerDoesNotDecodeTookPlace() async throws {
        let client = APIClient(ScriptedExchange([.json(201, Array("{}".utf8))]))
        let manifest = ConfigMapManifest(metadata: ManifestMeta(name: "n", namespace: "db"), data: [:])
        let error = try await apiError { _ = try await client.create(manifest, as: ConfigMap.self) }
        #expect(error.code == .undecodable && error.httpStatus == 201 && !error.outcomeUnknown)
    }

    @Test func log() async throws {
        let exchange = ScriptedExchange([
            .json(200, Array("0123456789ABC".utf8)), .json(400, try fixture("status-log-waiting.json")),
        ])
        let client = APIClient(exchange)
        let pod = Ref(Pod.resourceKind, "db", "p")
        let options = LogOptions(container: "scan", limitBytes: 10)
        #expect(try await client.log(pod, options) == Array("0123456789".utf8))
        let error = try await apiError { _ = try await client.log(pod, options) }
        #expect(error.code == .notReady)
        #expect(error.disposition == .retry(after: nil))
    }

    @Test func aFollowedLog() async throws {
        let exchange = ScriptedExchange([
            .stream(200, [Array("one\ntw".utf8), Array("o\n".utf8)]),
            .json(400, try fixture("status-log-waiting.json")),
            // A 404 that does not name the pod says nothing about it.
            .json(404, try fixture("status-notfound-resource.json")),
            .failure(ExchangeError(.timedOut, "no head")),
        ])
        let client = APIClient(exchange, timeout: 5)
        let pod = Ref(Pod.resourceKind, "db", "p")
        let stream = try await client.follow(pod, container: "c", headTimeout: 60, idleTimeout: 300)
        #expect(try await stream.next() == Array("one\ntw".utf8))
        #expect(try await stream.next() == Array("o\n".utf8))
        #expect(try await stream.next() == nil)
        stream.close()
        for code in [APIError.Code.notReady, .unknownResource, .timedOut] {
            #expect(try await apiError { _ = try await client.follow(pod, container: "c") }.code == code)
        }
        #expect(exchange.closedStreams == 3)
        #expect(exchange.requests.first?.timeout == 60)
        #expect(exchange.requests.first?.idleTimeout == 300)
    }
}
