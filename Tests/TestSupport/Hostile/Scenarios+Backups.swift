// SPDX-License-Identifier: Apache-2.0

import JSON
import Reconciler
import Resources

/// Stories of backups that were found, and of backups that retention deletes.
extension Scenario {
    static let backups: [Scenario] = [fromBackup, expiredBackup, nextBackup]

    private static let place = "prod/postgres/orders-db/15"
    private static let oldest = "base_000000010000000000000002"
    private static let newest = "base_000000010000000000000005"

    /// The name of the object that production's repository makes for a base backup.
    private static func object(of backup: String) -> JSONValue {
        .string(
            DiscoveredBackups.name(repository: "prod-readonly", path: "orders-db", major: 15, backup: backup))
    }

    /// Production's repository makes a ServiceBackup for each base backup, and a run restores the older one.
    private static func askForTheOldest(_ stage: Stage) {
        stage.story.seedFourOrders()
        stage.edit(.repositories, "prod-readonly") { $0.set(["spec", "discovery"], ["createBackups": "Newest"]) }
        stage.run("monday", into: "orders-a") {
            $0.set(["spec", "source"], ["backup": ["name": object(of: oldest)]])
            $0.set(["spec", "recoveryTarget"], nil)
        }
    }

    /// One base backup is restored, by the name of its object, which goes as soon as it has been read.
    static let fromBackup = Scenario("from-a-service-backup", length: 720_000, isSmooth: false) { stage in
        askForTheOldest(stage)
        stage.when("orders-a", is: "Planned") { stage in
            if let name = object(of: oldest).string { stage.delete(.backups, name) }
        }
    } isWrong: {
        expect($0, "orders-a", ["order 1"], ["Completed"])
    }

    /// Retention deletes the base backup between the plan and the fetch: a clear end, and nothing is left of the service.
    static let expiredBackup = Scenario("backup-expires-when-planned", length: 720_000, isSmooth: false) { stage in
        askForTheOldest(stage)
        stage.when("orders-a", is: "Planned") { $0.world.stores.removeBackup(from: place, named: oldest) }
    } isWrong: {
        expect($0, "orders-a", nil, ["SourceExpired"])
    }

    /// The same under a clone: the next attempt takes the backup that is left.
    static let nextBackup = Scenario("backup-expires-and-another-is-taken", isSmooth: false) { stage in
        stage.story.seedFourOrders()
        stage.clone("orders-a") {
            $0.set(["spec", "recoveryTarget"], ["kind": "BackupEnd"])
            $0.set(["spec", "retry"], ["limit": 1])
        }
        stage.when("orders-a", is: "Planned") { $0.world.stores.removeBackup(from: place, named: newest) }
    } isWrong: {
        expect($0, "orders-a", ["order 1"], ["Completed", "SourceExpired"])
    }
}
