// SPDX-License-Identifier: Apache-2.0

package import Seams
import Synchronization

/// How a loop is doing, readable from outside at any time: what `/readyz` and the metrics show.
package final class LoopState: Sendable {
    package struct Facts: Equatable, Sendable {
        /// The lease is held, as far as this process knows.
        package var isLeading = false
        /// Every kind has been listed since the lease was won.
        package var isSynced = false
        /// When the last pass ended.
        package var lastPass: Uptime?
        /// When the lease was last read or renewed, by whoever: a standby is ready as long as it gets answers.
        package var lastLeaseAnswer: Uptime?
        /// Passes that have ended since the lease was won.
        package var passes = 0
        /// Keys that wait for a worker.
        package var queueDepth = 0
        /// Keys whose last pass failed.
        package var failingKeys = 0
        /// Objects that exist and can't be decoded.
        package var unreadableObjects = 0
        /// Keys that read something, and what they read.
        package var readers = 0
        package var topics = 0
        /// Logs of running containers that are followed.
        package var followers = 0
        /// Objects that are watched by themselves.
        package var watches = 0
        /// The epoch of the lease that is held.
        package var epoch: Int64?
    }

    private let state = Mutex(Facts())

    package init() {}

    package var facts: Facts { state.withLock { $0 } }

    func update(_ change: (inout Facts) -> Void) { state.withLock { change(&$0) } }
}
