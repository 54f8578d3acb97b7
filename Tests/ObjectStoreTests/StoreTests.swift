// SPDX-License-Identifier: Apache-2.0

import Resources
import Seams
import Synchronization
import Testing

@testable import ObjectStore

@Suite struct StoreTests {
    static let empty = HTTPResponse(status: 200, body: Array("<ListBucketResult></ListBucketResult>".utf8))

    static func refusal(_ status: Int, _ code: String, _ more: String = "", _ headers: [HTTPHeader] = [])
        -> HTTPResponse
    {
        let body = code.isEmpty ? "" : "<Error><Code>\(code)</Code><Message>m</Message>\(more)</Error>"
        return HTTPResponse(status: status, headers: headers, body: Array(body.utf8))
    }

    @Test("a listing's query is sorted and encoded")
    func query() async throws {
        let script = Script([.success(Self.empty), .success(Self.empty), .success(Self.empty)])
        let store = script.store()
        _ = try await store.list(prefix: "a b/ü", delimiter: "/", startAfter: "a b/+")
        _ = try await store.list(prefix: "", startAfter: "ignored", continuation: "t==", limit: 5_000)
        #expect(
            script.targets == [
                "/my-bkt/?delimiter=%2F&encoding-type=url&list-type=2&max-keys=1000&prefix=a%20b%2F%C3%BC"
                    + "&start-after=a%20b%2F%2B",
                "/my-bkt/?continuation-token=t%3D%3D&encoding-type=url&list-type=2&max-keys=1000&prefix=",
            ])
        _ = try await script.store(pathStyle: false).list(prefix: "p", limit: 3)
        #expect(script.targets.last == "/?encoding-type=url&list-type=2&max-keys=3&prefix=p")
    }

    @Test("a store that repeats a page's token is not followed for ever")
    func endlessListing() async {
        let body =
            "<ListBucketResult><IsTruncated>true</IsTruncated>"
            + "<NextContinuationToken>t</NextContinuationToken></ListBucketResult>"
        let script = Script([.success(HTTPResponse(status: 200, body: Array(body.utf8)))])
        #expect(await script.failure { try await $0.list(prefix: "", continuation: "t") }?.code == .unexpected)
    }

    @Test("an object is read up to a limit")
    func read() async throws {
        let three = HTTPResponse(status: 206, body: [1, 2, 3])
        let script = Script([
            .success(three), .success(three), .success(Self.refusal(404, "NoSuchKey")),
            .success(Self.refusal(416, "InvalidRange")),
        ])
        let store = script.store()
        #expect(try await store.read("k", limit: 3) == [1, 2, 3])
        #expect(script.ranges == ["bytes=0-3"])
        #expect(await script.failure { try await $0.read("k", limit: 2) }?.code == .tooLarge)
        #expect(try await store.read("k", limit: 3) == nil)
        #expect(try await store.read("k", limit: 3) == [])
    }

    @Test("what may pass is tried again, each time after twice the wait, and not for ever")
    func retries() async {
        let down = Script(Array(repeating: .failure(ExchangeError(.unreachable, "refused")), count: 9))
        #expect(await down.failure { try await $0.list(prefix: "") }?.code == .unreachable)
        #expect(down.waits == [500, 1_000, 2_000, 4_000])
        #expect(down.targets.count == 5)
    }

    @Test(
        "the store's own wait is kept, within reason",
        arguments: [("2", 2_000), ("0", 0), ("3600", 30_000), ("soon", 500), ("-1", 500), (nil, 500)]
            as [(String?, Milliseconds)])
    func retryAfter(_ value: String?, _ wait: Milliseconds) async throws {
        let headers = value.map { [HTTPHeader("Retry-After", $0)] } ?? []
        let script = Script([.success(Self.refusal(503, "SlowDown", "", headers)), .success(Self.empty)])
        _ = try await script.store().list(prefix: "")
        #expect(script.waits == [wait])
    }

    struct Refusal: Sendable {
        var response: HTTPResponse
        var code: ObjectStoreError.Code
        var says: String
        var tries = 1
    }

    static let refusals = [
        Refusal(
            response: refusal(301, "PermanentRedirect", "<Endpoint>b.s3.eu-west-1.amazonaws.com</Endpoint>"),
            code: .wrongRegion, says: "at b.s3.eu-west-1.amazonaws.com"),
        Refusal(
            response: refusal(301, "", "", [HTTPHeader("x-amz-bucket-region", "eu-west-1")]), code: .wrongRegion,
            says: "in region eu-west-1"),
        Refusal(response: refusal(307, "TemporaryRedirect"), code: .wrongRegion, says: "307"),
        Refusal(
            response: refusal(400, "AuthorizationHeaderMalformed", "<Region>eu-central-1</Region>"), code: .wrongRegion,
            says: "in region eu-central-1"),
        Refusal(response: refusal(400, "AuthorizationHeaderMalformed"), code: .wrongCredentials, says: "scope"),
        Refusal(
            response: refusal(301, "PermanentRedirect", "<Endpoint>a b\u{7}</Endpoint>"), code: .wrongRegion,
            says: "elsewhere (HTTP 301"),
        Refusal(response: refusal(403, "AccessDenied"), code: .accessDenied, says: "may not"),
        Refusal(response: refusal(403, "<x>"), code: .accessDenied, says: "HTTP 403)"),
        Refusal(response: refusal(403, "SignatureDoesNotMatch"), code: .wrongCredentials, says: "secret key"),
        Refusal(response: refusal(403, "InvalidAccessKeyId"), code: .wrongCredentials, says: "access key"),
        Refusal(response: refusal(400, "ExpiredToken"), code: .wrongCredentials, says: "session token"),
        Refusal(response: refusal(403, "RequestTimeTooSkewed"), code: .clockSkew, says: "clock"),
        Refusal(response: refusal(404, "NoSuchBucket"), code: .noSuchBucket, says: "bucket"),
        Refusal(response: refusal(404, ""), code: .unexpected, says: "S3 endpoint"),
        Refusal(response: refusal(400, "InvalidArgument"), code: .unexpected, says: "InvalidArgument"),
        Refusal(response: refusal(503, "SlowDown"), code: .overloaded, says: "fewer requests", tries: 5),
        Refusal(response: refusal(429, ""), code: .overloaded, says: "429", tries: 5),
        Refusal(response: refusal(500, "InternalError"), code: .unreachable, says: "in trouble", tries: 5),
    ]

    @Test("refusals say what is wrong", arguments: refusals)
    func refused(_ refusal: Refusal) async {
        let script = Script(Array(repeating: .success(refusal.response), count: 9))
        let failure = await script.failure { try await $0.list(prefix: "p") }
        #expect(failure?.code == refusal.code)
        #expect(failure?.message.contains(refusal.says) == true, "\(failure?.message ?? "")")
        #expect(script.targets.count == refusal.tries)
    }

    @Test("a task that is cancelled ends as such")
    func cancelled() async {
        let script = Script([.failure(CancellationError())])
        await #expect(throws: CancellationError.self) { try await script.store().list(prefix: "") }
        #expect(script.targets.count == 1)
    }
}

/// Answers as it is told, and notes what was asked; its clock stands still but for the waits.
private final class Script: Exchange, Timekeeper {
    private struct State {
        var answers: [Result<HTTPResponse, any Error>]
        var requests: [HTTPRequest] = []
        var waits: [Milliseconds] = []
    }

    private let state: Mutex<State>

    init(_ answers: [Result<HTTPResponse, any Error>]) { state = Mutex(State(answers: answers)) }

    var targets: [String] { state.withLock { $0.requests.map(\.target) } }
    var ranges: [String] {
        state.withLock { $0.requests.flatMap { $0.headers.filter { $0.name == "Range" }.map(\.value) } }
    }
    var waits: [Milliseconds] { state.withLock { $0.waits } }

    func store(pathStyle: Bool = true) -> ObjectStore {
        ObjectStore(exchange: self, time: self, bucket: "my-bkt", pathStyle: pathStyle)
    }

    func failure(_ work: (ObjectStore) async throws -> some Sendable) async -> ObjectStoreError? {
        do {
            _ = try await work(store())
            return nil
        } catch { return error as? ObjectStoreError }
    }

    func send(_ request: HTTPRequest) async throws -> HTTPResponse {
        try state.withLock {
            $0.requests.append(request)
            guard !$0.answers.isEmpty else { throw ExchangeError(.invalidRequest, "nothing left to answer with") }
            return try $0.answers.removeFirst().get()
        }
    }

    func open(_ request: HTTPRequest) async throws -> any HTTPStream {
        throw ExchangeError(.invalidRequest, "no streams")
    }

    var now: Timestamp { Timestamp(seconds: 0) }
    var uptime: Uptime { Uptime(milliseconds: 7) }
    func sleep(until moment: Uptime, for purpose: TimerPurpose) async throws {
        state.withLock { $0.waits.append(moment.since(uptime)) }
    }
}
