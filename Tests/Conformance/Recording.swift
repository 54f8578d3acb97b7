// SPDX-License-Identifier: Apache-2.0

import JSON
import Seams
import TestSupport

/// What one server answered to a sequence.
struct Recording: Sendable {
    /// In the order of the steps.
    var answers: [Answer] = []
    /// For each watch, its events; of one object in their order, the objects in the order of their names.
    var watches: [[Answer]] = []
    /// Of the model: the steps that asked for a change that was ignored.
    var ignored: Set<Int> = []
    /// As sent, for a reader of a difference.
    var requests: [HTTPRequest] = []

    static func make(_ sequence: Sequence, on server: some Server) async throws -> Recording {
        var memory = try await server.begin(sequence.namespace)
        var normalizer = Normalizer()
        var recording = Recording()
        for step in sequence.steps {
            let request = memory.request(step)
            let response = try await server.send(request)
            memory.learn(step, try? JSON.decode(JSONValue.self, from: response.body))
            if server.hasIgnored { recording.ignored.insert(recording.answers.count) }
            recording.answers.append(normalizer.answer(response))
            recording.requests.append(request)
        }
        for (index, watch) in sequence.watches.enumerated() {
            let sentinel = "zz-\(index)"
            try await Self.place(sentinel, for: watch, memory, on: server)
            let request = memory.request(watch)
            let watched = try await server.watch(request, until: sentinel)
            recording.requests.append(request)
            recording.watches.append(Self.answers(watched, &normalizer))
        }
        return recording
    }

    /// Does something that the watch takes in: once it is told of, so is all that was before it.
    private static func place(_ name: String, for watch: Step, _ memory: Memory, on server: some Server) async throws {
        let field = watch.query.first { $0.name == "fieldSelector" }?.value ?? ""
        let mark: JSONValue = ["metadata": ["annotations": [Sentinel.annotation: .string(name)]]]
        var step = sentinel(watch, name)
        if let only = field.split(separator: "=").last.map(String.init), !field.contains("!"), field.contains("=") {
            // It hears of one object alone: of a mark on it, or of that object with the mark.
            let marked = Step(
                verb: .patch, kind: watch.kind, name: only, contentType: "application/merge-patch+json",
                body: .value(mark), aspect: "sentinel")
            if try await server.send(memory.request(marked)).status == 200 { return }
            var object = KindGround.all.first { $0.kind == watch.kind }?.object(only) ?? .null
            object.set(["metadata", "annotations", Sentinel.annotation], .string(name))
            step.body = .value(object)
        }
        let made = try await server.send(memory.request(step))
        guard made.status == 201 else {
            throw Failure("sentinel of \(memory.namespace): \(String(decoding: made.body, as: UTF8.self))")
        }
    }

    /// An object that every label selector of a watch takes in.
    private static func sentinel(_ watch: Step, _ name: String) -> Step {
        let selector = watch.query.first { $0.name == "labelSelector" }?.value ?? ""
        let labels: JSONValue = ["tier": selector == "tier=b" || selector == "tier!=a" ? "b" : "a"]
        let ground = KindGround.all.first { $0.kind == watch.kind }
        return Step(
            verb: .post, kind: watch.kind, contentType: "application/json",
            body: .value(ground?.object(name, labels: labels) ?? .null), aspect: "sentinel")
    }

    private static func answers(_ watched: Watched, _ normalizer: inout Normalizer) -> [Answer] {
        if let refusal = watched.refusal { return [normalizer.answer(refusal)] }
        var answers: [(name: String, answer: Answer)] = []
        for event in watched.events where event["type"] != "BOOKMARK" {
            let name = event["object"]?.text("metadata", "name") ?? ""
            if Sentinel.isOne(event) { continue }
            answers.append((name, normalizer.event(event)))
        }
        let names = Set(answers.map(\.name)).sorted()
        return names.flatMap { name in answers.filter { $0.name == name }.map(\.answer) }
    }
}

/// What ends the watches of a sequence: an object of a name of its own, or a mark on another.
enum Sentinel {
    static let annotation = "sentinel"

    static func name(_ event: JSONValue) -> String? {
        if let mark = event["object"]?.text("metadata", "annotations", annotation) { return mark }
        return event["object"]?.text("metadata", "name").flatMap { $0.hasPrefix("zz-") ? $0 : nil }
    }

    static func isOne(_ event: JSONValue) -> Bool { name(event) != nil }
}
