// SPDX-License-Identifier: Apache-2.0

import KubeClient
import Testing

@Suite struct KubeconfigTests {
    static let pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    static let pemBase64 = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUIKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo="

    private func find(
        _ files: [String: String], path: String? = nil, context: String? = nil, environment: [String: String] = [:]
    ) throws -> ClusterAccess {
        try ClusterAccess.find(
            kubeconfig: path, context: context, environment: environment,
            readFile: { files[$0].map { Array($0.utf8) } })
    }

    private func config(
        cluster: String = "server: https://k:6443", user: String = "token: t", context: String = "cluster: c, user: u"
    ) -> String {
        """
        apiVersion: v1
        kind: Config
        preferences: {}
        current-context: x
        clusters: [{name: c, cluster: {\(cluster)}}]
        users: [{name: u, user: {\(user)}}]
        contexts: [{name: x, context: {\(context)}}]
        """
    }

    @Test func everythingInline() throws {
        let text = """
            apiVersion: v1
            clusters:
            - cluster:
                certificate-authority-data: \(Self.pemBase64)
                server: https://API.example:6443/k8s/clusters/c-1/
              name: prod
            contexts:
            - context:
                cluster: prod
                namespace: reprise
                user: "admin@prod"
              name: admin
            current-context: admin
            kind: Config
            users:
            - name: admin@prod
              user:
                client-certificate-data: \(Self.pemBase64)
                client-key-data: |
                  \(Self.pemBase64)
            """
        let access = try find(["/k": text], path: "/k")
        #expect(access.server.origin == "https://API.example:6443")
        #expect(access.server.pathPrefix == "/k8s/clusters/c-1")
        #expect(access.caPEM == Array(Self.pem.utf8))
        #expect(access.clientCertificatePEM == Array(Self.pem.utf8))
        #expect(access.clientKeyPEM == Array(Self.pem.utf8))
        #expect(access.token == .none)
        #expect(access.namespace == "reprise")
        var dumped = ""
        dump(access, to: &dumped)
        #expect(!dumped.contains("PEM") && "\(access)" == "access to https://API.example:6443/k8s/clusters/c-1")
    }

    @Test func filesRelativeToTheKubeconfig() throws {
        let text = config(
            cluster: "server: https://k, certificate-authority: pki/ca.crt",
            user: "client-certificate: /abs/c.crt, client-key: c.key, tokenFile: token")
        let files = [
            "/home/.kube/config": text, "/home/.kube/pki/ca.crt": Self.pem, "/abs/c.crt": Self.pem,
            "/home/.kube/c.key": Self.pem, "here": text, "pki/ca.crt": Self.pem, "c.key": Self.pem,
        ]
        let access = try find(files, environment: ["HOME": "/home"])
        #expect(access.token == .file("/home/.kube/token"))
        #expect(access.clientKeyPEM == Array(Self.pem.utf8))
        #expect(access.server.port == 443)
        #expect(try find(files, path: "here").token == .file("token"))
    }

    @Test func severalFilesTheFirstWins() throws {
        let first = """
            current-context: ""
            clusters: [{name: c, cluster: {server: "https://first"}}]
            contexts: null
            """
        let second = config(cluster: "server: https://second", user: "token: second")
        let third = config(user: "token: third").replacing("current-context: x", with: "current-context: y")
        let environment = ["KUBECONFIG": "/missing:/1:/2::/3", "HOME": "/h", "KUBERNETES_SERVICE_HOST": "no"]
        let access = try find(["/1": first, "/2": second, "/3": third], environment: environment)
        #expect(access.server.host == "first")
        #expect(access.token == .fixed("second"))
        #expect(throws: ClusterAccessError.self) { try find([:], environment: environment) }
        let named = try find(
            ["/1": first, "/n": config(cluster: "server: https://named")], path: "/n", environment: environment)
        #expect(named.server.host == "named")
        #expect(throws: ClusterAccessError.self) { try find(["/n": second], path: "/n", context: "other") }
        #expect(try find(["/n": second], path: "/n", context: "x").server.host == "second")
    }

    @Test func inCluster() throws {
        let folder = "/var/run/secrets/kubernetes.io/serviceaccount/"
        var files = [folder + "token": "t\n", folder + "ca.crt": Self.pem, folder + "namespace": "reprise\n"]
        var environment = ["KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "6443", "HOME": "/h"]
        let access = try find(files, environment: environment)
        #expect(access.server.origin == "https://10.0.0.1:6443")
        #expect(access.token == .file(folder + "token"))
        #expect(access.namespace == "reprise")
        #expect(access.caPEM == Array(Self.pem.utf8))
        environment["KUBERNETES_SERVICE_HOST"] = "fd00::1"
        environment["KUBERNETES_SERVICE_PORT"] = nil
        #expect(try find(files, environment: environment).server.origin == "https://[fd00::1]:443")
        files[folder + "ca.crt"] = nil
        #expect(throws: ClusterAccessError.self) { try find(files, environment: environment) }
        #expect(throws: ClusterAccessError.self) {
            try ClusterAccess.inCluster(environment: [:], readFile: { _ in [] })
        }
        #expect(throws: ClusterAccessError.self) { try find([:], environment: [:]) }
    }

    private static let refusals: [(cluster: String, user: String, text: String)] = [
        ("server: https://k, insecure-skip-tls-verify: true", "", "certificate-authority instead"),
        ("server: https://k, proxy-url: http://p", "", "proxy-url is not supported"),
        ("server: https://k, tls-server-name: x", "", "tls-server-name is not supported"),
        ("namespace: x", "", "has no server"),
        ("server: [a]", "", "server is not text"),
        ("server: https://k, certificate-authority: gone", "", "/gone does not exist"),
        ("server: https://k, certificate-authority-data: '%%%'", "", "is not base64"),
        ("server: https://k, certificate-authority-data: aGVsbG8=", "", "is not in PEM form"),
        ("server: https://k", "exec: {command: aws}", "kubectl create token"),
        ("server: https://k", "auth-provider: {name: gcp}", "(auth-provider) are not supported"),
        ("server: https://k", "username: a, password: hunter2", "basic authentication"),
        ("server: https://k", "token: t, as: root", "impersonation (as)"),
        ("server: https://k", "token: t, as-groups: [g]", "impersonation (as-groups)"),
        ("server: https://k", "token: \"hunter2\\r\\nX: y\"", "the token is not one"),
        ("server: https://k", "client-certificate-data: \(pemBase64)", "belong together"),
        ("server: http://k", "token: t", "plain http"),
    ]

    @Test(arguments: refusals)
    func refused(_ cluster: String, _ user: String, _ text: String) throws {
        let error = #expect(throws: ClusterAccessError.self) {
            try find(["/k": config(cluster: cluster, user: user)], path: "/k")
        }
        let message = try #require(error?.message)
        #expect(message.contains(text), "\(message)")
        #expect(!message.contains("hunter2"))
        #expect(message.contains("/k") || message.contains("/gone"))
    }

    @Test(arguments: [
        ("", "no context is chosen"), ("- a", "is not a kubeconfig"), ("clusters: {}", "clusters is not a list"),
        ("users: [{user: {}}]", "one of the users has no name"), ("a: [", "line 2"),
        ("a: 1\na: 2", "line 2: the key 'a'"),
        ("current-context: x", "no context 'x'"),
        ("current-context: x\ncontexts: [{name: x}]", "names no cluster"),
        ("current-context: x\ncontexts: [{name: x, context: {cluster: c}}]", "no cluster 'c'"),
        ("a: 1\n---\nb: 2", "more than one document"),
    ])
    func unreadable(_ text: String, _ expected: String) throws {
        let error = #expect(throws: ClusterAccessError.self) { try find(["/k": text], path: "/k") }
        let message = try #require(error?.message)
        #expect(message.contains(expected), "\(message)")
    }

    @Test func minimal() throws {
        let access = try find(
            ["/k": config(cluster: "server: http://localhost:8080", user: "", context: "cluster: c")], path: "/k")
        #expect(access == ClusterAccess(server: try ServerURL("http://localhost:8080")))
        let off = config(cluster: "server: https://k, insecure-skip-tls-verify: false", user: "token: t, exec: null")
        #expect(try find(["/k": off], path: "/k").token == .fixed("t"))
    }

    @Test(arguments: [
        ("https://k", "https://k:443", ""), ("HTTPS://k:1/", "https://k:1", ""),
        ("http://k/a/b//", "http://k:80", "/a/b"),
        ("https://[fd00::1]:6443/x", "https://[fd00::1]:6443", "/x"), ("https://1.2.3.4", "https://1.2.3.4:443", ""),
    ])
    func serverURLs(_ text: String, _ origin: String, _ prefix: String) throws {
        let url = try ServerURL(text)
        #expect(url.origin == origin)
        #expect(url.pathPrefix == prefix)
    }

    @Test(arguments: [
        "", "k:6443", "ftp://k", "https://", "https://:443", "https://k:0", "https://k:65536", "https://k:x",
        "https://u:p@k",
        "https://k?a=b", "https://k/#f", "https://k/a?b", "https://k/../x", "https://[::1", "https://[k]",
        "https://k k",
        "https://k\r\nX: y", "https://[::1]x", "https://k/a b", "https:///x",
    ])
    func badServerURLs(_ text: String) {
        #expect(throws: ClusterAccessError.self) { try ServerURL(text) }
    }
}

@Suite struct YAMLTests {
    private func parse(_ text: String) throws(YAMLError) -> YAMLNode { try YAMLNode.document(Array(text.utf8)) }

    @Test func tree() throws {
        let node = try parse("a: &x [1, 'null', ~, \"ä\\n\"]\nb: *x\nc:\n  d: |\n    l1\n    l2\n")
        #expect(node["a"] == node["b"])
        guard case .sequence(let items)? = node["a"] else { throw NoError() }
        #expect(items.map(\.isNull) == [false, false, true, false])
        #expect(items[3] == .scalar("ä\n", isPlain: false))
        #expect(node["c"]?["d"] == .scalar("l1\nl2\n", isPlain: false))
        #expect(try parse("") == .scalar("", isPlain: true))
        #expect(try parse("# nothing\n").isNull)
        #expect(try parse("{\"json\": [true]}")["json"] == .sequence([.scalar("true", isPlain: true)]))
    }

    @Test(arguments: [
        ("a: 1\nb: {c: 1, c: 2}", 2, "twice"), ("a: *x", 1, "unknown anchor"), ("a: &x [*x]", 1, "unknown anchor"),
        ("[a]: b", 1, "a key is not text"), ("a: &x {b: 1}\nc: {<<: *x}", 2, "merge keys"),
        ("a: 'b", 1, "end of stream"),
        ("a: b: c", 1, "mapping values"), ("\t- a", 1, "token"), ("a: \u{1}", 1, "control characters"),
        ("--- a\n--- b", 2, "more than one"), ("- [\n", 2, ""),
        (String(repeating: "[", count: 40), 1, "too deeply"), (String(repeating: "- ", count: 40), 1, "too deeply"),
    ])
    func errors(_ text: String, _ line: Int, _ message: String) throws {
        let error = try #require(#expect(throws: YAMLError.self) { try parse(text) })
        #expect(error.line == line, "\(error)")
        #expect(error.message.contains(message), "\(error)")
    }

    @Test func aliasesDoNotMultiplyWithoutEnd() throws {
        var text = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
        for level in 1...9 {
            let aliases = Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
            text += "a\(level): &a\(level) [\(aliases)]\n"
        }
        let error = try #require(#expect(throws: YAMLError.self) { try parse(text) })
        #expect(error.message == "too many values")
        #expect(throws: YAMLError.self) { try parse(String(repeating: "a", count: (4 << 20) + 1)) }
        #expect(throws: YAMLError.self) { try YAMLNode.document([0xFF, 0xFF, 0x3A]) }
    }

    @Test func everyPrefixIsReadOrRefused() throws {
        let text = try fixture("kubeconfig.yaml")
        #expect(try YAMLNode.document(text)["current-context"] == .scalar("admin", isPlain: true))
        for length in 0..<text.count { _ = try? YAMLNode.document(Array(text[..<length])) }
        for index in text.indices {
            var changed = text
            changed[index] = 0x7B
            _ = try? YAMLNode.document(changed)
        }
    }
}
