// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Seams

/// What of a decision failed.
enum FailedStep: Equatable, Sendable {
    case status
    case effect(Effect)
}

/// How a key's pass failed, and until when the same is not tried again.
///
/// Flow: recorded when a step fails. Until `notBefore` it stays visible and the step is not sent again, however often
/// the key is woken meanwhile. It goes when that step succeeds, or with the first pass after `notBefore` that succeeds
/// without it; a behaviour which had held the step back is then run once more without a failure to see. If the same
/// fails again soon after, it goes on counting.
struct FailureRecord: Sendable {
    var step: FailedStep
    var failure: Failure
    var notBefore: Uptime
    var lastAt: Uptime
    /// Over, and kept only to go on counting, and for the pauses.
    var isPast = false
    /// Pauses that the server has asked for, by what was to be done: those of earlier failures too, since another one does
    /// not end them.
    var pauses: [String: Uptime] = [:]

    /// How long a failure that is over is remembered.
    static let memory: Milliseconds = 600_000

    /// Until when a step is to wait, if it is: the same one; and, where the server has asked for a pause, also the same to a
    /// later version of its object, since what that one becomes is no reason to call earlier.
    func heldUntil(_ step: FailedStep, _ what: String, at now: Uptime) -> Uptime? {
        let moments = [self.step == step ? notBefore : nil, pauses[what]]
        return moments.compactMap { $0 }.filter { now < $0 }.max()
    }

    /// What is left of it once its step went through: the pauses that are not over.
    func after(successAt now: Uptime) -> FailureRecord? {
        var rest = self
        rest.pauses = pauses.filter { now < $0.value }
        rest.isPast = true
        rest.notBefore = now
        return rest.pauses.isEmpty ? nil : rest
    }
}

/// How fast a key writes its status.
struct Circle: Sendable {
    /// More than this many writes within the span are not work but a circle.
    static let limit = 40
    static let span: Milliseconds = 20_000
    static let pause: Milliseconds = 30_000

    private var since: Uptime
    private var writes = 0
    private var until: Uptime?

    init(since: Uptime) { self.since = since }

    /// - Returns: Whether the key is to pause.
    mutating func noteWrite(at now: Uptime) -> Bool {
        if now.since(since) > Self.span { (since, writes) = (now, 0) }
        writes += 1
        guard writes > Self.limit else { return false }
        (since, writes) = (now, 0)
        until = now.adding(Self.pause)
        return true
    }

    /// Until when the key pauses, if it does.
    func pausedUntil(_ now: Uptime) -> Uptime? { until.flatMap { now < $0 ? $0 : nil } }
}
