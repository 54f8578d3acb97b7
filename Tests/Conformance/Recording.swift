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
            let made = try await server.send(memory.request(Self.sentinel(watch, sentinel)))
            guard made.status == 201 else {
                throw Failure("sentinel of \(sequence.number): \(String(decoding: made.body, as: UTF8.self))")
            }
            let request = memory.request(watch)
            let watched = try await server.watch(request, until: sentinel)
            recording.requests.append(request)
            recording.watches.append(Self.answers(watched, &normalizer))
        }
        return recording
    }

    /// An object that every selector of a watch takes in: once it is told of, so is all that was before it.
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
            if name.hasPrefix("zz-") { continue }
            answers.append((name, normalizer.event(event)))
        }
        let names = Set(answers.map(\.name)).sorted()
        return names.flatMap { name in answers.filter { $0.name == name }.map(\.answer) }
    }
}
