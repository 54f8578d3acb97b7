// SPDX-License-Identifier: Apache-2.0

import Curl
import Foundation
import ObjectStore
import Seams
import Testing

/// What libcurl really sends, held against AWS's published examples and against an implementation of its own in
/// `Fixtures/signature_server.py`.
@Suite struct SigningTests {
    static let access = "AKIAIOSFODNN7EXAMPLE"
    static let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    static let digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

    struct Example: Sendable {
        var target: String
        var range: String?
        var signature: String
    }

    /// From "Signature Calculations for the Authorization Header" of the S3 API reference. The query key without a value
    /// is written with its `=`, as everywhere here: libcurl signs the target as it stands.
    static let examples = [
        Example(
            target: "/test.txt", range: "bytes=0-9",
            signature: "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
        Example(
            target: "/?lifecycle=", signature: "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        Example(
            target: "/?max-keys=2&prefix=J",
            signature: "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ]

    @Test("libcurl's signatures are those of AWS's examples", arguments: examples)
    func publishedExamples(_ example: Example) async throws {
        try await Store.run { store in
            var headers = [
                HTTPHeader("Host", "examplebucket.s3.amazonaws.com"), HTTPHeader("X-Amz-Date", "20130524T000000Z"),
                HTTPHeader("x-amz-content-sha256", Self.digest),
            ]
            if let range = example.range { headers.append(HTTPHeader("Range", range)) }
            let response = try await store.exchange().send(HTTPRequest(.get, example.target, headers: headers))
            let seen = String(decoding: response.body, as: UTF8.self)
            #expect(seen.contains(example.signature), "\(seen)")
        }
    }

    static let oddTexts = [
        "plain", "with blank", "plus+sign", "äöü/日本語", "a//b", "/leading", "trailing/", "q?&=#%", "tilde~-_.", "!*'()",
        "semi;colon:at@comma,$", "per%2Fcent", "quote\"<&>", "..", "a/./b/../c",
    ]

    @Test("keys and prefixes of any kind are signed as they are sent", arguments: oddTexts)
    func oddKeys(_ text: String) async throws {
        try await Store.run { store in
            for pathStyle in [true, false] {
                let bucket = try store.bucket(pathStyle: pathStyle)
                let read = try #require(try await bucket.read(text, limit: 4_096))
                #expect(String(decoding: read, as: UTF8.self).contains("bytes=0-4096"))
                let listed = try await bucket.list(prefix: text, delimiter: "/", startAfter: text)
                let query = try #require(listed.objects.first?.key.split(separator: "?").last)
                #expect(query.split(separator: "&").map { $0.split(separator: "=")[0] }.sorted().count == 6)
                _ = try await bucket.list(prefix: text, continuation: "\(text)+/==", limit: 7)
            }
        }
    }

    @Test("an empty prefix is signed")
    func emptyValue() async throws {
        try await Store.run { store in
            let page = try await store.bucket(pathStyle: true).list(prefix: "")
            #expect(page.objects.first?.key.contains("&prefix=") == true)
        }
    }

    @Test("a session token is sent and signed")
    func sessionToken() async throws {
        try await Store.run { store in
            let bucket = try store.bucket(pathStyle: true, token: "a/token+with=signs==")
            let body = try #require(try await bucket.read("k", limit: 4_096))
            #expect(String(decoding: body, as: UTF8.self).contains("a/token+with=signs=="))
        }
    }

    @Test("a wrong secret is told apart")
    func wrongSecret() async throws {
        try await Store.run { store in
            let bucket = try store.bucket(pathStyle: true, secret: "another")
            await #expect { try await bucket.list(prefix: "") } throws: {
                ($0 as? ObjectStoreError)?.code == .wrongCredentials
            }
        }
    }

    @Test(
        "the traps are there: what libcurl signs as it stands, a store does not accept",
        arguments: ["/?prefix=a&max-keys=2", "/?lifecycle", "/a%2fb?x=", "/?prefix=a/b", "/?prefix=a+b", "/a+b"])
    func traps(_ target: String) async throws {
        try await Store.run { store in
            let digest = HTTPHeader("x-amz-content-sha256", Self.digest)
            let response = try await store.exchange().send(HTTPRequest(.get, target, headers: [digest]))
            #expect(response.status == 403)
        }
    }
}

/// One process of `Fixtures/signature_server.py` and an event loop, for one test.
private struct Store {
    let loop: EventLoop
    let port: Int

    static func run(_ body: (Store) async throws -> Void) async throws {
        let script = URL(filePath: #filePath).deletingLastPathComponent().appending(
            path: "Fixtures/signature_server.py")
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["python3", script.path]
        let (input, output) = (Pipe(), Pipe())
        (process.standardInput, process.standardOutput) = (input, output)
        try process.run()
        var line = Data()
        while !line.contains(0x0A) {
            let more = output.fileHandleForReading.availableData
            try #require(!more.isEmpty, "the signature server did not start")
            line += more
        }
        let port = try #require(Int(String(decoding: line.dropLast(), as: UTF8.self)))
        let loop = try EventLoop(name: "test-loop")
        defer {
            loop.shutdown()
            try? input.fileHandleForWriting.close()
            process.waitUntilExit()
        }
        try await body(Store(loop: loop, port: port))
    }

    func exchange(secret: String = SigningTests.secret, token: String? = nil) throws -> CurlExchange {
        var settings = CurlExchange.Settings()
        settings.signing = S3Signing(
            region: "us-east-1", accessKey: SigningTests.access, secretKey: secret, sessionToken: token)
        return try CurlExchange(loop: loop, origin: "http://127.0.0.1:\(port)", settings: settings)
    }

    func bucket(
        pathStyle: Bool, secret: String = SigningTests.secret, token: String? = nil
    ) throws -> ObjectStore {
        ObjectStore(
            exchange: try exchange(secret: secret, token: token), time: SystemTimekeeper(loop), bucket: "bkt",
            pathStyle: pathStyle)
    }
}
