// SPDX-License-Identifier: Apache-2.0

/// One `status.conditions` entry (`metav1.Condition`). Type and status stay open text so that conditions which someone
/// else set are carried over unchanged.
package struct Condition: Codable, Equatable, Sendable {
    package var type: String
    /// `True`, `False` or `Unknown`.
    package var status: String
    package var reason: String
    package var message: String
    package var lastTransitionTime: Timestamp
    package var observedGeneration: Int64?

    package init(
        type: String, status: String, reason: String, message: String, lastTransitionTime: Timestamp,
        observedGeneration: Int64? = nil
    ) {
        self.type = type
        self.status = status
        self.reason = reason
        self.message = message
        self.lastTransitionTime = lastTransitionTime
        self.observedGeneration = observedGeneration
    }

    package var isTrue: Bool { status == "True" }
}

/// The state of a condition as a decision sets it.
package enum ConditionStatus: String, Sendable {
    case yes = "True"
    case no = "False"
    case unknown = "Unknown"
}

extension Array where Element == Condition {
    /// The condition of this type.
    package func condition(_ type: String) -> Condition? { first { $0.type == type } }

    package func isTrue(_ type: String) -> Bool { condition(type)?.isTrue ?? false }

    /// Sets a condition, keeping its place in the list and its transition time while its status is unchanged.
    /// Messages are cut to 1,024 characters, so that no error text can make a status too large to write.
    package mutating func set(
        _ type: String, _ status: ConditionStatus, _ reason: String, _ message: String, generation: Int64?,
        at now: Timestamp
    ) {
        let text = message.count > 1_024 ? String(message.prefix(1_021)) + "..." : message
        let moment = now.wholeSecond
        guard let index = firstIndex(where: { $0.type == type }) else {
            append(
                Condition(
                    type: type, status: status.rawValue, reason: reason, message: text, lastTransitionTime: moment,
                    observedGeneration: generation))
            return
        }
        if self[index].status != status.rawValue { self[index].lastTransitionTime = moment }
        self[index].status = status.rawValue
        self[index].reason = reason
        self[index].message = text
        self[index].observedGeneration = generation
    }
    /// A condition that was set more than once in one pass keeps the time of `earlier`, if it says again what that said.
    package mutating func keepTransition(of type: String, from earlier: [Condition]) {
        guard let index = firstIndex(where: { $0.type == type }), let before = earlier.condition(type),
            before.status == self[index].status
        else { return }
        self[index].lastTransitionTime = before.lastTransitionTime
    }
}
