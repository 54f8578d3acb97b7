// SPDX-License-Identifier: Apache-2.0

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

    /// A base backup's name says nothing of its version: the same name may be in the archive of another one.
    static func otherMajor(_ named: Int, _ major: Int, _ input: InPlaceInput) -> PlanFinding {
        let source = input.request.backupName.map { "spec.source.backup: ServiceBackup \($0)" }
        return PlanFinding(
            reason: "MajorMismatch",
            message: "\(source ?? "spec.source.location.uri") is of major version \(named), and the data of "
                + "\(input.request.service) of \(major); name a backup of version \(major), or restore into a new service"
        )
    }
}
