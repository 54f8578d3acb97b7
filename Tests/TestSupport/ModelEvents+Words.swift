// SPDX-License-Identifier: Apache-2.0

// Events as words, one line each, without a blank in a name.

extension WorldEvent {
    package var description: String {
        switch self {
        case .deletePod(let key): "delete \(Self.words(key))"
        case .evict(let key): "evict \(Self.words(key))"
        case .killContainer(let key): "kill the container of \(Self.words(key))"
        case .forceDeletePod(let key): "delete \(Self.words(key)) by force"
        case .hang(let key): "hang \(Self.words(key))"
        case .loseNode(let node, let crashed, let seconds):
            "\(crashed ? "crash" : "cut off") node \(node) for \(seconds) s"
        case .delete(let key): "delete \(Self.words(key))"
        case .recreate(let key): "delete \(Self.words(key)) and make it again"
        case .edit(let key, let edit): "change \(Self.words(key)): \(edit)"
        case .scaler(let key, let period, let replicas, let end):
            "scale \(Self.words(key)) to \(replicas) every \(period) s for \(end) s"
        case .deleteNamespace(let name): "delete namespace \(name)"
        case .recreateNamespace(let name): "delete namespace \(name) and make it again"
        case .newBackup(let place): "a new base backup in \(place)"
        case .newWAL(let place): "new WAL in \(place)"
        case .deleteBackup(let place): "the oldest base backup in \(place) is deleted"
        case .loseSegment(let place, let number): "segment \(number) of \(place) is lost"
        case .bucketUnreachable(let bucket, let seconds): "bucket \(bucket) is out of reach for \(seconds) s"
        case .revoke(let key, let seconds): "key \(key) is revoked for \(seconds) s"
        case .storeClock(let seconds): "the store's clock steps by \(seconds) s"
        case .imageGone(let image, let seconds): "image \(image) can't be pulled for \(seconds) s"
        case .podsRefused(let namespace, let seconds): "pods are refused in \(namespace) for \(seconds) s"
        case .commit(let key, let row): "commit \(row) in \(Self.words(key))"
        }
    }

    private static func words(_ key: ModelKey) -> String { "\(key.kind.plural) \(key.namespace)/\(key.name)" }

    /// Reads a description; `nil` when it is none.
    package init?(words text: String) {
        let words = text.split(separator: " ").map(String.init)
        guard let event = Self.ofObject(words) ?? Self.ofStore(words) else { return nil }
        self = event
    }

    private static func key(_ words: [String], _ at: Int) -> ModelKey? {
        guard words.count > at + 1, let kind = ModelKind.all.first(where: { $0.plural == words[at] }) else {
            return nil
        }
        let name = words[at + 1].hasSuffix(":") ? String(words[at + 1].dropLast()) : words[at + 1]
        let parts = name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        return parts.count == 2 ? ModelKey(kind, parts[0], parts[1]) : nil
    }

    private static func ofObject(_ words: [String]) -> WorldEvent? {
        let tail = words.dropFirst(3).joined(separator: " ")
        switch (words.first, tail) {
        case ("delete", _) where words.count > 2 && words[1] == "namespace":
            return tail.isEmpty ? .deleteNamespace(words[2]) : .recreateNamespace(words[2])
        case ("delete", ""): return key(words, 1).map { $0.kind == .pods ? .deletePod($0) : .delete($0) }
        case ("delete", "by force"): return key(words, 1).map { .forceDeletePod($0) }
        case ("delete", "and make it again"): return key(words, 1).map { .recreate($0) }
        case ("evict", _): return key(words, 1).map { .evict($0) }
        case ("hang", _): return key(words, 1).map { .hang($0) }
        case ("kill", _): return key(words, 4).map { .killContainer($0) }
        case ("commit", _):
            guard let place = words.lastIndex(of: "in") else { return nil }
            return key(words, place + 1).map { .commit($0, words[1..<place].joined(separator: " ")) }
        case ("change", _):
            guard let key = key(words, 1), let edit = Edit(words: Array(words.dropFirst(3))) else { return nil }
            return .edit(key, edit)
        case ("scale", _):
            guard words.count == 11, let key = key(words, 1), let replicas = Int64(words[4]),
                let period = Int64(words[6]), let end = Int64(words[9])
            else { return nil }
            return .scaler(key, every: period, to: replicas, until: end)
        default: return nil
        }
    }

    private static func ofStore(_ words: [String]) -> WorldEvent? {
        guard let first = words.first, let last = words.last else { return nil }
        func seconds() -> Int64? { words.count > 2 ? Int64(words[words.count - 2]) : nil }
        switch first {
        case "crash" where words.count == 6: return seconds().map { .loseNode(words[2], crashed: true, seconds: $0) }
        case "cut" where words.count == 7: return seconds().map { .loseNode(words[3], crashed: false, seconds: $0) }
        case "a": return .newBackup(last)
        case "new": return .newWAL(last)
        case "the" where words.contains("oldest"): return words.count > 5 ? .deleteBackup(words[5]) : nil
        case "the": return seconds().map { .storeClock($0) }
        case "segment" where words.count == 6: return Int64(words[1]).map { .loseSegment(words[3], $0) }
        case "bucket": return seconds().map { .bucketUnreachable(words[1], seconds: $0) }
        case "key": return seconds().map { .revoke(words[1], seconds: $0) }
        case "image": return seconds().map { .imageGone(words[1], seconds: $0) }
        case "pods" where words.count == 8: return seconds().map { .podsRefused(words[4], seconds: $0) }
        default: return nil
        }
    }
}

extension WorldEvent.Edit: CustomStringConvertible {
    package var description: String {
        switch self {
        case .removeLabel(let name): "remove label \(name)"
        case .annotate(let name, let value): "set annotation \(name) \(value)"
        case .scale(let replicas): "set replicas \(replicas)"
        case .setVariable(let name, let value): "set variable \(name) \(value)"
        case .dropOwners: "drop owners"
        case .dropFinalizers: "drop finalizers"
        }
    }

    init?(words: [String]) {
        let value = words.count > 3 ? words[3] : ""
        switch words.prefix(2).joined(separator: " ") {
        case "remove label" where words.count == 3: self = .removeLabel(words[2])
        case "set annotation" where words.count > 2: self = .annotate(words[2], value)
        case "set replicas" where words.count == 3:
            guard let replicas = Int64(words[2]) else { return nil }
            self = .scale(replicas)
        case "set variable" where words.count > 2: self = .setVariable(words[2], value)
        case "drop owners": self = .dropOwners
        case "drop finalizers": self = .dropFinalizers
        default: return nil
        }
    }
}
