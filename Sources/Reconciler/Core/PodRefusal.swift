// SPDX-License-Identifier: Apache-2.0

package import Resources

/// Why a controller of the cluster (of Jobs, of StatefulSets) does not get its pods made, as its Events say. Where no pod
/// exists there is nowhere else to read it: a quota, a limit range, a pod security level, an admission webhook or a missing
/// ServiceAccount refuse the pod itself.
package enum PodRefusal: Equatable, Sendable {
    /// In the words of whoever refused.
    case told(String)
    /// The Events can't be read; says why.
    case unreadable(String)

    /// How long a pod may be missing before anybody asks why, in seconds. Events are never read of a Job that goes well.
    package static let patience: Int64 = 30
    /// Of the words; those of a pod security level are long.
    static let longest = 600

    /// What the Events about one Job or StatefulSet tell. Where a pod was made after the last refusal there is none.
    package static func find(in events: [EventFact], about owner: String) -> Observed<PodRefusal> {
        func newest(_ reason: String) -> EventFact? {
            events.filter { $0.reason == reason }.max { ($0.toldAt ?? .first) < ($1.toldAt ?? .first) }
        }
        guard let refused = newest("FailedCreate") else { return .absent(confirmed: true) }
        if let made = newest("SuccessfulCreate"), (made.toldAt ?? .first) > (refused.toldAt ?? .first) {
            return .absent(confirmed: true)
        }
        return .present(.told(words(refused.message ?? "", about: owner)))
    }

    /// The words without what the controller puts before them, and without what is another one each time: a status that
    /// named each pod that was tried would be written anew with every attempt.
    static func words(_ message: String, about owner: String) -> String {
        var text = message[...]
        for prefix in ["(combined from similar events): ", "Error creating: "] where text.hasPrefix(prefix) {
            text = text.dropFirst(prefix.count)
        }
        if text.hasPrefix("create Pod "), let end = text.firstRange(of: " failed error: ") {
            text = text[end.upperBound...]
        }
        return bounded(withoutTries(text, of: owner))
    }

    /// Pods of a Job are called after it, with five characters behind: those are left out. The pods of a StatefulSet have
    /// numbers, which stay.
    private static func withoutTries(_ text: Substring, of owner: String) -> String {
        guard !owner.isEmpty else { return String(text) }
        let parts = text.split(separator: "\"\(owner)-", omittingEmptySubsequences: false)
        return parts.enumerated().map { index, part in
            let suffix = part.prefix { $0 != "\"" }
            let isDrawn = suffix.count == 5 && suffix.allSatisfy { $0.isASCII && ($0.isNumber || $0.isLowercase) }
            return index > 0 && isDrawn ? part.dropFirst(5) : part
        }.joined(separator: "\"\(owner)-")
    }

    /// One line of text from outside.
    private static func bounded(_ text: String) -> String {
        let words = text.prefix(longest).split { $0.isWhitespace || $0.unicodeScalars.contains { $0.value < 0x20 } }
        return words.isEmpty ? "the Event does not say why" : words.joined(separator: " ")
    }
}

extension Reader {
    /// Why a StatefulSet has no pod; `unknown` of one that has one, or is to have none.
    mutating func podRefusal(of owner: StatefulSet?, without pod: Observed<Pod>) -> Observed<PodRefusal> {
        guard pod.value == nil, let owner, owner.spec?.replicas != 0, !owner.metadata.isDeleting else {
            return .unknown
        }
        return podRefusal(of: owner.seen)
    }
}

extension Timestamp {
    fileprivate static let first = Timestamp(microseconds: .min)
}
