// SPDX-License-Identifier: Apache-2.0

import JSON

/// What the server refuses with 422, by the fields that it blames.
enum ModelRules {
    static func metadata(_ object: JSONValue, _ kind: ModelKind, old: JSONValue?) -> [String] {
        var faults: [String] = []
        if let old {
            faults += changes(object, old)
        } else {
            faults += name(object.text("metadata", "name") ?? "", kind)
        }
        let metadata = object["metadata"]
        for (key, value) in metadata?["labels"]?.texts ?? [:] where !isQualified(key) || !isLabelValue(value) {
            faults.append("metadata.labels")
        }
        for (key, _) in metadata?["annotations"]?.texts ?? [:] where !isQualified(key.lowercased()) {
            faults.append("metadata.annotations")
        }
        for (index, finalizer) in object.items("metadata", "finalizers").compactMap(\.string).enumerated() {
            if !isQualified(finalizer) { faults.append("metadata.finalizers") }
            // Kinds of the newer groups are checked less.
            let isLax = kind.isCustom || kind == .leases || kind == .events
            let isKnown = ["orphan", "foregroundDeletion", "kubernetes"].contains(finalizer)
            if !isLax, !finalizer.contains("/"), !isKnown { faults.append("metadata.finalizers[\(index)]") }
        }
        let owners = object.items("metadata", "ownerReferences")
        for owner in owners {
            for field in ["apiVersion", "kind", "name", "uid"] where (owner.text(field) ?? "").isEmpty {
                faults.append("metadata.ownerReferences.\(field)")
            }
        }
        if owners.count(where: { $0["controller"] == true }) > 1 { faults.append("metadata.ownerReferences") }
        return faults
    }

    private static func changes(_ object: JSONValue, _ old: JSONValue) -> [String] {
        var faults: [String] = []
        for field in ["uid", "deletionTimestamp", "deletionGracePeriodSeconds", "name", "namespace"]
        where object[path: ["metadata", field]] != old[path: ["metadata", field]] {
            faults.append("metadata.\(field)")
        }
        if old[path: ["metadata", "deletionTimestamp"]] != nil {
            let before = Set(old.items("metadata", "finalizers").compactMap(\.string))
            let after = object.items("metadata", "finalizers").compactMap(\.string)
            if after.contains(where: { !before.contains($0) }) { faults.append("metadata.finalizers") }
        }
        return faults
    }

    private static func name(_ name: String, _ kind: ModelKind) -> [String] {
        if kind == .events { return name.contains("/") || name == "." || name == ".." ? ["metadata.name"] : [] }
        let isGood = kind == .services ? isLabel(name) && name.first?.isNumber != true : isSubdomain(name)
        return isGood ? [] : ["metadata.name"]
    }

    // MARK: Words

    static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte)
    }

    static func isLabel(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        guard let first = bytes.first, let last = bytes.last, bytes.count <= 63 else { return false }
        return isAlphanumeric(first) && isAlphanumeric(last)
            && bytes.allSatisfy { isAlphanumeric($0) || $0 == 0x2D }
    }

    static func isSubdomain(_ text: String) -> Bool {
        text.utf8.count <= 253
            && text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { part in
                let bytes = Array(part.utf8)
                guard let first = bytes.first, let last = bytes.last else { return false }
                return isAlphanumeric(first) && isAlphanumeric(last)
                    && bytes.allSatisfy { isAlphanumeric($0) || $0 == 0x2D }
            }
    }

    /// A name of at most 63 characters, perhaps behind a domain and a slash.
    static func isQualified(_ text: String) -> Bool {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard let name = parts.last, parts.count <= 2, parts.count == 1 || isSubdomain(parts[0]) else { return false }
        return !name.isEmpty && isLabelValue(name)
    }

    static func isLabelValue(_ text: String) -> Bool {
        let bytes = Array(text.lowercased().utf8)
        guard let first = bytes.first, let last = bytes.last else { return true }
        return bytes.count <= 63 && isAlphanumeric(first) && isAlphanumeric(last)
            && bytes.allSatisfy { isAlphanumeric($0) || [0x2D, 0x2E, 0x5F].contains($0) }
    }

}
