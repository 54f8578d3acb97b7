// SPDX-License-Identifier: Apache-2.0

/// Asks what a restore would do: the plan is its status, and nothing is started.
package struct RestorePlan: CustomResource {
    package static let resourceKind = repriseKind("RestorePlan", "restoreplans")

    package var metadata: ObjectMeta
    package var spec: RestorePlanSpec?
    package var status: RestorePlanStatus?

    package init(metadata: ObjectMeta, spec: RestorePlanSpec? = nil, status: RestorePlanStatus? = nil) {
        self.metadata = metadata
        self.spec = spec
        self.status = status
    }
}

/// The part of a RestoreRun's spec that a plan depends on.
package struct RestorePlanSpec: Codable, Equatable, Sendable {
    package var mode: Open<RestoreMode>?
    package var source: RestoreSource?
    package var target: RestoreRunSpec.RestoreTarget?
    package var recoveryTarget: RecoveryTarget?
    /// How long the plan is kept once it was made; absent means for good.
    package var ttlSecondsAfterFinished: Int64?

    package init() {}

    /// The spec of the run that the plan is about.
    package var run: RestoreRunSpec {
        var run = RestoreRunSpec()
        run.mode = mode
        run.source = source
        run.target = target
        run.recoveryTarget = recoveryTarget
        return run
    }
}

/// A `PlanStatus`, field by field, and what is known of the object that carries it.
package struct RestorePlanStatus: Codable, Equatable, Sendable {
    package var observedGeneration: Int64?
    /// The request again, as it was understood.
    package var mode: String?
    package var engine: String?
    package var targetService: PlannedTarget?
    package var sourceBackup: PlannedBackup?
    package var strategy: String?
    package var path: String?
    package var baseBackup: String?
    package var timeline: String?
    package var systemIdentifier: String?
    package var recoveryTarget: String?
    package var destructive: Bool?
    package var reversible: Bool?
    package var undo: String?
    package var confirm: String?
    package var steps: [PlanStep]?
    package var bytes: Int64?
    package var estimatedSeconds: Int64?
    package var catalogAge: String?
    package var warnings: [PlanFinding]?
    package var errors: [PlanFinding]?
    package var hash: String?
    package var conditions: [Condition]?

    package init() {}

    package init(_ plan: PlanStatus) {
        strategy = plan.strategy
        path = plan.path
        baseBackup = plan.baseBackup
        timeline = plan.timeline
        systemIdentifier = plan.systemIdentifier
        recoveryTarget = plan.recoveryTarget
        destructive = plan.destructive
        reversible = plan.reversible
        undo = plan.undo
        confirm = plan.confirm
        steps = plan.steps
        bytes = plan.bytes
        estimatedSeconds = plan.estimatedSeconds
        catalogAge = plan.catalogAge
        warnings = plan.warnings
        errors = plan.errors
        hash = plan.hash
    }

    /// Where the data goes.
    package struct PlannedTarget: Codable, Equatable, Sendable {
        package var name: String?
        /// It is made by the restore; otherwise its data is replaced.
        package var isNew: Bool?

        package init(name: String?, isNew: Bool?) {
            self.name = name
            self.isNew = isNew
        }
    }

    /// Where the data comes from.
    package struct PlannedBackup: Codable, Equatable, Sendable {
        /// The base backup, as WAL-G calls it.
        package var name: String?
        package var repository: String?
        /// Its archive below the repository's prefix, without the major version.
        package var path: String?
        package var finishTime: Timestamp?

        package init(name: String?, repository: String?, path: String?, finishTime: Timestamp?) {
            self.name = name
            self.repository = repository
            self.path = path
            self.finishTime = finishTime
        }
    }
}
