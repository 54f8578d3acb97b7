// SPDX-License-Identifier: Apache-2.0

import Curl
import Foundation
import Seams
import Testing

private struct Echo: Decodable {
    var method: String
    var target: String
    var headers: [[String]]
    var body: String

    func values(_ name: String) -> [String] {
        headers.filter { $0[0].lowercased() == name.lowercased() }.map { $0[1] }
    }
}

@Suite("Unary calls") struct UnaryTests {
    private func echo(_ exchange: CurlExchange, _ request: HTTPRequest) async throws -> Echo {
        try JSONDecoder().decode(Echo.self, from: Data(try await exchange.send(request).body))
    }

    @Test("any status is an answer", arguments: [200, 201, 400, 403, 404, 409, 410, 422, 429, 500, 503])
    func status(_ status: Int) async throws {
        try await Bench.run { bench in
            let response = try await bench.plain().send(HTTPRequest(.get, "/status/\(status)"))
            #expect(response.status == status)
            #expect(String(decoding: response.body, as: UTF8.self) == "status \(status)")
        }
    }

    @Test("a redirect is not followed")
    func redirect() async throws {
        try await Bench.run { bench in
            let response = try await bench.plain().send(HTTPRequest(.get, "/redirect"))
            #expect(response.status == 302)
            #expect(response.header("location") == "/status/200")
        }
    }

    @Test("early hints and trailers stay out of the head")
    func early() async throws {
        try await Bench.run { bench in
            let response = try await bench.plain().send(HTTPRequest(.get, "/early"))
            #expect(response.status == 200)
            #expect(response.body == Array("body".utf8))
            #expect(response.header("link") == nil)
            #expect(response.header("x-late") == nil)
        }
    }

    @Test("each method arrives as it was, also after another one on the same handle")
    func methods() async throws {
        try await Bench.run { bench in
            let exchange = try bench.plain()
            let body = Array("{\"a\":1}".utf8)
            for round in 0..<2 {
                for method in [HTTPMethod.post, .get, .put, .delete, .patch] {
                    for body in method == .get ? [[]] : [body, []] {
                        let request = HTTPRequest(method, "/echo?round=\(round)", body: body)
                        let seen = try await echo(exchange, request)
                        #expect(seen.method == method.rawValue)
                        #expect(seen.target == "/echo?round=\(round)")
                        #expect(seen.body == String(decoding: body, as: UTF8.self))
                        #expect(seen.values("expect") == [])
                        #expect(seen.values("content-type") == [])
                        let bare = body.isEmpty && (method == .get || method == .delete)
                        #expect(seen.values("content-length") == (bare ? [] : ["\(body.count)"]))
                    }
                }
                let head = try await exchange.send(HTTPRequest(.head, "/bytes/1000"))
                #expect(head.status == 200)
                #expect(head.header("content-length") == "1000")
                #expect(head.body == [])
            }
        }
    }

    @Test("headers and target arrive as they were")
    func headers() async throws {
        try await Bench.run { bench in
            let exchange = try bench.plain()
            let target = "/echo/../echo/%2F/x?b=2&a=%20"
            let request = HTTPRequest(
                .post, "/echo?b=2&a=%20&c=",
                headers: [
                    HTTPHeader("Content-Type", "application/merge-patch+json"), HTTPHeader("Authorization", "Bearer t"),
                    HTTPHeader("X-Nothing", ""), HTTPHeader("X-Name", "é"),
                ])
            let seen = try await echo(exchange, request)
            #expect(seen.target == "/echo?b=2&a=%20&c=")
            #expect(seen.values("content-type") == ["application/merge-patch+json"])
            #expect(seen.values("authorization") == ["Bearer t"])
            #expect(seen.values("x-nothing") == [""])
            let next = try await echo(exchange, HTTPRequest(.get, target))
            #expect(next.target == target)
            #expect(next.values("authorization") == [])
            let response = try await exchange.send(HTTPRequest(.get, "/echo"))
            #expect(response.headers.filter { $0.name == "X-Twice" }.map(\.value) == ["a", "b"])
            #expect(response.header("x-empty") == "")
        }
    }

    @Test("large bodies both ways")
    func large() async throws {
        try await Bench.run { bench in
            let exchange = try bench.plain()
            let down = try await exchange.send(HTTPRequest(.get, "/bytes/30000000"))
            #expect(down.body.count == 30_000_000)
            #expect(isPattern(down.body))
            let up = [UInt8](repeating: 0x61, count: 3_000_000)
            let seen = try await echo(exchange, HTTPRequest(.put, "/echo", body: up))
            #expect(seen.body == String(decoding: up, as: UTF8.self))
        }
    }

    @Test("an answer may be as large as the limit and no larger")
    func limits() async throws {
        try await Bench.run { bench in
            let exchange = try bench.plain { $0.bodyLimit = 100_000 }
            #expect(try await exchange.send(HTTPRequest(.get, "/bytes/100000")).body.count == 100_000)
            #expect(await codeOf { try await exchange.send(HTTPRequest(.get, "/bytes/100001")) } == .connectionLost)
            #expect(try await exchange.send(HTTPRequest(.get, "/headers/50")).headers.count >= 50)
            #expect(await codeOf { try await exchange.send(HTTPRequest(.get, "/headers/300")) } == .connectionLost)
        }
    }

    @Test("a request that can't be sent as it stands is refused")
    func invalid() async throws {
        try await Bench.run { bench in
            let exchange = try bench.plain()
            let requests = [
                HTTPRequest(.get, "status/200"), HTTPRequest(.get, "/a b"), HTTPRequest(.get, "/a#b"),
                HTTPRequest(.get, "/é"), HTTPRequest(.get, "/a\r\nX: y"), HTTPRequest(.get, "/", body: [1]),
                HTTPRequest(.get, "/", headers: [HTTPHeader("X Y", "z")]),
                HTTPRequest(.get, "/", headers: [HTTPHeader("", "z")]),
                HTTPRequest(.get, "/", headers: [HTTPHeader("X", "a\r\nY: b")]),
            ]
            for request in requests {
                #expect(await codeOf { try await exchange.send(request) } == .invalidRequest)
                #expect(await codeOf { try await exchange.open(request) } == .invalidRequest)
            }
            for origin in ["", "localhost", "ftp://x", "https://", "https://a/b", "https://u@a", "http://a b"] {
                #expect(throws: ExchangeError.self) { try CurlExchange(loop: bench.loop, origin: origin) }
            }
        }
    }

    @Test("a thousand in a row use one connection")
    func sequence() async throws {
        try await Bench.run { bench in
            let exchange = try bench.plain()
            for number in 0..<1_000 {
                let response = try await exchange.send(HTTPRequest(.get, "/bytes/\(number)"))
                #expect(response.body.count == number)
            }
            #expect(await exchange.connectionsOpened() == 1)
        }
    }

    @Test("64 at once, many times, within the connections allowed")
    func concurrency() async throws {
        try await Bench.run { bench in
            let exchange = try bench.plain { $0.connections = 8 }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for worker in 0..<64 {
                    group.addTask {
                        for round in 0..<20 {
                            let size = worker * 100 + round
                            let response = try await exchange.send(HTTPRequest(.get, "/bytes/\(size)"))
                            #expect(response.body.count == size)
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(await exchange.connectionsOpened() <= 8)
        }
    }

    @Test("AWS signatures: scope, signed headers and token")
    func signing() async throws {
        try await Bench.run { bench in
            let exchange = try bench.plain {
                $0.signing = S3Signing(
                    region: "eu-west-1", accessKey: "AKID:X", secretKey: "hidden", sessionToken: "token")
            }
            let hash = HTTPHeader("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
            for request in [
                HTTPRequest(.get, "/echo?a=", headers: [hash]),
                HTTPRequest(.put, "/echo", headers: [hash], body: [1, 2]),
            ] {
                let seen = try await echo(exchange, request)
                let signature = try #require(seen.values("authorization").first)
                #expect(signature.hasPrefix("AWS4-HMAC-SHA256 Credential=AKID:X/"))
                #expect(signature.contains("/eu-west-1/s3/aws4_request"))
                #expect(signature.contains("x-amz-security-token"))
                #expect(!signature.contains("hidden"))
                #expect(seen.values("x-amz-security-token") == ["token"])
                #expect(seen.values("x-amz-content-sha256") == ["UNSIGNED-PAYLOAD"])
            }
        }
    }
}
