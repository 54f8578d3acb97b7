// SPDX-License-Identifier: Apache-2.0

import Resources

// The rules of the API, as code. The API server checks most of them by schema and CEL before anything is stored, but
// servers before 1.25 know no CEL, schemas change under stored objects, and some rules can't be said in a schema. So
// nothing is taken on trust: whatever is read is checked here again. The rules themselves, with a case for each, are in
// Tests/Fixtures/validation.

/// One thing that is wrong with a spec.
package struct Finding: Equatable, Sendable {
    /// One CamelCase word, from `FindingReason`.
    package var reason: String
    /// Path of the field, e.g. `spec.service.storage.size`.
    package var field: String
    /// One sentence: the field, what it holds (bounded, and only printable ASCII) and the way out.
    package var message: String

    package init(reason: String, field: String, message: String) {
        self.reason = reason
        self.field = field
        self.message = message
    }
}

/// The reasons of findings.
package enum FindingReason {
    /// A field is missing, superfluous, or not of its form.
    package static let invalidSpec = "InvalidSpec"
    /// A name that Kubernetes would refuse, here or on something that is derived from it.
    package static let invalidName = "InvalidName"
    /// The moment to recover to is none.
    package static let invalidRecoveryTarget = "InvalidRecoveryTarget"
    /// The URL of an object store that the controller will not hand to anything.
    package static let endpointNotAllowed = "EndpointNotAllowed"
    /// A variable, label or annotation that belongs to the controller or to a GitOps tool.
    package static let reservedName = "ReservedName"
    /// The new service would archive into the backups that it was restored from.
    package static let prefixOverlap = "PrefixOverlap"
    /// `confirm` was written for something else.
    package static let confirmMismatch = "ConfirmMismatch"
    /// A value that this version does not know; a newer one may.
    package static let needsNewerController = "NeedsNewerController"
}

/// Collects findings, in the order of the fields.
struct Findings {
    /// More of them help nobody, and a condition's message is bounded.
    static let maximum = 16

    private(set) var list: [Finding] = []

    /// `text` continues a sentence that begins with the field.
    mutating func add(_ field: String, _ text: String) { add(FindingReason.invalidSpec, field, text) }

    /// `text` continues a sentence that begins with the field.
    mutating func add(_ reason: String, _ field: String, _ text: String) {
        guard list.count < Self.maximum else { return }
        list.append(Finding(reason: reason, field: field, message: "\(field) \(text)"))
    }

    mutating func require(_ isThere: Bool, _ field: String, _ wayOut: String) {
        if !isThere { add(field, "is required: \(wayOut)") }
    }

    /// Checks text that may be absent.
    /// - Parameter form: continues "is not …"; names the way out.
    mutating func check(
        _ text: String?, _ field: String, maximum: Int, reason: String = FindingReason.invalidSpec, form: String,
        _ isValid: (String) -> Bool
    ) {
        guard let text else { return }
        if text.isEmpty {
            add(reason, field, "is empty: it must be \(form)")
        } else if text.unicodeScalars.count > maximum {
            add(reason, field, "\(quoted(text)) is longer than \(maximum) characters: shorten it")
        } else if !isValid(text) {
            add(reason, field, "\(quoted(text)) is not \(form)")
        }
    }

    /// Checks text that names one of a few values.
    mutating func choice(_ text: String?, _ field: String, of known: [String]) {
        guard let text, !known.contains(text) else { return }
        add(
            FindingReason.needsNewerController, field,
            "\(quoted(text)) is not known to this version: write \(listed(known, "or")), or update the controller")
    }

    mutating func choice<Known: CaseIterable & RawRepresentable & Sendable & Equatable>(
        _ value: Open<Known>?, _ field: String
    ) where Known.RawValue == String {
        choice(value?.text, field, of: Known.allCases.map(\.rawValue))
    }

    mutating func range(_ number: Int64?, _ field: String, _ allowed: ClosedRange<Int64>) {
        guard let number, !allowed.contains(number) else { return }
        add(field, "\(number) is out of range: it must be from \(allowed.lowerBound) to \(allowed.upperBound)")
    }

    mutating func range(_ number: Int?, _ field: String, _ allowed: ClosedRange<Int64>) {
        range(number.map { Int64($0) }, field, allowed)
    }

    /// - Returns: whether there are few enough to look at each.
    @discardableResult
    mutating func count(_ count: Int?, _ field: String, maximum: Int) -> Bool {
        guard let count, count > maximum else { return true }
        add(field, "has \(count) entries and may have \(maximum): remove some")
        return false
    }
}

/// Text from a spec as it may stand in a message: at most 64 characters; printable ASCII, and all else by its number.
func quoted(_ text: String) -> String {
    var result = "\""
    var left = 64
    for scalar in text.unicodeScalars {
        guard left > 0 else { return result + "...\"" }
        left -= 1
        if scalar == "\"" || scalar == "\\" {
            result += "\\\(scalar)"
        } else if (0x20...0x7E).contains(scalar.value) {
            result.unicodeScalars.append(scalar)
        } else {
            result += "\\u{\(String(scalar.value, radix: 16, uppercase: true))}"
        }
    }
    return result + "\""
}

/// `a, b or c`.
func listed(_ words: [String], _ last: String) -> String {
    guard words.count > 1 else { return words.joined() }
    return words.dropLast().joined(separator: ", ") + " \(last) " + words[words.count - 1]
}
