// SPDX-License-Identifier: Apache-2.0

import Curl
import Seams
import Testing

@Suite("TLS") struct TLSTests {
    @Test("our authority from memory is trusted, for calls and streams")
    func trusted() async throws {
        try await Bench.run { bench in
            let authority = try bench.server.pem("server-ca")
            let exchange = try bench.exchange("https", bench.server.ports.tls) { $0.tls.authorities = authority }
            #expect(try await exchange.send(HTTPRequest(.get, "/status/200")).status == 200)
            #expect(try await exchange.open(HTTPRequest(.get, "/status/200")).head.status == 200)
        }
    }

    @Test("another authority, none, or no authority at all: tls", arguments: ["other-ca", "", "garbage"])
    func distrusted(_ name: String) async throws {
        try await Bench.run { bench in
            let authority: [UInt8]? =
                switch name {
                case "": nil
                case "garbage": Array("not a certificate".utf8)
                default: try bench.server.pem(name)
                }
            let exchange = try bench.exchange("https", bench.server.ports.tls) { $0.tls.authorities = authority }
            #expect(await codeOf { try await exchange.send(HTTPRequest(.get, "/status/200")) } == .tls)
            #expect(await codeOf { try await exchange.open(HTTPRequest(.get, "/status/200")) } == .tls)
        }
    }

    @Test("a certificate for another name: tls")
    func wrongName() async throws {
        try await Bench.run { bench in
            var settings = CurlExchange.Settings()
            settings.tls.authorities = try bench.server.pem("server-ca")
            let port = bench.server.ports.tls
            let exchange = try CurlExchange(loop: bench.loop, origin: "https://127.0.0.2:\(port)", settings: settings)
            // The server listens on 127.0.0.1 only, unless the system maps the whole of 127/8 there.
            let code = await codeOf { try await exchange.send(HTTPRequest(.get, "/status/200")) }
            #expect(code == .tls || code == .unreachable)
        }
    }

    @Test("a client certificate and key from memory")
    func clientCertificate() async throws {
        try await Bench.run { bench in
            let authority = try bench.server.pem("server-ca")
            let (certificate, key) = (try bench.server.pem("client"), try bench.server.key("client"))
            let exchange = try bench.exchange("https", bench.server.ports.mutual) {
                $0.tls = .init(authorities: authority, certificate: certificate, key: key)
            }
            for _ in 0..<3 {
                #expect(try await exchange.send(HTTPRequest(.get, "/status/200")).status == 200)
                #expect(try await exchange.open(HTTPRequest(.get, "/status/200")).head.status == 200)
            }
        }
    }

    @Test("no client certificate, one of a stranger, or one that is none: tls", arguments: ["", "server", "garbage"])
    func noClientCertificate(_ name: String) async throws {
        try await Bench.run { bench in
            var tls = CurlExchange.TLS(authorities: try bench.server.pem("server-ca"))
            if name == "server" {
                tls.certificate = try bench.server.pem(name)
                tls.key = try bench.server.key(name)
            } else if name == "garbage" {
                tls.certificate = Array("nothing".utf8)
                tls.key = Array("nothing".utf8)
            }
            let exchange = try bench.exchange("https", bench.server.ports.mutual) { $0.tls = tls }
            #expect(await codeOf { try await exchange.send(HTTPRequest(.get, "/status/200")) } == .tls)
            #expect(await codeOf { try await exchange.open(HTTPRequest(.get, "/status/200")) } == .tls)
        }
    }

    @Test("TLS spoken to a server that speaks none: tls; plain HTTP to one that speaks TLS: lost")
    func mixedUp() async throws {
        try await Bench.run { bench in
            let plain = try bench.exchange("https", bench.server.ports.plain)
            #expect(await codeOf { try await plain.send(HTTPRequest(.get, "/status/200")) } == .tls)
            let tls = try bench.exchange("http", bench.server.ports.tls)
            #expect(await codeOf { try await tls.send(HTTPRequest(.get, "/status/200")) } == .connectionLost)
        }
    }
}
