// SPDX-License-Identifier: Apache-2.0

import JSON

/// The garbage collector's part in a deletion that says what becomes of dependents: with `Orphan` they lose the reference,
/// with `Foreground` those that block go first. Then the object is let go.
struct ModelGarbage {
    private let api: ModelAPI

    init(_ api: ModelAPI) { self.api = api }

    static func isWaitedFor(_ object: JSONValue) -> Bool {
        object[path: ["metadata", "deletionTimestamp"]] != nil
            && object.items("metadata", "finalizers").contains { $0 == "orphan" || $0 == "foregroundDeletion" }
    }

    /// - Returns: Whether it is done; otherwise it is to be looked at again.
    func sync(_ key: ModelKey) -> Bool {
        guard let object = api[key], Self.isWaitedFor(object), let uid = object.text("metadata", "uid") else {
            return true
        }
        return api.acting(as: "garbage-collector") {
            let finalizers = object.items("metadata", "finalizers")
            if finalizers.contains("orphan") {
                for dependent in api.index.owned(by: uid) { disown(dependent, uid) }
                release(key, "orphan")
            } else if blocking(uid).isEmpty {
                release(key, "foregroundDeletion")
            } else {
                for dependent in blocking(uid) { api.delete(dependent) }
                return false
            }
            return true
        }
    }

    private func blocking(_ uid: String) -> [ModelKey] {
        api.index.owned(by: uid).filter { key in
            api[key]?.items("metadata", "ownerReferences").contains {
                $0.text("uid") == uid && $0["blockOwnerDeletion"] == true
            } ?? false
        }
    }

    private func disown(_ key: ModelKey, _ uid: String) {
        api.change(key) { object in
            let left = object.items("metadata", "ownerReferences").filter { $0.text("uid") != uid }
            object.set(["metadata", "ownerReferences"], left.isEmpty ? nil : .array(left))
        }
    }

    private func release(_ key: ModelKey, _ finalizer: String) {
        api.change(key) { object in
            let left = object.items("metadata", "finalizers").filter { $0.string != finalizer }
            object.set(["metadata", "finalizers"], left.isEmpty ? nil : .array(left))
        }
    }
}
