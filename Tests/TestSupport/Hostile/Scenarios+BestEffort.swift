// SPDX-License-Identifier: Apache-2.0

import JSON
import Resources

/// Stories of the day on which the ledger is what is lost: runs that may begin without it.
extension Scenario {
    static let bestEffort: [Scenario] = [withoutLedger, ledgerComesBack, inPlaceWithoutLedger]

    /// The ledger is away from the beginning, and comes back when all is over.
    static let withoutLedger = Scenario("best-effort", length: 400_000, isSmooth: false) { stage in
        stage.world.ledger.setDown(true)
        stage.run("monday", into: "orders-a") { $0.set(["spec", "ledger"], "BestEffort") }
        stage.when("orders-a", is: "Ended", after: 3_000) { $0.world.ledger.setDown(false) }
    } isWrong: { stage in
        expect(stage, "orders-a", everything, ["Completed"]) ?? recordedOnce(stage)
    }

    /// It comes back about when the run begins without it, and goes again for a while.
    static let ledgerComesBack = Scenario("best-effort-meanwhile", length: 400_000, isSmooth: false) { stage in
        stage.world.ledger.setDown(true)
        stage.run("monday", into: "orders-a") { $0.set(["spec", "ledger"], "BestEffort") }
        let back = 121_000 + stage.draw("back", below: 14_000)
        stage.at(back) { $0.world.ledger.setDown(false) }
        stage.at(back + 1 + stage.draw("away", below: 3_000)) { $0.world.ledger.setDown(true) }
        stage.at(back + 20_000) { $0.world.ledger.setDown(false) }
    } isWrong: { stage in
        expect(stage, "orders-a", everything, ["Completed"]) ?? recordedOnce(stage)
    }

    /// The same for the data of a user's service.
    static let inPlaceWithoutLedger = Scenario("best-effort-in-place", length: 400_000, isSmooth: false) { stage in
        stage.userService()
        stage.world.ledger.setDown(true)
        stage.restoreInPlace("monday") { $0.set(["ledger"], "BestEffort") }
        stage.approve("monday")
        stage.when(UserService.name, is: "Ended", after: 3_000) { $0.world.ledger.setDown(false) }
    } isWrong: { stage in
        let found = stage.ends(of: "monday")
        if found != "Completed" { return "monday ended as \(found), and not as Completed" }
        return serves(stage, UserService.archived + [UserService.tail]) ?? recordedOnce(stage)
    }

    /// One row, with the outcome, and nothing is left in the spool.
    private static func recordedOnce(_ stage: Stage) -> String? {
        let rows = stage.world.ledger.runs.map(\.run.columns.status)
        if rows != ["completed"] { return "the ledger says \(rows), and the run was completed" }
        let spools = stage.world.api.all(.configMaps, in: Simulation.controllerNamespace).map(\.key.name)
        return spools.isEmpty ? nil : "\(spools) are left, and the ledger has what is in them"
    }
}
