// SPDX-License-Identifier: Apache-2.0

/// The URL of an object store, checked before anything is told to call it.
///
/// Whoever may create a BackupRepository chooses an address that Jobs will call with credentials, from inside of the
/// cluster. So it is https, and never an address that means "the machine itself", "whatever hands out the machine's
/// credentials" or "the API server", in whatever notation. Names are not resolved here: what a name resolves to may
/// change between the check and the call, and network policies are the answer to that.
enum Endpoint {
    /// What is wrong with an endpoint, as the end of a sentence that begins with the field; `nil` when it is fine.
    static func problem(_ text: String, insecure: Bool, allowLoopback: Bool) -> String? {
        guard text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }), text.utf8.count <= 512 else {
            return "has spaces or characters outside of ASCII, or is too long: write https://host or https://host:port"
        }
        let rest: Substring
        if text.hasPrefix("https://") {
            rest = text.dropFirst(8)
        } else if text.hasPrefix("http://") {
            rest = text.dropFirst(7)
        } else {
            return "must begin with https://: other schemes are not object stores; write https://host"
        }
        // Before anything of it is quoted: what stands before an @ may be a password.
        if rest.contains("@") {
            return "must not hold a user name or password: put them into the Secret that credentials.secretRef names"
        }
        if !insecure, text.hasPrefix("http://") {
            return "must begin with https://: backups and credentials would be readable on the way; write https://, or "
                + "set insecure: true if that is meant"
        }
        let authority = rest.hasSuffix("/") ? rest.dropLast() : rest
        guard let host = host(authority) else {
            return "\(quoted(text)) is not https://host or https://host:port with nothing after it: correct it"
        }
        switch kind(host) {
        case .store: return nil
        case .loopback where allowLoopback: return nil
        case .loopback:
            return "must not be a loopback address: in a Job it is the Job itself; write the address of the store"
        case .linkLocal:
            return "must not be a link-local address: that is where clouds hand out the machine's own credentials; "
                + "write the address of the object store"
        case .apiServer: return "must not be the API server: write the address of the object store"
        case .invalid: return "\(quoted(text)) has no address that an object store can have: correct it"
        }
    }

    enum HostKind: Equatable { case store, loopback, linkLocal, apiServer, invalid }

    private enum Host {
        case name(String)
        case version6(String)
    }

    private static func host(_ authority: Substring) -> Host? {
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]"), isPort(authority[authority.index(after: end)...]) else {
                return nil
            }
            return .version6(String(authority[authority.index(after: authority.startIndex)..<end]))
        }
        let name = authority.prefix { $0 != ":" }
        guard !name.isEmpty, isPort(authority[name.endIndex...]),
            name.utf8.allSatisfy({ isWord($0) || ".-".utf8.contains($0) })
        else { return nil }
        return .name(String(name).lowercased())
    }

    /// Empty, or `:` and a port.
    private static func isPort(_ text: Substring) -> Bool {
        guard let first = text.first else { return true }
        let digits = text.dropFirst()
        return first == ":" && digits.utf8.allSatisfy { (0x30...0x39).contains($0) } && (UInt16(digits) ?? 0) > 0
    }

    private static func kind(_ host: Host) -> HostKind {
        switch host {
        case .version6(let text):
            guard let groups = InternetAddress.version6(text) else { return .invalid }
            return kind(groups)
        case .name(let text):
            let name = text.hasSuffix(".") ? String(text.dropLast()) : text
            let labels = name.split(separator: ".", omittingEmptySubsequences: false)
            guard let last = labels.last, labels.allSatisfy({ !$0.isEmpty && $0.utf8.count <= 63 }) else {
                return .invalid
            }
            // As resolvers and browsers do: what ends in a number is an address, or wrong.
            if InternetAddress.isNumber(last) {
                return InternetAddress.version4(labels).map(kind) ?? .invalid
            }
            return kind(labels.map(String.init))
        }
    }

    private static func kind(_ labels: [String]) -> HostKind {
        let name = labels.joined(separator: ".")
        if labels.last == "localhost" || ["ip6-localhost", "ip6-loopback", "localhost.localdomain"].contains(name) {
            return .loopback
        }
        if ["metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal"].contains(name) {
            return .linkLocal
        }
        let isKubernetes = name == "kubernetes" || labels.starts(with: ["kubernetes", "default"])
        return isKubernetes ? .apiServer : .store
    }

    private static func kind(_ address: UInt32) -> HostKind {
        switch (address >> 24, address >> 16) {
        case (127, _), (0, _): return .loopback
        case (_, 0xA9FE): return .linkLocal
        case (224..., _): return .invalid
        default: return address == 0x6464_64C8 ? .linkLocal : .store  // 100.100.100.200: metadata in one cloud
        }
    }

    private static func kind(_ groups: [UInt16]) -> HostKind {
        let low = UInt32(groups[6]) << 16 | UInt32(groups[7])
        if groups.dropLast().allSatisfy({ $0 == 0 }), groups[7] <= 1 { return .loopback }
        let embeds = Array(groups[0..<6])
        if [[0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0xFFFF], [0x64, 0xFF9B, 0, 0, 0, 0]].contains(embeds) {
            return kind(low)
        }
        if groups[0] & 0xFFC0 == 0xFE80 || groups == [0xFD00, 0xEC2, 0, 0, 0, 0, 0, 0x254] { return .linkLocal }
        return groups[0] & 0xFF00 == 0xFF00 ? .invalid : .store
    }
}

/// Numbers of hosts, in every notation that resolvers read.
enum InternetAddress {
    /// Decimal, octal (`0251`) or hexadecimal (`0xa9`).
    static func isNumber(_ label: Substring) -> Bool {
        if label.utf8.allSatisfy({ (0x30...0x39).contains($0) }) { return true }
        return label.hasPrefix("0x") && label.dropFirst(2).utf8.allSatisfy(isHexadecimal)
    }

    /// One to four parts, the last of which fills what is left: `169.254.169.254`, `0xA9FEA9FE`, `169.16689662`.
    static func version4(_ labels: [Substring]) -> UInt32? {
        guard (1...4).contains(labels.count) else { return nil }
        var address: UInt64 = 0
        for (index, label) in labels.enumerated() {
            guard let part = number(label) else { return nil }
            let isLast = index == labels.count - 1
            let bits = isLast ? UInt64(8 * (4 - index)) : 8
            guard part < 1 << bits else { return nil }
            address = address << bits | part
        }
        return UInt32(exactly: address)
    }

    private static func number(_ label: Substring) -> UInt64? {
        guard isNumber(label) else { return nil }
        if label.hasPrefix("0x") { return label.utf8.count == 2 ? 0 : UInt64(label.dropFirst(2), radix: 16) }
        return label.utf8.count > 1 && label.hasPrefix("0") ? UInt64(label, radix: 8) : UInt64(label)
    }

    /// Eight groups; `::` once, and the last two perhaps as a dotted address.
    static func version6(_ text: String) -> [UInt16]? {
        guard let gap = text.firstRange(of: "::") else {
            return groups(Substring(text)).flatMap { $0.count == 8 ? $0 : nil }
        }
        guard let head = groups(text[..<gap.lowerBound]), let tail = groups(text[gap.upperBound...]),
            head.count + tail.count < 8
        else { return nil }
        return head + [UInt16](repeating: 0, count: 8 - head.count - tail.count) + tail
    }

    private static func groups(_ text: Substring) -> [UInt16]? {
        guard !text.isEmpty else { return [] }
        var result: [UInt16] = []
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            if index == parts.count - 1, part.contains(".") {
                let labels = part.split(separator: ".", omittingEmptySubsequences: false)
                guard labels.count == 4, let address = version4(labels) else { return nil }
                result += [UInt16(address >> 16), UInt16(address & 0xFFFF)]
                continue
            }
            guard (1...4).contains(part.utf8.count), part.utf8.allSatisfy(isHexadecimal),
                let group = UInt16(part, radix: 16)
            else { return nil }
            result.append(group)
        }
        return result
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x46).contains(byte) || (0x61...0x66).contains(byte)
    }
}
