// SPDX-License-Identifier: Apache-2.0

/// One restore operation. Its spec is immutable apart from `cancel`; its terminal states are final.
package struct RestoreRun: CustomResource {
    package static let resourceKind = repriseKind("RestoreRun", "restoreruns")

    package var metadata: ObjectMeta
    package var spec: RestoreRunSpec?
    package var status: RestoreRunStatus?

    package init(metadata: ObjectMeta, spec: RestoreRunSpec? = nil, status: RestoreRunStatus? = nil) {
        self.metadata = metadata
        self.spec = spec
        self.status = status
    }

    /// Found by the ManagedService whose data it replaces.
    package static let targetIndex = "reprise.dev/target-service"
    package var indexed: [String: String]? { labels(and: Self.targetIndex, spec?.target?.service?.name) }
}

package enum RestoreMode: String, CaseIterable, Sendable {
    case inPlace = "InPlace"
    case newService = "NewService"
    case pointInTime = "PointInTime"
}

/// The state of a run. `Pending` and `Running` are the only ones that change.
package enum RunState: String, CaseIterable, Sendable {
    case pending = "Pending"
    case running = "Running"
    case completed = "Completed"
    case failed = "Failed"
    case cancelled = "Cancelled"
    case interrupted = "Interrupted"

    package var isTerminal: Bool {
        switch self {
        case .pending, .running: false
        case .completed, .failed, .cancelled, .interrupted: true
        }
    }
}

/// What a run is busy with.
package enum RunPhase: String, CaseIterable, Codable, Sendable {
    case prepare = "Prepare"
    case download = "Download"
    case provision = "Provision"
    case restore = "Restore"
    case recover = "Recover"
    case verify = "Verify"
    case completed = "Completed"
    case failed = "Failed"
}

package struct RestoreRunSpec: Codable, Equatable, Sendable {
    package var mode: Open<RestoreMode>?
    package var source: RestoreSource?
    package var target: RestoreTarget?
    package var recoveryTarget: RecoveryTarget?
    package var confirm: String?
    package var confirmCrossService: Bool?
    package var requestID: String?
    package var retryOf: NameReference?
    package var rollbackOf: NameReference?
    package var onBusy: String?
    package var deadlines: Deadlines?
    package var preRestore: PreRestore?
    package var ledger: String?
    package var verification: RunVerification?
    package var cancel: Bool?

    package init() {}

    package struct RestoreTarget: Codable, Equatable, Sendable {
        package var service: NameReference?
        package var newService: NewService?

        package init(service: NameReference? = nil, newService: NewService? = nil) {
            self.service = service
            self.newService = newService
        }
    }

    /// Durations such as `90s`, `30m` or `4h`.
    package struct Deadlines: Codable, Equatable, Sendable {
        package var restore: String?
        package var recover: String?
        package var verify: String?

        package init(restore: String? = nil, recover: String? = nil, verify: String? = nil) {
            self.restore = restore
            self.recover = recover
            self.verify = verify
        }
    }

    package struct PreRestore: Codable, Equatable, Sendable {
        package var keepFor: String?

        package init(keepFor: String?) { self.keepFor = keepFor }
    }

    package struct RunVerification: Codable, Equatable, Sendable {
        package var checks: [String]?
        package var amcheck: Bool?

        package init(checks: [String]?, amcheck: Bool?) {
            self.checks = checks
            self.amcheck = amcheck
        }
    }
}

package struct RestoreRunStatus: Codable, Equatable, Sendable {
    package var observedGeneration: Int64?
    package var state: Open<RunState>?
    package var phase: Open<RunPhase>?
    package var failedPhase: Open<RunPhase>?
    package var attempt: Int?
    /// One sentence on what the run is doing or why it ended.
    package var message: String?
    package var ledgerID: String?
    package var destructive: Bool?
    package var requestedBy: Requester?
    /// Who said yes to the plan, if that was asked for.
    package var approvedBy: String?
    package var plan: PlanStatus?
    package var progress: RestoreProgress?
    package var restore: RestoreRecord?
    package var verification: [VerificationResult]?
    package var cancelRequestedAt: Timestamp?
    package var startedAt: Timestamp?
    package var finishedAt: Timestamp?
    package var auditHead: String?
    package var conditions: [Condition]?

    package init() {}

    package struct Requester: Codable, Equatable, Sendable {
        package var name: String?
        package var verified: Bool?

        package init(name: String?, verified: Bool?) {
            self.name = name
            self.verified = verified
        }
    }

    package struct VerificationResult: Codable, Equatable, Sendable {
        package var name: String
        package var passed: Bool
        package var milliseconds: Int64?

        package init(name: String, passed: Bool, milliseconds: Int64?) {
            self.name = name
            self.passed = passed
            self.milliseconds = milliseconds
        }
    }
}

/// What a run must remember and can't observe again: choices that were pinned and facts that were seen once.
package struct RestoreRecord: Codable, Equatable, Sendable {
    /// SHA-256 of the spec without `cancel`, as first seen: old API servers let it be edited.
    package var specDigest: String?
    /// The new service's name as first asked for: what was made is found by it, whatever the spec says later.
    package var serviceName: String?
    /// Steps of the plan that are done, in the order in which they were seen done.
    package var completedSteps: [String]?
    /// When the step that is under way was begun: its deadline counts from here.
    package var stepStartedAt: Timestamp?
    /// Since when a step that is late could not be judged, because something can't be read.
    package var unreadableSince: Timestamp?
    /// It began while the ledger was away, as `ledger: BestEffort` lets it: what it spooled was its row.
    package var startedWithoutLedger: Bool?
    /// The ManagedServices whose policy asked for an approval when the run was planned; absent where none did.
    package var approvalAskedBy: [String]?
    package var originalReplicas: Int?
    /// Since when a run in place may change its target: then the ledger, or the spool, had it as running.
    package var mayWriteSince: Timestamp?
    /// The claim that this attempt made. Deleting or re-using data goes by this UID and never by name.
    package var claimUID: String?
    /// The new service, where it copies another one.
    package var copied: CopiedService?
    /// The StatefulSet that this attempt made.
    package var targetUID: String?
    package var pinnedBackup: PinnedBackup?
    /// What the ServiceBackup in the source said when it was first read: it may be gone at any time after that.
    package var discovered: DiscoveredBackup?
    /// The timeline that recovery follows.
    package var recoveryTimeline: Int64?
    /// How PostgreSQL is told so on the `InitContainer` path: its number, or `current` where the archive has no history
    /// file of it.
    package var targetTimeline: String?
    /// When the fetch was over and replay began: its deadline counts from here.
    package var recoverStartedAt: Timestamp?
    /// The reason that the restoring container's log told before it was started again.
    package var lastReason: String?
    /// Where the run reads and writes, as planned: endpoint and address. A repository may be edited meanwhile.
    package var sourceURI: String?
    package var archiveURI: String?
    package var source: SourceFingerprint?
    /// What the data must pass, as it stood when the run was planned.
    package var checks: [VerificationCheck]?
    package var sealed: SealRecord?
    /// What a run that works in place works on.
    package var inPlace: InPlaceRecord?
    package var freshBackup: String?
    /// Set when the run is going to end without success: what it started is taken away first.
    package var ending: Ending?

    package init() {}
}

/// The service that a run works on in place, as planned, and what became of it so far.
package struct InPlaceRecord: Codable, Equatable, Sendable {
    /// The StatefulSet's name.
    package var workload: String
    package var pod: String
    package var claim: String
    package var image: String
    /// As the ManagedService said, or else PG_VERSION.
    package var major: Int?
    /// Of the data as it was when the run was planned.
    package var systemIdentifier: String?
    package var timeline: Int64?
    /// The data comes from another service.
    package var isCrossService: Bool?
    /// The run whose replaced data is put back.
    package var rollbackUID: String?
    /// When the service's pod was seen to be gone.
    package var stoppedAt: Timestamp?
    /// A Job that works on the volume was asked for: from here on the volume is asked before anything is believed of it.
    package var isBegun: Bool?
    /// The new data has its name.
    package var isSwapped: Bool?
    /// The old data was put back, or never moved.
    package var isUndone: Bool?
    /// Until when the replaced data is kept.
    package var keptUntil: Timestamp?
    /// That time is over, and what was kept is being removed.
    package var isTidying: Bool?
    /// When it was removed, or found to be gone; also when it was given up, which `CleanedUp` says.
    package var tidiedAt: Timestamp?

    package init(workload: String, pod: String, claim: String, image: String) {
        self.workload = workload
        self.pod = pod
        self.claim = claim
        self.image = image
    }
}

/// The base backup that the first plan chose.
package struct PinnedBackup: Codable, Equatable, Sendable {
    package var name: String
    /// `X/X`.
    package var startLSN: String
    package var finishLSN: String?
    package var finishTime: String?
    package var systemIdentifier: String
    package var timeline: Int64
    /// Unpacked.
    package var bytes: Int64
    /// What is downloaded, with the backups that a delta builds on.
    package var downloadBytes: Int64?
    package var downloadParts: Int?
    /// Segments to replay; an upper bound where only times are known.
    package var segments: Int64?
    /// The last segment that could be reached when it was planned: a restore to latest must come into it.
    package var newestSegment: String?

    package init(
        name: String, startLSN: String, finishTime: String?, systemIdentifier: String, timeline: Int64, bytes: Int64
    ) {
        self.name = name
        self.startLSN = startLSN
        self.finishTime = finishTime
        self.systemIdentifier = systemIdentifier
        self.timeline = timeline
        self.bytes = bytes
    }
}

extension PinnedBackup {
    /// The segment that it begins in, as its name has it.
    package var firstSegment: String { String(name.dropFirst("base_".count).prefix(24)) }

    /// How the archive's log is cut; `nil` when name and start LSN fit no size of segments.
    package var geometry: WalGeometry? { LSN(startLSN).flatMap { WalGeometry(placing: $0, in: firstSegment) } }
}

/// What the source's prefix held when it was planned: compared again at the end.
package struct SourceFingerprint: Codable, Equatable, Sendable {
    package var keys: Int64
    /// SHA-256 over key, ETag and size of every object not newer than `at`.
    package var digest: String
    /// The store's own clock at the first listing.
    package var at: Timestamp

    package init(keys: Int64, digest: String, at: Timestamp) {
        self.keys = keys
        self.digest = digest
        self.at = at
    }
}

/// What the seal proved about the restored data.
package struct SealRecord: Codable, Equatable, Sendable {
    package var systemIdentifier: String
    package var timeline: Int64
    /// Start LSN in the restored `backup_label`: names the base backup that was really fetched.
    package var backupStartLSN: String?
    /// The third column of the timeline history: what recovery stopped at.
    package var recoveredTo: String?
    package var dataBytes: Int64?
    package var subscriptionsDisabled: Int?
    package var rolesReset: Int?

    package init(systemIdentifier: String, timeline: Int64) {
        self.systemIdentifier = systemIdentifier
        self.timeline = timeline
    }
}

/// How a run is going to end once what it made is gone. Written before anything is taken away.
package struct Ending: Codable, Equatable, Sendable {
    package var state: Open<RunState>
    package var reason: String
    package var message: String

    package init(state: RunState, reason: String, message: String) {
        self.state = Open(state)
        self.reason = reason
        self.message = message
    }
}
