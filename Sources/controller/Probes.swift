// SPDX-License-Identifier: Apache-2.0

import ControlLoop
import Seams
import Synchronization

/// When the loop's thread last came round, as seen from outside.
final class Pulse: Sendable {
    private static let period: Milliseconds = 5_000

    private let moment: Atomic<Int64>

    init(_ time: any Timekeeper) { moment = Atomic(time.uptime.milliseconds) }

    var last: Uptime { Uptime(milliseconds: moment.load(ordering: .relaxed)) }

    /// Beats on the calling task's executor until the task is cancelled.
    func beat(_ time: any Timekeeper) async throws {
        while true {
            moment.store(time.uptime.milliseconds, ordering: .relaxed)
            try await time.sleep(until: time.uptime.adding(Self.period), for: .resync)
        }
    }
}

/// What the probes say.
struct Probes: Sendable {
    let state: LoopState
    let journal: LogJournal
    let time: any Timekeeper
    let pulse: Pulse

    /// A loop that has had no answer about its lease for this long is stuck or cut off, in milliseconds.
    private static let silence: Milliseconds = 60_000
    /// A thread that has not come round for this long is stuck.
    private static let stuck: Milliseconds = 60_000

    func answer(_ path: String) -> ProbeServer.Answer {
        switch path {
        case "/healthz": healthz
        case "/readyz": readyz
        case "/metrics": ProbeServer.Answer(status: 200, text: metrics)
        default: ProbeServer.Answer(status: 404, text: "/healthz, /readyz and /metrics are here\n")
        }
    }

    private var healthz: ProbeServer.Answer {
        // Being cut off from the API server is no reason to be restarted: only a loop whose thread is stuck is.
        let silent = time.uptime.since(pulse.last)
        guard silent < Self.stuck else {
            return ProbeServer.Answer(status: 503, text: "the loop has not run for \(silent / 1_000) s\n")
        }
        return ProbeServer.Answer(status: 200, text: "ok\n")
    }

    private var readyz: ProbeServer.Answer {
        let facts = state.facts
        guard let last = facts.lastLeaseAnswer, time.uptime.since(last) < Self.silence else {
            return ProbeServer.Answer(status: 503, text: "no answer from the API server\n")
        }
        if facts.isLeading && !facts.isSynced {
            return ProbeServer.Answer(status: 503, text: "leading, and still listing\n")
        }
        return ProbeServer.Answer(status: 200, text: facts.isLeading ? "leading\n" : "standing by\n")
    }

    /// Prometheus' text format.
    private var metrics: String {
        let facts = state.facts
        var lines = [
            "# HELP reprise_leading Whether this controller leads.", "# TYPE reprise_leading gauge",
            "reprise_leading \(facts.isLeading ? 1 : 0)",
            "# HELP reprise_synced Whether every watched kind has been listed.", "# TYPE reprise_synced gauge",
            "reprise_synced \(facts.isSynced ? 1 : 0)",
            "# HELP reprise_queue_depth Objects that wait for a pass.", "# TYPE reprise_queue_depth gauge",
            "reprise_queue_depth \(facts.queueDepth)",
            "# HELP reprise_failing_objects Objects whose last pass failed.", "# TYPE reprise_failing_objects gauge",
            "reprise_failing_objects \(facts.failingKeys)",
            "# HELP reprise_undecodable_objects Objects that can't be decoded and are not reconciled.",
            "# TYPE reprise_undecodable_objects gauge",
            "reprise_undecodable_objects \(facts.unreadableObjects)",
            "# HELP reprise_events_total What happened in the loop, by name.", "# TYPE reprise_events_total counter",
        ]
        for total in journal.totals {
            lines.append(
                "reprise_events_total{level=\"\(total.level)\",event=\"\(escaped(total.message))\"} \(total.count)")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private func escaped(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    }
}
