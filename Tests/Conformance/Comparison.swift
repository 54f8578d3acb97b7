// SPDX-License-Identifier: Apache-2.0

import JSON
import TestSupport

/// Where the two sides part in a sequence. What comes after the first difference is not compared: it follows from it.
struct Difference: Sendable {
    var sequence: Sequence
    /// An index into the steps, or, behind them, into the watches.
    var place: Int
    var real: String
    var model: String

    var step: Step {
        place < sequence.steps.count ? sequence.steps[place] : sequence.watches[place - sequence.steps.count]
    }

    /// Differences of the same kind have the same signature.
    var signature: String { "\(step.cell) \(step.aspect): real \(real), model \(model)" }
}

enum Comparison {
    static func first(_ sequence: Sequence, real: Recording, model: Recording) -> Difference? {
        for (place, pair) in zip(real.answers, model.answers).enumerated() where pair.0 != pair.1 {
            // Known: who owns which field is part of a real object, and not of the model's.
            if model.ignored.contains(place), isOnlyVersion(pair.0, pair.1) { return nil }
            let said = told(pair.0, pair.1)
            return Difference(sequence: sequence, place: place, real: said.0, model: said.1)
        }
        if !model.ignored.isEmpty { return nil }
        for (place, pair) in zip(real.watches, model.watches).enumerated() where pair.0 != pair.1 {
            let said = told(pair.0, pair.1)
            return Difference(
                sequence: sequence, place: sequence.steps.count + place, real: said.0, model: said.1)
        }
        return nil
    }

    private static func isOnlyVersion(_ real: Answer, _ model: Answer) -> Bool {
        guard real.code == model.code, var left = real.object, var right = model.object else { return false }
        left.set(["metadata", "resourceVersion"], nil)
        right.set(["metadata", "resourceVersion"], nil)
        return left == right
    }

    private static func told(_ real: [Answer], _ model: [Answer]) -> (String, String) {
        let types = (real.map(\.reason), model.map(\.reason))
        guard types.0 == types.1 else { return ("\(types.0)", "\(types.1)") }
        let pair = zip(real, model).first { $0 != $1 }
        guard let pair else { return ("\(real.count) events", "\(model.count) events") }
        return told(pair.0, pair.1)
    }

    private static func told(_ real: Answer, _ model: Answer) -> (String, String) {
        guard real.headline == model.headline else { return (real.headline, model.headline) }
        var places: [String] = []
        unlike(real.object ?? .null, model.object ?? .null, "", &places)
        let text = places.prefix(3).joined(separator: "; ")
        return (real.headline, "\(model.headline), but \(text)")
    }

    /// The places at which two values are not the same.
    private static func unlike(_ real: JSONValue, _ model: JSONValue, _ path: String, _ places: inout [String]) {
        if real == model { return }
        if let left = real.object, let right = model.object {
            for key in Set(left.members.map(\.key) + right.members.map(\.key)).sorted() {
                unlike(left[key] ?? .null, right[key] ?? .null, "\(path).\(key)", &places)
            }
        } else if let left = real.array, let right = model.array, left.count == right.count {
            for (index, pair) in zip(left, right).enumerated() {
                unlike(pair.0, pair.1, "\(path)[\(index)]", &places)
            }
        } else {
            places.append("\(path) is \(short(real)), not \(short(model))")
        }
    }

    private static func short(_ value: JSONValue) -> String {
        let text = String(decoding: value.bytes, as: UTF8.self)
        return text.count > 90 ? "\(text.prefix(90))..." : text
    }
}

/// What was asked and answered, in figures.
struct Tally {
    private(set) var requests = 0
    private(set) var events = 0
    private var cells: Set<String> = []
    private var codes: [String: Int] = [:]

    mutating func add(_ sequence: Sequence, _ recording: Recording) {
        requests += recording.requests.count
        events += recording.watches.reduce(0) { $0 + $1.count }
        for (step, answer) in zip(sequence.steps, recording.answers) {
            cells.insert("\(step.cell) \(answer.outcome)")
            codes[answer.outcome, default: 0] += 1
        }
        for (step, answers) in zip(sequence.watches, recording.watches) {
            for answer in answers { cells.insert("\(step.cell) \(answer.outcome)") }
        }
    }

    var cellCount: Int { cells.count }

    var lines: [String] {
        let outcomes = codes.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { "\($0.key): \($0.value)" }
        return [
            "\(requests) requests, \(events) events of watches, "
                + "\(cells.count) cells (verb, subresource, content type, outcome)",
            "answers: \(outcomes.joined(separator: ", "))",
        ]
    }
}
