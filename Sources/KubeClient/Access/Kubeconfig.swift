// SPDX-License-Identifier: Apache-2.0

/// One or several kubeconfig files, merged as `kubectl` does it: of every name, and of the current context, the first
/// one counts.
///
/// What this client does not do (plugins, basic auth, impersonation, proxies, unchecked certificates) is refused where
/// the chosen context uses it, and never silently left out.
struct Kubeconfig {
    /// A named entry, and the folder that its relative paths start from.
    private struct Entry {
        var body: YAMLNode
        var place: String
        var folder: String
    }

    private var clusters: [String: Entry] = [:]
    private var users: [String: Entry] = [:]
    private var contexts: [String: Entry] = [:]
    private var currentContext = ""
    private let paths: [String]

    /// Reads and merges files. Of several, some may be missing.
    init(paths: [String], readFile: ClusterAccess.ReadFile) throws(ClusterAccessError) {
        self.paths = paths
        var found = false
        for path in paths where !path.isEmpty {
            let bytes: [UInt8]?
            do { bytes = try readFile(path) } catch { throw ClusterAccessError("\(path) can't be read") }
            guard let bytes else { continue }
            found = true
            let root: YAMLNode
            do { root = try YAMLNode.document(bytes) } catch { throw ClusterAccessError("\(path), \(error)") }
            try merge(root, path)
        }
        if !found { throw ClusterAccessError("no kubeconfig: \(paths.joined(separator: ", ")) does not exist") }
    }

    private mutating func merge(_ root: YAMLNode, _ path: String) throws(ClusterAccessError) {
        if root.isNull { return }
        guard case .mapping = root else { throw ClusterAccessError("\(path) is not a kubeconfig") }
        if currentContext.isEmpty { currentContext = try text(root, "current-context", path) ?? "" }
        try Self.collect(root, "clusters", "cluster", path, into: &clusters)
        try Self.collect(root, "users", "user", path, into: &users)
        try Self.collect(root, "contexts", "context", path, into: &contexts)
    }

    private static func collect(
        _ root: YAMLNode, _ list: String, _ member: String, _ path: String, into entries: inout [String: Entry]
    ) throws(ClusterAccessError) {
        guard let node = root[list], !node.isNull else { return }
        guard case .sequence(let items) = node else { throw ClusterAccessError("\(path): \(list) is not a list") }
        for item in items {
            guard case .scalar(let name, _)? = item["name"] else {
                throw ClusterAccessError("\(path): one of the \(list) has no name")
            }
            let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
            let body = item[member] ?? .mapping([])
            guard entries[name] == nil else { continue }
            entries[name] = Entry(
                body: body.isNull ? .mapping([]) : body, place: "\(path): \(member) '\(name)'", folder: folder)
        }
    }

    /// The access that a context gives.
    /// - Parameter context: `nil` for the current one.
    func access(context: String?, readFile: ClusterAccess.ReadFile) throws(ClusterAccessError) -> ClusterAccess {
        let name = context ?? currentContext
        let files = paths.joined(separator: ", ")
        if name.isEmpty { throw ClusterAccessError("\(files): no context is chosen (current-context)") }
        guard let chosen = contexts[name] else { throw ClusterAccessError("\(files): no context '\(name)'") }
        guard let cluster = try reference("cluster", of: chosen, in: clusters) else {
            throw ClusterAccessError("\(chosen.place) names no cluster")
        }
        let user = try reference("user", of: chosen, in: users)
        if let user { try refuse(user) }
        try refuseCluster(cluster)
        guard let server = try text(cluster, "server") else {
            throw ClusterAccessError("\(cluster.place) has no server")
        }
        var access = ClusterAccess(server: try ServerURL(server))
        access.caPEM = try pem(cluster, "certificate-authority", readFile)
        if let user {
            access.clientCertificatePEM = try pem(user, "client-certificate", readFile)
            access.clientKeyPEM = try pem(user, "client-key", readFile)
            access.token = try token(user)
            if (access.clientCertificatePEM == nil) != (access.clientKeyPEM == nil) {
                throw ClusterAccessError("\(user.place): client-certificate and client-key belong together")
            }
        }
        if access.server.scheme == "http", access.token != .none || access.clientKeyPEM != nil {
            throw ClusterAccessError("\(cluster.place): credentials are not sent over plain http; use https")
        }
        if let namespace = try text(chosen, "namespace") { access.namespace = namespace }
        return access
    }

    private func reference(
        _ key: String, of context: Entry, in entries: [String: Entry]
    ) throws(ClusterAccessError) -> Entry? {
        guard let name = try text(context, key) else { return nil }
        guard let entry = entries[name] else { throw ClusterAccessError("\(context.place): no \(key) '\(name)'") }
        return entry
    }

    private func refuseCluster(_ cluster: Entry) throws(ClusterAccessError) {
        if let value = try text(cluster, "insecure-skip-tls-verify"), value.lowercased() != "false" {
            throw ClusterAccessError(
                "\(cluster.place): insecure-skip-tls-verify is not supported; give certificate-authority instead")
        }
        for key in ["proxy-url", "tls-server-name"] where isSet(cluster, key) {
            throw ClusterAccessError("\(cluster.place): \(key) is not supported; give a server that works without it")
        }
    }

    private func refuse(_ user: Entry) throws(ClusterAccessError) {
        for key in ["exec", "auth-provider"] where isSet(user, key) {
            throw ClusterAccessError(
                "\(user.place): credential plugins (\(key)) are not supported; use a service account's token "
                    + "(kubectl create token) as token or tokenFile, or a client certificate")
        }
        for key in ["username", "password"] where isSet(user, key) {
            throw ClusterAccessError(
                "\(user.place): basic authentication (\(key)) is not supported; use a token or a client certificate")
        }
        for key in ["as", "as-uid", "as-groups", "as-user-extra"] where isSet(user, key) {
            throw ClusterAccessError(
                "\(user.place): impersonation (\(key)) is not supported; use that account's own token")
        }
    }

    private func isSet(_ entry: Entry, _ key: String) -> Bool {
        guard let node = entry.body[key], !node.isNull else { return false }
        return node != .scalar("", isPlain: false) && node != .sequence([]) && node != .mapping([])
    }

    private func token(_ user: Entry) throws(ClusterAccessError) -> TokenSource {
        if let path = try text(user, "tokenFile") { return .file(Self.resolved(path, user.folder)) }
        guard let token = try text(user, "token") else { return .none }
        guard let usable = usableToken(token) else {
            throw ClusterAccessError("\(user.place): the token is not one")
        }
        return .fixed(usable)
    }

    /// `<key>-data`, or the contents of the file that `<key>` names.
    private func pem(
        _ entry: Entry, _ key: String, _ readFile: ClusterAccess.ReadFile
    ) throws(ClusterAccessError) -> [UInt8]? {
        let bytes: [UInt8]
        if let data = try text(entry, key + "-data") {
            guard let decoded = base64Decoded(data) else {
                throw ClusterAccessError("\(entry.place): \(key)-data is not base64")
            }
            bytes = decoded
        } else if let path = try text(entry, key) {
            bytes = try ClusterAccess.contents(of: Self.resolved(path, entry.folder), readFile)
        } else {
            return nil
        }
        guard String(decoding: bytes, as: UTF8.self).contains("-----BEGIN ") else {
            throw ClusterAccessError("\(entry.place): \(key) is not in PEM form")
        }
        return bytes
    }

    private func text(_ entry: Entry, _ key: String) throws(ClusterAccessError) -> String? {
        try text(entry.body, key, entry.place)
    }

    /// The text of a key; `nil` when it is absent, null or empty.
    private func text(_ node: YAMLNode, _ key: String, _ place: String) throws(ClusterAccessError) -> String? {
        guard let value = node[key], !value.isNull else { return nil }
        guard case .scalar(let text, _) = value else { throw ClusterAccessError("\(place): \(key) is not text") }
        return text.isEmpty ? nil : text
    }

    private static func resolved(_ path: String, _ folder: String) -> String {
        path.hasPrefix("/") ? path : folder + path
    }
}

/// A token as it can stand in a header, without the white space around it; `nil` when it can't.
func usableToken(_ text: String) -> String? {
    let token = text.trimmed
    let isUsable = !token.isEmpty && token.utf8.count <= 65_536 && token.utf8.allSatisfy { (0x21...0x7E).contains($0) }
    return isUsable ? token : nil
}

/// RFC 4648 base64 with its padding; white space is skipped.
func base64Decoded(_ text: String) -> [UInt8]? {
    var result: [UInt8] = []
    var bits: UInt32 = 0
    var count = 0
    var padding = 0
    for byte in text.utf8 {
        let value: UInt8
        switch byte {
        case 0x41...0x5A: value = byte - 0x41
        case 0x61...0x7A: value = byte - 0x61 + 26
        case 0x30...0x39: value = byte - 0x30 + 52
        case 0x2B: value = 62
        case 0x2F: value = 63
        case 0x3D:
            padding += 1
            continue
        case 0x20, 0x09, 0x0A, 0x0D: continue
        default: return nil
        }
        guard padding == 0 else { return nil }
        bits = bits << 6 | UInt32(value)
        count += 1
        if count % 4 != 1 { result.append(UInt8(truncatingIfNeeded: bits >> (6 - 2 * UInt32((count + 3) % 4)))) }
    }
    return count % 4 != 1 && (count + padding) % 4 == 0 && padding <= 2 ? result : nil
}
