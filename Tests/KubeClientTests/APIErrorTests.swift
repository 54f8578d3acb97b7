// SPDX-License-Identifier: Apache-2.0

import KubeClient
import Resources
import Seams
import Testing

@Suite struct APIErrorTests {
    struct Row: Sendable, CustomTestStringConvertible {
        var file: String
        var status: Int
        var code: APIError.Code
        var disposition: Disposition
        var outcomeUnknown = false

        var testDescription: String { file }
    }

    private static let manifest = ConfigMapManifest(metadata: ManifestMeta(name: "n", namespace: "db"), data: [:])
    private static let seen = Seen(ref: Ref(Job.resourceKind, "db", "j"), uid: "u", resourceVersion: "1")

    @Test(arguments: [
        Row(file: "notfound-object", status: 404, code: .notFound, disposition: .conflict),
        Row(file: "notfound-namespace", status: 404, code: .notFound, disposition: .conflict),
        Row(file: "notfound-resource", status: 404, code: .unknownResource, disposition: .retry(after: nil)),
        Row(file: "alreadyexists", status: 409, code: .alreadyExists, disposition: .conflict),
        Row(file: "conflict", status: 409, code: .conflict, disposition: .conflict),
        Row(file: "conflict-uid", status: 409, code: .conflict, disposition: .conflict),
        Row(file: "invalid-uid", status: 422, code: .preconditionFailed, disposition: .conflict),
        Row(file: "invalid", status: 422, code: .invalid, disposition: .terminal),
        Row(file: "patch-test-failed", status: 422, code: .invalid, disposition: .terminal),
        Row(file: "forbidden", status: 403, code: .forbidden, disposition: .retry(after: nil)),
        Row(file: "namespace-terminating", status: 403, code: .forbidden, disposition: .terminal),
        Row(file: "unauthorized", status: 401, code: .unauthorized, disposition: .retry(after: nil)),
        Row(file: "toomanyrequests", status: 429, code: .tooManyRequests, disposition: .retry(after: 1_000)),
        Row(file: "expired", status: 410, code: .expired, disposition: .retry(after: nil)),
        Row(
            file: "timeout", status: 504, code: .serverTimeout, disposition: .retry(after: nil), outcomeUnknown: true),
        Row(
            file: "servertimeout", status: 500, code: .serverTimeout, disposition: .retry(after: 2_000),
            outcomeUnknown: true),
        Row(
            file: "internalerror", status: 500, code: .serverError, disposition: .retry(after: nil),
            outcomeUnknown: true),
    ])
    func mapping(_ row: Row) async throws {
        let body = try fixture("status-\(row.file).json")
        let exchange = ScriptedExchange([.json(row.status, body), .json(row.status, body)])
        let client = APIClient(exchange)
        let write = try await apiError { try await client.create(Self.manifest) }
        #expect(write.code == row.code)
        #expect(write.disposition == row.disposition)
        #expect(write.outcomeUnknown == row.outcomeUnknown)
        #expect(write.httpStatus == row.status)
        #expect(!write.message.isEmpty)
        let read = try await apiError { _ = try await client.list(Pod.self).items }
        #expect(!read.outcomeUnknown)
    }

    @Test(arguments: [
        (301, APIError.Code.serverError), (400, .badRequest), (404, .unknownResource), (405, .unsupported),
        (409, .conflict), (412, .preconditionFailed), (413, .tooLarge), (415, .unsupported), (418, .badRequest),
        (422, .invalid), (429, .tooManyRequests), (500, .serverError), (502, .serverError), (503, .serverError),
        (504, .serverTimeout), (599, .serverError),
    ])
    func answersThatAreNoStatus(_ status: Int, _ code: APIError.Code) async throws {
        for body in ["", "404 page not found\n", "<html>", "[1]", #"{"kind":"Pod"}"#, #"{"kind":7}"#] {
            let client = APIClient(ScriptedExchange([.json(status, Array(body.utf8))]))
            let error = try await apiError { try await client.create(Self.manifest) }
            #expect(error.code == code)
            #expect(error.message == "HTTP \(status) without a Status from the API server")
        }
    }

    @Test func aFailedTestOfAJSONPatchIsAPrecondition() async throws {
        let patch = Patch(.json, body: Array("[]".utf8))
        for (file, code) in [("patch-test-failed", APIError.Code.preconditionFailed), ("invalid", .invalid)] {
            let client = APIClient(ScriptedExchange([.json(422, try fixture("status-\(file).json"))]))
            let error = try await apiError { _ = try await client.patch(Job.self, Self.seen.ref, patch) }
            #expect(error.code == code)
        }
    }

    @Test(
        arguments: [
            ("7", "", 7_000), ("0", "", 0), ("999999999", "", 3_600_000), ("-1", "", nil), ("soon", "", nil),
            ("Sat, 03 Jan 2026 00:01:00 GMT", "Fri, 02 Jan 2026 23:59:30 GMT", 90_000),
            ("Fri, 02 Jan 2026 23:59:30 GMT", "Sat, 03 Jan 2026 00:01:00 GMT", 0),
            ("Sat, 03 Jan 2026 00:01:00 GMT", "", nil), ("Sat, 03 Foo 2026 00:01:00 GMT", "x", nil),
        ] as [(String, String, Int64?)])
    func retryAfter(_ header: String, _ date: String, _ expected: Int64?) async throws {
        let headers = [HTTPHeader("retry-after", header), HTTPHeader("date", date)]
        let client = APIClient(ScriptedExchange([.json(503, [], headers: headers)]))
        let error = try await apiError { try await client.delete(Self.seen) }
        #expect(error.retryAfter == expected)
        #expect(error.disposition == .retry(after: expected))
    }

    @Test(arguments: [
        (ExchangeError.Code.unreachable, APIError.Code.unreachable, false),
        (.timedOut, .timedOut, true), (.connectionLost, .connectionLost, true), (.tls, .tls, false),
        (.invalidRequest, .invalidRequest, false),
    ])
    func exchangeErrors(_ code: ExchangeError.Code, _ expected: APIError.Code, _ unknown: Bool) async throws {
        let failure = ScriptedExchange.Step.failure(ExchangeError(code, "why"))
        let client = APIClient(ScriptedExchange([failure, failure, failure]))
        let write = try await apiError { try await client.delete(Self.seen) }
        #expect(write.code == expected)
        #expect(write.outcomeUnknown == unknown)
        let read = try await apiError { _ = try await client.get(Pod.self, "db", "p") }
        #expect(read.code == expected && !read.outcomeUnknown)
        let watch = try await apiError { _ = try await client.watch(Pod.self, from: "1") }
        #expect(watch.code == expected)
    }

    @Test func cancellationStaysCancellation() async throws {
        let client = APIClient(ScriptedExchange([.failure(CancellationError()), .failure(CancellationError())]))
        await #expect(throws: CancellationError.self) { try await client.delete(Self.seen) }
        await #expect(throws: CancellationError.self) { try await client.watch(Pod.self, from: "1") }
    }

    @Test func aSecretIsNeverRepeated() async throws {
        let body = #"{"kind":"Status","message":"json: ...|hunter2|","reason":"BadRequest","code":400}"#
        let client = APIClient(
            ScriptedExchange([.json(400, Array(body.utf8)), .json(403, try fixture("status-forbidden.json"))]))
        let manifest = SecretManifest(metadata: ManifestMeta(name: "n", namespace: "db"), stringData: ["p": "hunter2"])
        let error = try await apiError { try await client.create(manifest) }
        #expect(!"\(error)".contains("hunter2"))
        let forbidden = try await apiError { try await client.create(manifest) }
        #expect(forbidden.message.contains("cannot create"))
    }

    @Test func textsAreBoundedAndClean() {
        let error = APIError(.serverError, String(repeating: "x\n", count: 5_000), reason: "a\u{1B}[31m")
        #expect(error.message.count == 1_024)
        #expect(!error.description.contains { $0.isNewline || $0 == "\u{1B}" })
    }
}
