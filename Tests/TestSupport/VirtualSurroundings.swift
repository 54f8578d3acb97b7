// SPDX-License-Identifier: Apache-2.0

package import Resources
package import Seams

/// The virtual clock as an incarnation sees it.
package final class VirtualTimekeeper: Timekeeper, @unchecked Sendable {
    private let scheduler: Scheduler
    /// How often each purpose has been slept for.
    package private(set) var sleeps: [TimerPurpose: Int] = [:]

    package init(_ scheduler: Scheduler) { self.scheduler = scheduler }

    /// By how much this machine's wall clock is wrong, in milliseconds.
    package var wallError: Int64 = 0

    package var now: Timestamp { Timestamp(microseconds: scheduler.wall.microseconds + wallError * 1_000) }
    package var uptime: Uptime { scheduler.uptime }

    package func sleep(until moment: Uptime, for purpose: TimerPurpose) async throws {
        try Task.checkCancellation()
        sleeps[purpose, default: 0] += 1
        let promise = Promise<Void>()
        let event = scheduler.after(
            moment.since(scheduler.uptime), "sleep for \(purpose.rawValue)", isHeartbeat: purpose.isHeartbeat
        ) { promise.fulfil(.success(())) }
        defer { scheduler.cancel(event) }
        try await promise.wait()
    }
}

/// Draws by seed, purpose and how often that purpose was drawn for.
package final class KeyedEntropy: Entropy, @unchecked Sendable {
    private let seed: UInt64
    private var counts: [String: UInt64] = [:]

    package init(seed: UInt64) { self.seed = seed }

    package func below(_ bound: Int64, for purpose: String) -> Int64 {
        guard bound > 0 else { return 0 }
        return Int64(draw(purpose) % UInt64(bound))
    }

    package func secret(bytes: Int, for purpose: String) -> [UInt8] {
        (0..<max(0, bytes)).map { _ in UInt8(truncatingIfNeeded: draw(purpose) >> 24) }
    }

    private func draw(_ purpose: String) -> UInt64 {
        let count = counts[purpose, default: 0]
        counts[purpose] = count + 1
        return keyedHash(seed, purpose, count)
    }
}

/// Keeps everything that the loop told.
package final class RecordingJournal: Journal, @unchecked Sendable {
    private let scheduler: Scheduler
    package private(set) var events: [(at: Int64, event: LoopEvent)] = []
    /// Whether they are kept. Without that they are only counted.
    package var keepsEvents = true
    private var counts: [String: Int] = [:]

    package init(_ scheduler: Scheduler) { self.scheduler = scheduler }

    package func note(_ event: LoopEvent) {
        counts[event.message, default: 0] += 1
        if keepsEvents { events.append((scheduler.now, event)) }
    }

    package func count(_ message: String) -> Int { counts[message] ?? 0 }

    /// For people, one line each; fields in the order of their names.
    package func lines(from level: LoopEvent.Level = .info) -> [String] {
        let levels: [LoopEvent.Level] = [.debug, .info, .warning, .error]
        let least = levels.firstIndex(of: level) ?? 0
        return events.filter { (levels.firstIndex(of: $0.event.level) ?? 0) >= least }.map { at, event in
            let fields = event.fields.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
            return "\(at) \(event.level.rawValue) \(event.message) \(fields.joined(separator: " "))"
        }
    }
}
