// SPDX-License-Identifier: Apache-2.0

import Curl
import Foundation
import JSON
import KubeClient
import Resources
import Seams
import TestSupport

/// What a watch told before the sentinel, or the answer that was no stream.
struct Watched: Sendable {
    var refusal: HTTPResponse?
    var events: [JSONValue] = []
}

/// One of the two sides: the same requests go to both.
protocol Server: Sendable {
    /// Makes the namespace of a sequence.
    func begin(_ namespace: String) async throws -> Memory
    func send(_ request: HTTPRequest) async throws -> HTTPResponse
    /// Whether the last request asked for a change that was ignored.
    var hasIgnored: Bool { get }
    /// The events of a watch, up to the sentinel of this name.
    func watch(_ request: HTTPRequest, until sentinel: String) async throws -> Watched
}

/// The real one.
struct RealServer: Server {
    private let exchange: any Exchange
    var hasIgnored: Bool { false }

    init(kubeconfig: String, loop: EventLoop, time: SystemTimekeeper) throws {
        let access = try ClusterAccess.find(kubeconfig: kubeconfig, environment: [:], readFile: Self.readFile)
        var settings = CurlExchange.Settings()
        settings.tls = CurlExchange.TLS(
            authorities: access.caPEM, certificate: access.clientCertificatePEM, key: access.clientKeyPEM)
        exchange = try CurlExchange(loop: loop, origin: access.server.origin, settings: settings)
    }

    private static func readFile(_ path: String) throws -> [UInt8]? {
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        return [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    }

    /// Asks for each kind from the server's cache, which it only then fills: a watch from before that would be too old.
    func warm() async throws {
        for ground in KindGround.all {
            let root = ground.kind.group.isEmpty ? "/api/v1" : "/apis/\(ground.kind.apiVersion)"
            let answer = try await send(HTTPRequest(.get, "\(root)/\(ground.kind.plural)?resourceVersion=0"))
            guard answer.status == 200 else { throw Failure("\(ground.kind.kind) is not there: HTTP \(answer.status)") }
        }
    }

    func begin(_ namespace: String) async throws -> Memory {
        let body: JSONValue = ["apiVersion": "v1", "kind": "Namespace", "metadata": ["name": .string(namespace)]]
        let made = try await exchange.send(
            HTTPRequest(
                .post, "/api/v1/namespaces", headers: [HTTPHeader("Content-Type", "application/json")],
                body: body.bytes))
        let object = try JSON.decode(JSONValue.self, from: made.body)
        guard made.status == 201, let version = object.text("metadata", "resourceVersion") else {
            throw Failure("namespace \(namespace): HTTP \(made.status)")
        }
        // As the server writes it: the version of the list and where it goes on.
        let token = Data("{\"v\":\"meta.k8s.io/v1\",\"rv\":2,\"start\":\"a\\u0000\"}".utf8).base64EncodedString()
        let expired = token.replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
        return Memory(namespace: namespace, start: version, expired: expired)
    }

    /// A server that refuses before it has read the body may reset the stream just behind its answer, and libcurl 7.88
    /// then loses the answer. Nothing was done, so the request is sent again.
    func send(_ request: HTTPRequest) async throws -> HTTPResponse {
        var attempts = 0
        while true {
            do { return try await exchange.send(request) } catch let error as ExchangeError {
                attempts += 1
                if attempts < 4, error.code == .connectionLost, error.message.contains("framing layer") { continue }
                let body = String(decoding: request.body.prefix(300), as: UTF8.self)
                throw Failure("\(error.message): \(request.method.rawValue) \(request.target) \(body)")
            }
        }
    }

    func watch(_ request: HTTPRequest, until sentinel: String) async throws -> Watched {
        let stream = try await exchange.open(request)
        defer { stream.close() }
        var bytes: [UInt8] = []
        var watched = Watched()
        while let piece = try await stream.next() {
            bytes += piece
            if stream.head.status != 200 { continue }
            while let end = bytes.firstIndex(of: 0x0A) {
                let event = try JSON.decode(JSONValue.self, from: bytes[..<end])
                bytes.removeSubrange(...end)
                if Sentinel.name(event) == sentinel { return watched }
                watched.events.append(event)
                if event["type"] == "ERROR" { return watched }
            }
        }
        if stream.head.status == 200 {
            throw Failure("a watch ended without the sentinel \(sentinel): \(request.target)")
        } else {
            watched.refusal = HTTPResponse(status: stream.head.status, headers: stream.head.headers, body: bytes)
        }
        return watched
    }
}

/// The model, a fresh one for each sequence.
final class ModelServer: Server, @unchecked Sendable {
    private let api: ModelAPI
    private(set) var hasIgnored = false

    init(quirk: ModelQuirk?) {
        api = ModelAPI(Scheduler(seed: 1), seed: 1)
        api.quirk = quirk
        api.schemas = ModelSchema.all
        api.defaultStorageClass = "hostpath"
    }

    func begin(_ namespace: String) async throws -> Memory {
        api.addNamespace(namespace)
        api.compact()
        return Memory(namespace: namespace, start: "\(api.revision)", expired: "1:\(namespace)/a")
    }

    func send(_ request: HTTPRequest) async throws -> HTTPResponse {
        api.hasIgnored = false
        defer { hasIgnored = api.hasIgnored }
        return api.handle(request)
    }

    func watch(_ request: HTTPRequest, until sentinel: String) async throws -> Watched {
        switch ModelWatch.replay(request, api) {
        case .failure(let refusal): return Watched(refusal: refusal.response)
        case .success(let events):
            let last = events.firstIndex { Sentinel.name($0) == sentinel }
            return Watched(events: Array(events[..<(last ?? events.count)]))
        }
    }
}

/// Why nothing can be compared.
struct Failure: Error, CustomStringConvertible {
    var description: String

    init(_ description: String) { self.description = description }
}
