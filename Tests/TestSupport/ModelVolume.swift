// SPDX-License-Identifier: Apache-2.0

package import Resources

/// What is on a volume, and what was done to it.
package struct ModelVolume: Equatable, Sendable {
    /// A database system that can be started.
    package struct Cluster: Equatable, Sendable {
        package var systemIdentifier: String
        package var timeline: Int64
        /// Of the base backup that it was made from; `nil` after initdb.
        package var backupStartLSN: String?
        package var rows: [String]
        /// When those of them were committed that were not there when the data came.
        package var commits: [String: Timestamp] = [:]
        /// What PostgreSQL wrote into the timeline's history when it was promoted.
        package var endedAt = "no recovery target specified"
        /// Where recovery ended: behind every segment of the stories, unless one was missing.
        package var switchLSN = "0/FF000028"
        package var password: String
        /// What the source had set by ALTER SYSTEM, and the restore on top of it.
        package var settings: [String: String] = [:]
        package var isSealed = false
        /// Subscriptions that are switched on.
        package var subscriptions = 0
    }

    /// A base backup with recovery settings, not replayed yet.
    package struct Staged: Equatable, Sendable {
        package var place: String
        package var backup: ModelStores.Backup
        package var stop: RecoveryStop?
        package var isImmediate: Bool
        /// What the backup's own settings say beside that; empty where they were cleaned.
        package var settings: [String: String] = [:]
    }

    /// What an interrupted fetch leaves.
    package enum LeftOver: Equatable, Sendable {
        /// Of the image's entrypoint, which then refuses to start for ever.
        case restoreTmp
        /// Of our own program, which begins anew.
        case staging
    }

    /// One thing that was done to it.
    package struct Entry: Equatable, Sendable, CustomStringConvertible {
        package var at: Int64
        package var pod: String
        package var uid: String
        package var what: String

        package var description: String { "\(at) \(pod): \(what)" }
    }

    /// `nil`: empty.
    package var cluster: Cluster?
    /// What an init container or the entrypoint has put there, until a server has replayed it.
    package var staged: Staged?
    package var leftOver: LeftOver?
    /// The data, while it is being replaced: there is no `cluster` then.
    package var held: Held?
    /// What runs have replaced, by their UID.
    package var kept: [String: Cluster] = [:]
    /// The run whose data has the place of the old, if it was the last one.
    package var swappedBy: String?
    /// The pod whose program has the volume's lock.
    package var lockedBy: String?
    /// UIDs of the pods that write to it now.
    package var writers: Set<String> = []
    /// The node that it is attached to, as long as a pod there uses it.
    package var node: String?
    /// UIDs of the pods that keep it attached.
    package var users: Set<String> = []
    /// The claim is gone and the content with it.
    package var isGone = false
    package var journal: [Entry] = []

    package init() {}

    package var isEmpty: Bool { cluster == nil && staged == nil && leftOver == nil && held == nil }
}
