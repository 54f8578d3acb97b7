// SPDX-License-Identifier: Apache-2.0

import JSON

/// The namespace controller: a namespace that is being deleted is emptied, and then let go.
struct ModelNamespaces {
    private let cluster: ModelCluster
    private var api: ModelAPI { cluster.api }

    init(_ cluster: ModelCluster) { self.cluster = cluster }

    /// - Returns: Whether the namespace is empty; otherwise it is to be looked at again.
    func sync(_ key: ModelKey) -> Bool {
        guard let namespace = api[key], namespace[path: ["metadata", "deletionTimestamp"]] != nil else { return true }
        return api.acting(as: "namespace-controller") {
            api.change(key) { $0.set(["status", "phase"], "Terminating") }
            for object in api.index.keys(in: key.name) { api.delete(object) }
            guard api.index.keys(in: key.name).isEmpty else { return false }
            api.change(key) { $0.set(["spec", "finalizers"], .array([])) }
            return true
        }
    }
}
