// SPDX-License-Identifier: Apache-2.0

import JSON
import Resources

/// Stories of backups that were found, and of backups that retention deletes.
extension Scenario {
    static let backups: [Scenario] = [fromBackup, expiredBackup, nextBackup]

    private static let place = "prod/postgres/orders-db/15"
    private static let oldest = "base_000000010000000000000002"
    private static let newest = "base_000000010000000000000005"

    /// The object that names the older backup.
    private static let object = "sunday"

    /// Production's repository makes a ServiceBackup for each base backup; and a run restores the older one, by an object
    /// that somebody has made himself: whether the repository has come to its own is not asked.
    private static func askForTheOldest(_ stage: Stage) {
        stage.story.seedFourOrders()
        stage.edit(.repositories, "prod-readonly") { $0.set(["spec", "discovery"], ["createBackups": "Newest"]) }
        nameTheOldest(stage)
        stage.run("monday", into: "orders-a") {
            $0.set(["spec", "source"], ["backup": ["name": .string(object)]])
            $0.set(["spec", "recoveryTarget"], nil)
        }
    }

    private static func nameTheOldest(_ stage: Stage) {
        stage.world.apply([
            "apiVersion": "reprise.dev/v1alpha1", "kind": "ServiceBackup",
            "metadata": ["name": .string(object), "namespace": .string(Story.space)],
            "spec": [
                "discovered": [
                    "repository": ["name": "prod-readonly"], "path": "orders-db", "major": 15,
                    "name": .string(oldest),
                ]
            ],
        ])
    }

    /// One base backup is restored, by the name of its object, which goes as soon as it has been read, for a while: a run
    /// that is made again has to find it.
    static let fromBackup = Scenario("from-a-service-backup", isSmooth: false) { stage in
        askForTheOldest(stage)
        stage.when("orders-a", is: "Planned") { stage in
            stage.delete(.backups, object)
            stage.at(3_000) { nameTheOldest($0) }
        }
    } isWrong: {
        expect($0, "orders-a", ["order 1"], ["Completed"])
    }

    /// Retention deletes the base backup between the plan and the fetch: a clear end, and nothing is left of the service.
    static let expiredBackup = Scenario("backup-expires-when-planned", isSmooth: false) { stage in
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
