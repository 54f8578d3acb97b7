// SPDX-License-Identifier: Apache-2.0

import JSON
import Seams
import Testing

@testable import TestSupport

/// What becomes of dependents when somebody deletes their owner.
@Suite struct GarbageTests {
    private let world = Simulation(seed: 1)
    private let owner = ModelKey(.configMaps, "default", "owner")
    private let dependent = ModelKey(.configMaps, "default", "dependent")

    init() throws {
        let made = try world.api.create(owner, ["metadata": ["name": "owner"]])
        let reference: JSONValue = [
            "apiVersion": "v1", "kind": "ConfigMap", "name": "owner",
            "uid": .string(made.text("metadata", "uid") ?? ""),
            "blockOwnerDeletion": true,
        ]
        _ = try world.api.create(
            dependent, ["metadata": ["name": "dependent", "ownerReferences": [reference], "finalizers": ["x.io/hold"]]])
    }

    private func delete(_ policy: String) {
        world.user(.delete, owner, ["propagationPolicy": .string(policy)])
        _ = world.run(atMost: 5) { false }
    }

    @Test func inTheForegroundTheOwnerWaitsForWhatBlocksIt() {
        delete("Foreground")
        #expect(world.api[owner]?[path: ["metadata", "deletionTimestamp"]] != nil)
        #expect(world.api[dependent]?[path: ["metadata", "deletionTimestamp"]] != nil)
        world.api.change(dependent) { $0.set(["metadata", "finalizers"], nil) }
        _ = world.run(atMost: 60) { false }
        #expect(world.api[dependent] == nil)
        #expect(world.api[owner] == nil)
    }

    @Test func anOrphanStaysAndLosesItsOwner() {
        delete("Orphan")
        #expect(world.api[owner] == nil)
        #expect(world.api[dependent]?.items("metadata", "ownerReferences") == [])
        #expect(world.api[dependent]?[path: ["metadata", "deletionTimestamp"]] == nil)
    }

    @Test func inTheBackgroundTheOwnerGoesFirst() {
        delete("Background")
        #expect(world.api[owner] == nil)
        #expect(world.api[dependent]?[path: ["metadata", "deletionTimestamp"]] != nil)
    }
}
