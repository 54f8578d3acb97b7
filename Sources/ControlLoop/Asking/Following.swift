// SPDX-License-Identifier: Apache-2.0

import KubeClient
import Reconciler
import Resources
import Seams

/// One connection to a log that somebody reads, with what the connections before it have found out.
struct Following: Sendable {
    /// So many logs are followed at the same time. The others wait for one of them to end or to pause: a thousand
    /// restores must not open a thousand connections. A log that waits is unknown, or stays as it was.
    static let limit = 64
    /// A connection that lived so long was no failure, even when it brought nothing.
    static let liveliness: Milliseconds = 10_000

    var request: LineRequest
    var generation: UInt64
    var facts: LineFacts?
    var position: LogPosition?
    /// Connections in a row that failed, or found the container not started.
    var failures: Int
    /// Connections in a row that ended in good order and brought nothing.
    var emptyEnds: Int
    /// Rung when nobody reads this log any more.
    var dropped: Bell

    /// Why a connection ended.
    enum Ending: Sendable {
        /// In good order. It may have been the container's end, or anything between here and the node.
        case ended
        /// The pod is gone, or its node does not know it.
        case gone
        /// The container has not started.
        case notReady
        /// There was nothing to hear for a long time.
        case silent
        case failed(Trouble)
        /// Nobody reads it any more, or the loop ends.
        case dropped
    }

    /// What is known after a connection, and what comes next.
    struct Outcome: Sendable {
        var facts: LineFacts?
        var position: LogPosition?
        var failures = 0
        var emptyEnds = 0
        /// When to connect again; `nil`: never, the container has ended.
        var again: Milliseconds?
    }
}

/// Logs of running containers, and objects that are watched by themselves: followed as long as somebody reads them, one
/// connection for each.
extension Loop {
    /// Follows logs and objects until the task is cancelled. Each connection is a child of this task.
    func followForever() async throws {
        try await withThrowingDiscardingTaskGroup { group in
            while true {
                let seen = followBell.count
                while let following = update({ $0.takeFollowing() }) {
                    showFollowers()
                    group.addTask { await self.carryOut(following) }
                }
                while let sighting = update({ $0.takeSighting() }) {
                    group.addTask { try await self.carryOut(sighting) }
                }
                do { try await followBell.wait(beyond: seen) } catch { return }
            }
        }
        try Task.checkCancellation()
    }

    private func carryOut(_ following: Following) async {
        let began = time.uptime
        let (ending, reading) = await untilDropped(following)
        let lasted = time.uptime.since(began)
        let outcome = judge(following, ending, reading, lasted: lasted)
        let now = time.uptime
        update { $0.finishFollowing(following, outcome, at: now) }
        showFollowers()
    }

    private func showFollowers() {
        let count = update { $0.following }
        configuration.state.update { $0.followers = count }
    }

    /// One connection, which ends at the latest when nobody reads it any more.
    private func untilDropped(_ following: Following) async -> (Following.Ending, LineReading?) {
        let result = try? await untilRung(following.dropped) { await self.connect(following) }
        return result ?? (.dropped, nil)
    }

    private func connect(_ following: Following) async -> (Following.Ending, LineReading?) {
        let request = following.request
        let pod = Ref(Pod.resourceKind, request.namespace, request.pod)
        var reading: LineReading?
        do {
            let stream = try await client.follow(
                pod, container: request.container, since: following.position?.moment.rfc3339)
            defer { stream.close() }
            reading = LineReading(
                request.format.patterns, facts: following.facts ?? LineFacts(), after: following.position)
            if following.facts == nil { publish(reading?.facts, of: following) }
            while let bytes = try await stream.next() {
                try Task.checkCancellation()
                if reading?.take(bytes) == true { publish(reading?.facts, of: following) }
            }
            return (.ended, reading)
        } catch let error as APIError where !Task.isCancelled {
            return (Self.ending(error), reading)
        } catch {
            return (.dropped, reading)
        }
    }

    private static func ending(_ error: APIError) -> Following.Ending {
        switch error.code {
        case .notReady: .notReady
        case .notFound: .gone
        case .timedOut: .silent
        default: .failed(trouble(error))
        }
    }

    private func publish(_ facts: LineFacts?, of following: Following) {
        guard let facts else { return }
        let now = time.uptime
        update { $0.linesArrived(following.request, following.generation, facts, at: now) }
    }

    /// What follows from the end of a connection.
    private func judge(
        _ following: Following, _ ending: Following.Ending, _ reading: LineReading?, lasted: Milliseconds
    ) -> Following.Outcome {
        let isLively = reading?.hasNews == true || lasted >= Following.liveliness
        var outcome = Following.Outcome(
            facts: reading?.facts ?? following.facts, position: reading?.position ?? following.position)
        var least: Milliseconds?
        switch ending {
        case .ended:
            // Looked at once more: when that ends at once as well, and brings nothing, the container has ended.
            outcome.emptyEnds = isLively ? 1 : following.emptyEnds + 1
            if outcome.emptyEnds > 1 {
                if var reading {
                    _ = reading.finish()
                    (outcome.facts, outcome.position) = (reading.facts, reading.position)
                }
                return outcome
            }
            least = 1_000
        // Whoever is dropped has no slot any more; if one is there after all, it is somebody's.
        case .silent, .dropped: break
        case .gone:
            outcome.facts = outcome.facts ?? LineFacts()
            outcome.failures = following.failures + 1
        case .notReady: outcome.failures = following.failures + 1
        case .failed(let trouble):
            outcome.failures = isLively ? 1 : following.failures + 1
            if case .retry(let after) = trouble.disposition { least = after }
            note(
                .warning, LoopEvents.followFailed,
                ["what": describe(following.request), "reason": trouble.reason, "message": trouble.message])
        }
        outcome.again = Backoff.follow.wait(
            failures: outcome.failures, atLeast: least, entropy: entropy,
            for: "follow backoff/\(describe(following.request))")
        return outcome
    }

    private func describe(_ request: LineRequest) -> String {
        "log of \(request.namespace)/\(request.pod) \(request.container)"
    }
}

extension Backoff {
    /// For a log that can't be followed just now.
    static let follow = Backoff(base: 500, cap: 15_000)
}
