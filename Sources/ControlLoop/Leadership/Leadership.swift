// SPDX-License-Identifier: Apache-2.0

import KubeClient
import Resources
import Seams

/// Wins the Lease, keeps it, gives it back.
///
/// A standby does nothing but look at the Lease: it has no cache and no watches. The holder renews it every two
/// seconds; when it could not for ten, its term is over, five seconds before anybody else may begin one.
struct Leadership: Sendable {
    /// The term that was won.
    struct Term: Sendable {
        var record: LeaseRecord
        /// When the write that won it was sent.
        var sentAt: Uptime
    }

    let configuration: LoopConfiguration
    let surroundings: Surroundings
    let identity: String
    private let writes: LeaseWrites

    init(_ configuration: LoopConfiguration, _ surroundings: Surroundings) {
        self.configuration = configuration
        self.surroundings = surroundings
        // Two incarnations under one name would each take the other's Lease for their own.
        let drawn = surroundings.entropy.below(1 << 40, for: "lease identity/\(configuration.identity)")
        self.identity = "\(configuration.identity)_\(String(drawn, radix: 16))"
        let times = configuration.election
        self.writes = LeaseWrites(
            client: APIClient(surroundings.exchange, timeout: max(1_000, times.renewDeadline / 2)),
            ref: Ref(Lease.resourceKind, configuration.namespace, configuration.leaseName),
            identity: identity, times: times)
    }

    private var times: ElectionTimes { configuration.election }
    private var time: any Timekeeper { surroundings.time }

    // MARK: Standing by

    /// Waits for the Lease and takes it.
    /// - Throws: `CancellationError`.
    func win() async throws -> Term {
        var election = Election(identity: identity, times: times)
        var told: String?
        while true {
            do {
                if let term = try await look(&election, &told) { return term }
            } catch {
                try Task.checkCancellation()
                if error is CancellationError { throw error }
                let trouble = Loop.trouble(error)
                // Losing a race for the Lease is nothing to talk about.
                if trouble.disposition != .conflict {
                    note(
                        .warning, LoopEvents.leaseUnreadable,
                        ["reason": trouble.reason, "message": trouble.message])
                }
            }
            let jitter = surroundings.entropy.below(times.retryPeriod / 5 + 1, for: "lease look/\(identity)")
            try await time.sleep(until: time.uptime.adding(times.retryPeriod + jitter), for: .leaseObservation)
        }
    }

    private func look(_ election: inout Election, _ told: inout String?) async throws -> Term? {
        let fact = try await writes.read()
        let sentAt = time.uptime
        configuration.state.update { $0.lastLeaseAnswer = sentAt }
        switch election.step(on: fact, at: sentAt, wall: time.now) {
        case .wait(let holder):
            if holder != told { note(.debug, LoopEvents.standingBy, ["holder": holder]) }
            told = holder
            return nil
        case .create(let transitions):
            return Term(record: try await writes.create(transitions: transitions, at: time.now), sentAt: sentAt)
        case .claim(let record, let transitions):
            let mine = try await writes.claim(record, transitions: transitions, at: time.now)
            return Term(record: mine, sentAt: sentAt)
        case .adopt(let record):
            // When that write was committed is unknown; a renewal now makes it known.
            return Term(record: try await writes.renew(record, at: time.now), sentAt: sentAt)
        }
    }

    // MARK: Leading

    /// Renews the Lease until it is lost.
    /// - Returns: Why it was lost.
    /// - Throws: `CancellationError`.
    func keep(_ term: Term, _ hold: Hold, _ latest: LatestLease) async throws -> String {
        var tenure = Tenure(identity: identity, record: term.record, sent: nil)
        var next = term.sentAt.adding(times.retryPeriod)
        while true {
            let deadline = hold.until
            if time.uptime >= deadline { return "the Lease could not be renewed in time" }
            try await time.sleep(until: min(next, deadline), for: .leaseRenewal)
            // Frozen meanwhile: whatever is in the Lease now, the term is over.
            if time.uptime >= deadline { return "the Lease could not be renewed in time" }
            next = time.uptime.adding(times.retryPeriod)
            if let reason = try await renew(&tenure, hold) { return reason }
            latest.set(tenure.record)
        }
    }

    /// - Returns: Why the Lease is lost; `nil` when it is not, whether or not it was renewed.
    private func renew(_ tenure: inout Tenure, _ hold: Hold) async throws -> String? {
        for _ in 0..<2 {
            // No call may outlast the term.
            let writes = writes.with(timeout: min(times.renewDeadline / 2, hold.until.since(time.uptime)))
            do {
                try await send(&tenure, hold, writes)
                return nil
            } catch {
                try Task.checkCancellation()
                if error is CancellationError { throw error }
                noteFailure(error)
            }
            // It may be committed all the same, or somebody may have labelled the Lease: only a look tells.
            do {
                switch tenure.finding(try await writes.read()) {
                case .lost(let reason): return reason
                case .ours(let record, let renewedAt):
                    tenure.record = record
                    guard let renewedAt else { continue }
                    note(.debug, LoopEvents.renewalFound)
                    hold.extend(until: renewedAt.adding(times.renewDeadline))
                    configuration.state.update { $0.lastLeaseAnswer = renewedAt }
                    return nil
                }
            } catch {
                try Task.checkCancellation()
                if error is CancellationError { throw error }
                noteFailure(error)
                return nil
            }
        }
        return nil
    }

    private func send(_ tenure: inout Tenure, _ hold: Hold, _ writes: LeaseWrites) async throws {
        let sentAt = time.uptime
        let now = time.now
        tenure.sent = (now, sentAt)
        tenure.record = try await writes.renew(tenure.record, at: now)
        hold.extend(until: sentAt.adding(times.renewDeadline))
        configuration.state.update { $0.lastLeaseAnswer = sentAt }
    }

    private func noteFailure(_ error: any Error) {
        let trouble = Loop.trouble(error)
        note(.warning, LoopEvents.renewalFailed, ["reason": trouble.reason, "message": trouble.message])
    }

    // MARK: Ending

    /// Gives the Lease back, with little patience: if it does not work, it expires.
    func release(_ record: LeaseRecord) async {
        let writes = writes.with(timeout: 2_000)
        do {
            do { try await writes.release(record, at: time.now) } catch let error as APIError
                where error.disposition == .conflict
            {
                // The last renewal was on its way when the loop was stopped.
                let tenure = Tenure(identity: identity, record: record, sent: nil)
                guard case .ours(let now, _) = tenure.finding(try await writes.read()) else { return }
                try await writes.release(now, at: time.now)
            }
            note(.info, LoopEvents.leaseReleased)
        } catch {
            let trouble = Loop.trouble(error)
            note(.warning, LoopEvents.leaseNotReleased, ["reason": trouble.reason, "message": trouble.message])
        }
    }

    private func note(_ level: LoopEvent.Level, _ message: String, _ fields: [String: String] = [:]) {
        surroundings.journal.note(LoopEvent(level, message, fields))
    }
}
