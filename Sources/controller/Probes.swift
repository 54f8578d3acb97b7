// SPDX-License-Identifier: Apache-2.0

import ControlLoop
import Seams

/// What the probes say.
struct Probes: Sendable {
    let state: LoopState
    let journal: LogJournal
    let time: any Timekeeper

    /// A loop that has had no answer about its lease for this long is stuck or cut off, in milliseconds.
    private static let silence: Milliseconds = 60_000

    func answer(_ path: String) -> ProbeServer.Answer {
        switch path {
        case "/healthz": healthz
        case "/readyz": readyz
        case "/metrics": ProbeServer.Answer(status: 200, text: metrics)
        default: ProbeServer.Answer(status: 404, text: "/healthz, /readyz and /metrics are here\n")
        }
    }

    private var healthz: ProbeServer.Answer {
        // Being cut off from the API server is no reason to be restarted: only a loop that answers nobody is.
        ProbeServer.Answer(status: 200, text: "ok\n")
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
