// SPDX-License-Identifier: Apache-2.0

import Catalog
import Resources

// In place: the words of a plan.

extension InPlacePlanner {
    static func detail(_ step: Step, _ input: InPlaceInput) -> String? {
        let unit = input.unit
        switch step.name {
        case .stop: return "scale StatefulSet \(unit.statefulSet) to 0 and wait until pod \(unit.pod) is gone"
        case .permit: return "permit the Job that works on claim \(unit.claim)"
        case .replace:
            switch input.origin {
            case .archive(let origin):
                return "set \(unit.dataDirectory) aside, fetch the base backup from "
                    + "\(origin.source.uri(origin.path)), recover, verify, and swap"
            case .rollback(let origin):
                return "set \(unit.dataDirectory) aside, recover the data that \(origin.runName) replaced onto a "
                    + "timeline of its own, verify, and swap"
            }
        case .revoke: return "take the permit away"
        case .start: return "scale StatefulSet \(unit.statefulSet) to \(unit.replicas)"
        case .serve: return unit.replicas == 0 ? "nothing: it was stopped before" : "wait until it serves"
        case .unlock: return "take the lock off StatefulSet \(unit.statefulSet)"
        default: return nil
        }
    }

    /// The service is on a timeline of which the archive has nothing yet: right after a restore to a moment, or when archiving
    /// fails. What it has written there is in no archive, and the newest that can be restored is on the one before.
    /// - Returns: `nil` also when the request names the timeline itself.
    static func newerTimeline(_ input: InPlaceInput, _ choice: RecoveryChoice) -> PlanFinding? {
        guard input.request.recovery.line == .latest, let own = input.inspection.timeline, own > choice.timeline else {
            return nil
        }
        return PlanFinding(
            reason: "TargetIsNewer",
            message: "claim \(input.unit.claim): the data of \(input.request.service) is on timeline \(own), and the "
                + "archive ends on timeline \(choice.timeline): what was written since is not archived yet. Run SELECT "
                + "pg_switch_wal() in it and wait until the archive has it; if it is to be given up, set "
                + "spec.recoveryTarget.timeline to \"\(choice.timeline)\"")
    }

    /// A base backup's name says nothing of its version: the same name may be in the archive of another one.
    static func otherMajor(_ named: Int, _ major: Int, _ input: InPlaceInput) -> PlanFinding {
        let source = input.request.backupName.map { "spec.source.backup: ServiceBackup \($0)" }
        return PlanFinding(
            reason: "MajorMismatch",
            message: "\(source ?? "spec.source.location.uri") is of major version \(named), and the data of "
                + "\(input.request.service) of \(major); name a backup of version \(major), or restore into a new service"
        )
    }

    /// The passwords of another service's data are reset, and nobody could log in without one of this service's own.
    static func credentialsMissing(
        _ credentials: ManagedServiceSpec.ServiceCredentials?, _ service: String
    ) -> PlanFinding? {
        guard credentials?.secretName == nil else { return nil }
        return PlanFinding(
            reason: "CredentialsMissing",
            message: "spec.credentials.secretName of ManagedService \(service) is not set: the data of another service "
                + "gets this service's password, and loses its own ones. Name the Secret that has it (and its key, "
                + "spec.credentials.passwordKey, if that is not \"password\")")
    }
}
