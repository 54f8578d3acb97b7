// SPDX-License-Identifier: Apache-2.0

/// The kinds that the model server knows.
package struct ModelKind: Hashable, Sendable {
    package var group: String
    package var version: String
    package var plural: String
    package var kind: String
    package var isNamespaced = true
    package var hasStatus = true

    package var apiVersion: String { group.isEmpty ? version : "\(group)/\(version)" }
    package var isCustom: Bool { group == "reprise.dev" }
    /// Whether the server counts changes of the spec.
    package var hasGeneration: Bool { isCustom || self == .statefulSets }
    /// A DELETE answers with the object and not with a `Status`.
    var isShownWhenDeleted: Bool { self == .pods || self == .claims }
    /// A PUT makes an object that is not there.
    var isMadeByPut: Bool { self == .leases || self == .events }
    /// A PUT without a resourceVersion is taken.
    var takesBlindPut: Bool { !isCustom && self != .leases }
    /// `statefulsets.apps`, as messages name it.
    package var resource: String { group.isEmpty ? plural : "\(plural).\(group)" }

    package static let pods = ModelKind(group: "", version: "v1", plural: "pods", kind: "Pod")
    package static let claims = ModelKind(
        group: "", version: "v1", plural: "persistentvolumeclaims", kind: "PersistentVolumeClaim")
    package static let services = ModelKind(group: "", version: "v1", plural: "services", kind: "Service")
    package static let secrets = ModelKind(
        group: "", version: "v1", plural: "secrets", kind: "Secret", hasStatus: false)
    package static let configMaps = ModelKind(
        group: "", version: "v1", plural: "configmaps", kind: "ConfigMap", hasStatus: false)
    package static let events = ModelKind(
        group: "", version: "v1", plural: "events", kind: "Event", hasStatus: false)
    package static let namespaces = ModelKind(
        group: "", version: "v1", plural: "namespaces", kind: "Namespace", isNamespaced: false)
    package static let statefulSets = ModelKind(
        group: "apps", version: "v1", plural: "statefulsets", kind: "StatefulSet")
    package static let jobs = ModelKind(group: "batch", version: "v1", plural: "jobs", kind: "Job")
    /// Not stored: the part of a StatefulSet that says how many.
    static let scales = ModelKind(group: "autoscaling", version: "v1", plural: "scales", kind: "Scale")
    package static let leases = ModelKind(
        group: "coordination.k8s.io", version: "v1", plural: "leases", kind: "Lease", hasStatus: false)
    package static let repositories = custom("backuprepositories", "BackupRepository")
    package static let managedServices = custom("managedservices", "ManagedService")
    package static let plans = custom("restoreplans", "RestorePlan")
    package static let approvals = custom("restoreapprovals", "RestoreApproval")
    package static let clones = custom("serviceclones", "ServiceClone")
    package static let backups = custom("servicebackups", "ServiceBackup")
    package static let runs = custom("restoreruns", "RestoreRun")

    package static let all = [
        pods, claims, services, secrets, configMaps, events, namespaces, statefulSets, jobs, leases, repositories,
        managedServices, plans, approvals, clones, backups, runs,
    ]

    private static func custom(_ plural: String, _ kind: String) -> ModelKind {
        ModelKind(group: "reprise.dev", version: "v1alpha1", plural: plural, kind: kind)
    }
}

/// The name of an object in the model server.
package struct ModelKey: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var kind: ModelKind
    package var namespace: String
    package var name: String

    package init(_ kind: ModelKind, _ namespace: String, _ name: String) {
        self.kind = kind
        self.namespace = namespace
        self.name = name
    }

    package static func < (left: ModelKey, right: ModelKey) -> Bool {
        (left.kind.resource, left.namespace, left.name) < (right.kind.resource, right.namespace, right.name)
    }

    package var description: String { "\(kind.kind) \(namespace)/\(name)" }
}
