// SPDX-License-Identifier: Apache-2.0

package import Resources

extension RestoreRunBehavior {
    /// One Event for each thing that people should read, when it happens.
    package static func notices(from old: RestoreRunStatus?, to new: RestoreRunStatus) -> [Notice] {
        var notices: [Notice] = []
        let before = old?.conditions ?? []
        for condition in new.conditions ?? [] {
            let earlier = before.condition(condition.type)
            guard earlier?.status != condition.status || earlier?.reason != condition.reason else { continue }
            // The end of a run is told once, by Finished.
            if condition.type == RunCondition.stalled, new.conditions?.isTrue(RunCondition.finished) == true {
                continue
            }
            if let notice = notice(condition) { notices.append(notice) }
        }
        return notices
    }

    private static func notice(_ condition: Condition) -> Notice? {
        switch condition.type {
        case RunCondition.finished where condition.isTrue:
            return Notice(
                isWarning: condition.reason != "Completed", reason: condition.reason, message: condition.message)
        case RunCondition.planned where condition.isTrue, RunCondition.provisioned, RunCondition.dataRestored,
            RunCondition.sealed, RunCondition.cloneEnvRemoved:
            guard condition.isTrue else { return nil }
            return Notice(isWarning: false, reason: condition.type, message: condition.message)
        case RunCondition.pointOfNoReturn:
            return Notice(isWarning: false, reason: "RestoreRunStarted", message: condition.message)
        case RunCondition.verified where condition.reason == "OtherBaseBackup":
            return Notice(isWarning: true, reason: condition.reason, message: condition.message)
        case RunCondition.freshBackup, RunCondition.sourceUntouched:
            guard condition.reason != "Disabled" else { return nil }
            return Notice(
                isWarning: !condition.isTrue, reason: condition.isTrue ? condition.type : condition.reason,
                message: condition.message)
        case RunCondition.recorded where condition.status == "False" && condition.reason != "NotYet":
            return Notice(isWarning: true, reason: condition.reason, message: condition.message)
        case RunCondition.stalled where condition.isTrue:
            return Notice(isWarning: true, reason: condition.reason, message: condition.message)
        default:
            return nil
        }
    }
}
