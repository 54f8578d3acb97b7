// SPDX-License-Identifier: Apache-2.0

import KubeClient
import Reconciler
import Resources
import Seams

/// The sources that can't be watched: asked as long as somebody reads them, a bounded number at a time.
extension Loop {
    /// Carries out fetches until the task is cancelled.
    func fetchForever() async throws {
        while true {
            let seen = fetchBell.count
            guard let fetch = update({ $0.fetches.take() }) else {
                try await fetchBell.wait(beyond: seen)
                continue
            }
            // Whoever asked may have lost interest, or been answered, since.
            if let generation = update({ $0.wanted(fetch) }) { try await carryOut(fetch, generation) }
            update { $0.finishFetch(fetch) }
        }
    }

    private func carryOut(_ fetch: Fetch, _ generation: UInt64) async throws {
        do {
            switch fetch {
            case .confirmed(let asker, let target):
                let kind = update { $0.kinds.entries[target.kind].kind }
                let live = Live(try await kind.get(client, target.namespace, target.name))
                update { $0.confirmedArrived(asker, target, generation, live) }
            case .confirmedList(let asker, let query):
                let kind = update { $0.kinds.entries[query.kind].kind }
                let selector = "\(query.pair.label)=\(query.pair.value)"
                let objects = try await kind.list(client, query.namespace, selector)
                update { $0.listArrived(asker, query, generation, objects) }
            case .sight(let key):
                let kind = update { $0.kinds.entries[key.kind].kind }
                let live = Live(try await kind.get(client, key.namespace, key.name))
                let again = time.uptime.adding(Sight.interval)
                update { $0.sightArrived(key, generation, live, askAgain: again) }
            case .log(let request):
                let facts = try await readLog(request)
                update { $0.logArrived(request, generation, facts) }
            case .podRefusal(let request): try await ask(request, generation)
            case .ledger(let question): try await ask(question, generation)
            }
        } catch {
            try Task.checkCancellation()
            if error is CancellationError { throw error }
            retry(fetch, after: error)
        }
    }

    private func retry(_ fetch: Fetch, after error: any Error) {
        let trouble = Self.trouble(error)
        let what = describe(fetch)
        let failures = update { $0.failed(fetch, trouble.refusal(of: what)) }
        guard failures > 0 else { return }
        var least: Milliseconds?
        if case .retry(let after) = trouble.disposition { least = after }
        let wait = Backoff.fetch.wait(
            failures: failures, atLeast: least, entropy: entropy, for: "fetch backoff/\(what)")
        let moment = time.uptime.adding(wait)
        update { $0.timers.set(.fetch(fetch), at: moment, for: .retry) }
        note(
            .warning, LoopEvents.fetchFailed,
            ["what": what, "reason": trouble.reason, "message": trouble.message])
    }

    private func readLog(_ request: LogRequest) async throws -> Observed<LogFacts> {
        let pod = Ref(Pod.resourceKind, request.namespace, request.pod)
        let options = LogOptions(
            container: request.container, limitBytes: LogReading.limitBytes, tailLines: LogReading.tailLines)
        do {
            return .present(LogReading.facts(in: try await client.log(pod, options), as: request.format))
        } catch let error as APIError where error.code == .notFound {
            return .absent(confirmed: true)
        } catch let error as APIError where error.code == .invalidRequest {
            return .present(.unbelievable(error.message))
        }
    }

    private func ask(_ request: RefusalRequest, _ generation: UInt64) async throws {
        let value: Observed<PodRefusal>
        do {
            let events = try await client.events(about: request.uid, namespace: request.namespace)
            value = PodRefusal.find(in: events, about: request.name)
        } catch let error as APIError where error.code == .forbidden {
            // Whoever has not granted that right is told what is known without it.
            value = .present(.unreadable(error.message))
            note(
                .warning, LoopEvents.fetchFailed,
                ["what": describe(.podRefusal(request)), "reason": error.reason, "message": error.message])
        }
        let answers = update { $0.answers.refusals[request]?.answers ?? 0 }
        let wait = Backoff.refusal.wait(
            failures: answers + 1, atLeast: Backoff.refusal.base, entropy: entropy,
            for: "refusal backoff/\(request.uid)")
        let moment = time.uptime.adding(wait)
        update { $0.refusalArrived(request, generation, value, askAgain: moment) }
    }

    private func ask(_ question: LedgerQuestion, _ generation: UInt64) async throws {
        switch question {
        case .run(let uid):
            do {
                let row = try await surroundings.ledger.run(uid: uid)
                let answer = row.map { Observed.present(LedgerAnswer.run($0)) } ?? .absent(confirmed: true)
                update { $0.ledgerArrived(question, generation, answer, askAgain: nil) }
            } catch {
                try Task.checkCancellation()
                if error is CancellationError { throw error }
                let trouble = Self.trouble(error)
                let failures = update { $0.failed(.ledger(question)) } + 1
                let wait = Backoff.ledger.wait(
                    failures: failures, atLeast: 500, entropy: entropy, for: "ledger backoff/\(uid)")
                let moment = time.uptime.adding(wait)
                note(
                    .warning, LoopEvents.ledgerUnavailable, ["reason": trouble.reason, "message": trouble.message])
                update { memory in
                    memory.ledgerArrived(
                        question, generation, .present(.unavailable(message: trouble.message)), askAgain: moment)
                }
            }
        }
    }

    private func describe(_ fetch: Fetch) -> String {
        switch fetch {
        case .confirmed(_, let target), .sight(let target): "object \(update { $0.kinds.ref(target) })"
        case .confirmedList(_, let query):
            "\(update { $0.kinds.entries[query.kind].kind.resourceKind.plural }) of \(query.namespace) with "
                + "\(query.pair.label)=\(query.pair.value)"
        case .log(let request): "log of \(request.namespace)/\(request.pod) \(request.container)"
        case .podRefusal(let request): "events of \(request.kind) \(request.namespace)/\(request.name)"
        case .ledger(.run(let uid)): "ledger row \(uid)"
        }
    }
}

extension Backoff {
    /// For quorum reads and logs.
    static let fetch = Backoff(base: 500, cap: 60_000)
    /// For Events that told why pods are refused. The end of that shows in a pod; only other words show here.
    static let refusal = Backoff(base: 30_000, cap: 300_000)
    /// For a ledger that does not answer.
    static let ledger = Backoff(base: 1_000, cap: 30_000)
    /// For a row that another run holds: it is let go at any moment, and nothing tells.
    static let busy = Backoff(base: 1_000, cap: 15_000)
    /// For a step that may go through later.
    static let step = Backoff(base: 5, cap: 300_000)
    /// For a step that was refused for good: only a change of something that nobody watches could help.
    static let refusedStep = Backoff(base: 5_000, cap: 300_000)
}
