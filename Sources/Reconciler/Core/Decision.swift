// SPDX-License-Identifier: Apache-2.0

package import Resources

/// A kind's behaviour: `observe` says what may be seen, `decide` what follows. Both are pure and total.
package protocol Behavior: Sendable {
    associatedtype Object: Resource
    associatedtype Status: Codable & Equatable & Sendable
    associatedtype Snapshot: Equatable & Sendable

    static func observe(_ object: Object, through reader: inout some Reader) -> Snapshot
    static func decide(_ snapshot: Snapshot, at now: Timestamp) -> Decision<Status>
    /// What people should read of a status change, as Events.
    static func notices(from old: Status?, to new: Status) -> [Notice]
    /// The object's status as read; `nil` for kinds that have none of ours.
    static func status(of object: Object) -> Status?
}

extension Behavior where Object: CustomResource, Object.Status == Status {
    package static func status(of object: Object) -> Status? { object.status }
}

/// The outcome of one pass.
///
/// `status` is written FIRST, if it differs from what was read, by PUT `/status` against the resourceVersion that was
/// read: the write-ahead record of every choice, and the compare-and-set against cancel, delete and a second leader.
/// Only then the effects, in order, up to the first failure. A status never claims the success of this pass's effects:
/// the next pass observes it.
package struct Decision<Status: Equatable & Sendable>: Equatable, Sendable {
    /// `nil`: leave it as it is.
    package var status: Status?
    package var effects: [Effect]
    package var wake: Wake

    package init(status: Status? = nil, effects: [Effect] = [], wake: Wake = .onChange) {
        self.status = status
        self.effects = effects
        self.wake = wake
    }
}

/// When to look again: when something that was read changes, and at the latest at a given moment.
package enum Wake: Equatable, Sendable {
    case onChange
    case at(Timestamp)

    /// The same, and at that moment at the latest.
    func noLater(than moment: Timestamp) -> Wake {
        if case .at(let own) = self, own < moment { self } else { .at(moment) }
    }
}

/// Something to tell people: becomes an Event.
package struct Notice: Equatable, Sendable {
    package var isWarning: Bool
    package var reason: String
    package var message: String

    package init(isWarning: Bool, reason: String, message: String) {
        self.isWarning = isWarning
        self.reason = reason
        self.message = message
    }
}

/// For kinds whose status is not ours.
package struct NoStatus: Codable, Equatable, Sendable {
    package init() {}
}

/// Writes only; asking is reading. Plain values: no closures, no secrets, no random bytes. Each is correct however late
/// it arrives, given its precondition, because a frozen ex-leader may still send it.
package enum Effect: Equatable, Sendable {
    /// POST. "Exists already" is not a failure: the next snapshot tells whether it is ours.
    case create(Child)
    /// POST of a Secret whose values the performer draws and nobody sees. "Exists already" is fine.
    case makeSecret(SecretRecipe)
    /// Strategic merge patch of a StatefulSet that a run created, with uid and resourceVersion.
    case changeTemplate(Seen, TemplateChange)
    /// JSON patch of `spec.replicas` that tests uid and generation: what its status says meanwhile is no obstacle.
    case scale(Seen, generation: Int64, to: Int)
    /// Merge patch of a StatefulSet's annotations, whoever made it, with uid and resourceVersion: sets these, removes
    /// those without a value. The others stay, and the map is made where there is none.
    case annotate(Seen, [String: String?])
    /// JSON patch of a StatefulSet, whoever made it, that tests uid and values: removes these annotations.
    case dropAnnotations(Seen, [String: String])
    /// Merge patch of `metadata.finalizers` to exactly this list, with uid and resourceVersion.
    case setFinalizers(Seen, [String])
    /// Merge patch of a ConfigMap with uid and resourceVersion: its data and its annotations are those of the manifest,
    /// whose name is the same. Keys that the manifest lacks stay.
    case replaceConfigMap(Seen, ConfigMapManifest)
    /// DELETE with uid and resourceVersion as preconditions, dependents in the background.
    case delete(Seen)
    /// Upsert into the ledger by (cluster, run UID), with its audit rows in the same transaction.
    case record(LedgerEntry)
    /// POST of the ConfigMap `reprise-spool-<run uid>` with this entry, in the controller's own namespace.
    case spool(LedgerEntry)
}

/// The closed list of what the controller ever creates.
package enum Child: Equatable, Sendable {
    case claim(PersistentVolumeClaimManifest)
    case statefulSet(StatefulSetManifest)
    case service(ServiceManifest)
    case job(JobManifest)
    case configMap(ConfigMapManifest)
    case restoreRun(RestoreRunManifest)
    case serviceBackup(ServiceBackupManifest)

    package var ref: Ref {
        switch self {
        case .claim(let manifest): manifest.ref
        case .statefulSet(let manifest): manifest.ref
        case .service(let manifest): manifest.ref
        case .job(let manifest): manifest.ref
        case .configMap(let manifest): manifest.ref
        case .restoreRun(let manifest): manifest.ref
        case .serviceBackup(let manifest): manifest.ref
        }
    }
}

/// A Secret to make: `username` and `database` as given, and a drawn `password`.
package struct SecretRecipe: Equatable, Sendable {
    package var metadata: ManifestMeta
    package var username: String
    package var database: String
    /// How many random bytes the password is made of (written as base64url without padding).
    package var passwordBytes: Int

    package init(metadata: ManifestMeta, username: String, database: String, passwordBytes: Int = 24) {
        self.metadata = metadata
        self.username = username
        self.database = database
        self.passwordBytes = passwordBytes
    }
}

/// One change of a StatefulSet's pod template and replica count: the "open" of a restored service.
package struct TemplateChange: Encodable, Equatable, Sendable {
    package var container: String
    package var replicas: Int
    /// The whole new list of arguments; `nil` removes it.
    package var args: [String]?
    /// Variables to set or replace, by name.
    package var env: [VariableManifest]
    /// Variables to remove, by name.
    package var removeEnv: [String]
    package var readinessProbe: Probe?
    package var livenessProbe: Probe?
    package var removeStartupProbe: Bool
    /// All of them: the template had none but the one that restores. Removing one by its name from a template without any
    /// would add it instead.
    package var removeInitContainers: Bool
    /// Merged into the pod template's annotations.
    package var annotations: [String: String]

    package init(
        container: String, replicas: Int, args: [String]?, env: [VariableManifest], removeEnv: [String],
        readinessProbe: Probe?, livenessProbe: Probe?, removeStartupProbe: Bool, removeInitContainers: Bool = false,
        annotations: [String: String] = [:]
    ) {
        self.container = container
        self.replicas = replicas
        self.args = args
        self.env = env
        self.removeEnv = removeEnv
        self.readinessProbe = readinessProbe
        self.livenessProbe = livenessProbe
        self.removeStartupProbe = removeStartupProbe
        self.removeInitContainers = removeInitContainers
        self.annotations = annotations
    }
}
