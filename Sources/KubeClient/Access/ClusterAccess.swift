// SPDX-License-Identifier: Apache-2.0

/// Where the API server is and who we are to it.
package struct ClusterAccess: Equatable, Sendable {
    package var server: ServerURL
    /// Certificates that may sign the server's; `nil` for the system's.
    package var caPEM: [UInt8]?
    package var clientCertificatePEM: [UInt8]?
    package var clientKeyPEM: [UInt8]?
    package var token: TokenSource
    /// The namespace that is meant when none is named.
    package var namespace: String

    package init(
        server: ServerURL, caPEM: [UInt8]? = nil, clientCertificatePEM: [UInt8]? = nil, clientKeyPEM: [UInt8]? = nil,
        token: TokenSource = .none, namespace: String = "default"
    ) {
        self.server = server
        self.caPEM = caPEM
        self.clientCertificatePEM = clientCertificatePEM
        self.clientKeyPEM = clientKeyPEM
        self.token = token
        self.namespace = namespace
    }

    /// Reads a file, or says `nil` when there is none. Throws when there is one that can't be read.
    package typealias ReadFile = (String) throws -> [UInt8]?

    /// Looks where `kubectl` and a pod look, in this order: the named kubeconfig, `KUBECONFIG`, the pod's service
    /// account, `~/.kube/config`.
    /// - Parameters:
    ///   - kubeconfig: From the command line.
    ///   - context: Instead of the kubeconfig's current one; not in a pod.
    package static func find(
        kubeconfig: String? = nil, context: String? = nil, environment: [String: String], readFile: ReadFile
    ) throws(ClusterAccessError) -> ClusterAccess {
        let named = kubeconfig.map { [$0] } ?? (environment["KUBECONFIG"] ?? "").split(separator: ":").map(String.init)
        if !named.isEmpty {
            return try Kubeconfig(paths: named, readFile: readFile).access(context: context, readFile: readFile)
        }
        if let host = environment["KUBERNETES_SERVICE_HOST"], !host.isEmpty {
            return try inCluster(environment: environment, readFile: readFile)
        }
        guard let home = environment["HOME"], !home.isEmpty else {
            throw ClusterAccessError("no cluster: neither --kubeconfig, KUBECONFIG, a service account nor HOME is set")
        }
        return try Kubeconfig(paths: [home + "/.kube/config"], readFile: readFile)
            .access(context: context, readFile: readFile)
    }

    /// The access that every pod has by its service account.
    package static func inCluster(
        environment: [String: String], readFile: ReadFile
    ) throws(ClusterAccessError) -> ClusterAccess {
        guard let host = environment["KUBERNETES_SERVICE_HOST"], !host.isEmpty else {
            throw ClusterAccessError("not in a cluster: KUBERNETES_SERVICE_HOST is not set")
        }
        let port = environment["KUBERNETES_SERVICE_PORT"] ?? "443"
        let folder = "/var/run/secrets/kubernetes.io/serviceaccount"
        let namespace = try contents(of: folder + "/namespace", readFile)
        _ = try contents(of: folder + "/token", readFile)
        return ClusterAccess(
            server: try ServerURL(host.contains(":") ? "https://[\(host)]:\(port)" : "https://\(host):\(port)"),
            caPEM: try contents(of: folder + "/ca.crt", readFile), token: .file(folder + "/token"),
            namespace: String(decoding: namespace, as: UTF8.self).trimmed)
    }

    /// The contents of a file that must be there.
    static func contents(of path: String, _ readFile: ReadFile) throws(ClusterAccessError) -> [UInt8] {
        let bytes: [UInt8]?
        do { bytes = try readFile(path) } catch { throw ClusterAccessError("\(path) can't be read") }
        guard let bytes else { throw ClusterAccessError("\(path) does not exist") }
        guard !bytes.isEmpty else { throw ClusterAccessError("\(path) is empty") }
        return bytes
    }
}

/// Where the bearer token comes from.
package enum TokenSource: Equatable, Sendable {
    case none
    case fixed(String)
    /// A file that is replaced from time to time.
    case file(String)
}

/// Why there is no access to a cluster. For people, without secrets.
package struct ClusterAccessError: Error, Equatable, Sendable, CustomStringConvertible {
    package var message: String

    package init(_ message: String) { self.message = cleaned(message, 1_024) }

    package var description: String { message }
}

// A value that holds a key or a token never prints it.
extension ClusterAccess: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String { "access to \(server)" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: ["server": server.description]) }
}

extension TokenSource: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String {
        switch self {
        case .none: "no token"
        case .fixed: "a fixed token"
        case .file(let path): "the token in \(path)"
        }
    }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: ["source": description]) }
}

/// The API server's URL in its parts.
package struct ServerURL: Hashable, Sendable, CustomStringConvertible {
    /// `https` or `http`.
    package var scheme: String
    /// A name or an address; IPv6 without brackets.
    package var host: String
    package var port: Int
    /// In front of every path, without a slash at its end; empty for most servers.
    package var pathPrefix: String

    /// `https://host:port`.
    package var origin: String { "\(scheme)://\(host.contains(":") ? "[\(host)]" : host):\(port)" }
    package var description: String { origin + pathPrefix }

    /// Reads a URL with a host and nothing behind its path.
    package init(_ text: String) throws(ClusterAccessError) {
        let schemes = ["https", "http"]
        guard let known = schemes.first(where: { text.lowercased().hasPrefix($0 + "://") }) else {
            throw Self.refused("it does not begin with https://")
        }
        scheme = known
        var rest = text.dropFirst(known.count + 3)
        let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        rest = rest.dropFirst(authority.count)
        guard !authority.contains("@") else { throw Self.refused("it holds a user name") }
        let portText: Substring
        if authority.first == "[", let close = authority.firstIndex(of: "]") {
            host = String(authority[authority.index(after: authority.startIndex)..<close])
            portText = authority[authority.index(after: close)...]
            guard !host.isEmpty, host.utf8.allSatisfy({ Self.isAddress($0) }) else {
                throw Self.refused("its host is not valid")
            }
        } else {
            let name = authority.prefix { $0 != ":" }
            host = String(name)
            portText = authority.dropFirst(name.count)
            guard !host.isEmpty, host.utf8.allSatisfy({ Self.isName($0) }) else {
                throw Self.refused("its host is not valid")
            }
        }
        if portText.isEmpty {
            port = scheme == "https" ? 443 : 80
        } else {
            guard portText.first == ":", let number = Int(portText.dropFirst()), (1...65_535).contains(number) else {
                throw Self.refused("its port is not valid")
            }
            port = number
        }
        while rest.last == "/" { rest = rest.dropLast() }
        guard rest.utf8.allSatisfy({ Self.isName($0) || [0x2F, 0x3A, 0x25, 0x7E].contains($0) }),
            !rest.split(separator: "/").contains("..")
        else { throw Self.refused("there is more than a plain path behind its host") }
        pathPrefix = String(rest)
    }

    private static func refused(_ why: String) -> ClusterAccessError {
        ClusterAccessError("the cluster's server URL is not usable: \(why)")
    }

    private static func isName(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F: true
        default: false
        }
    }

    private static func isAddress(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x3A, 0x41...0x46, 0x61...0x66, 0x2E: true
        default: false
        }
    }
}

extension String {
    /// Without the white space around it.
    var trimmed: String {
        var rest = self[...]
        while let first = rest.first, first.isWhitespace { rest.removeFirst() }
        while let last = rest.last, last.isWhitespace { rest.removeLast() }
        return String(rest)
    }
}
