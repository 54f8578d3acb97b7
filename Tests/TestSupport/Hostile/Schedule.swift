// SPDX-License-Identifier: Apache-2.0

import ControlLoop
import JSON
import Reconciler
import Resources

/// What came of a schedule.
package struct Verdict: Sendable {
    package var script: FaultScript
    /// What was broken, in words; empty when nothing was.
    package var violations: [String] = []
    /// The faults that really happened.
    package var taken: [Fault] = []
    /// Runs that came to a terminal state.
    package var ended = 0
    package var trace: UInt64 = 0
    /// From the last fault to the goal, in milliseconds.
    package var recovery: Int64 = 0
    /// Passes of the controllers from the last fault to the goal.
    package var passes = 0
    /// From the beginning to the goal.
    package var duration: Int64 = 0
    /// Calls by what they are.
    package var places: [CallPlace: CallTally] = [:]
}

/// Tells one story with one script of faults, and judges it.
package struct Schedule {
    package var scenario: Scenario
    package var script: FaultScript
    /// How long the story takes when nothing goes wrong.
    package var usual: Int64 = 0
    /// How many passes it takes then.
    package var usualPasses: Int

    package init(
        _ scenario: Scenario, _ script: FaultScript, usual: Int64 = 0, usualPasses: Int = .max - patientPasses
    ) {
        self.scenario = scenario
        self.script = script
        self.usual = usual
        self.usualPasses = usualPasses
    }

    /// Beyond what the story itself takes.
    private static let patience: Int64 = 60_000
    /// Beyond those of the story itself: who runs in circles without a write is found like that.
    package static let patientPasses = 20

    /// - Parameters:
    ///   - watch: Sees the stage before anything happens: for traces and for tests.
    ///   - endsAtGoal: Only the way there is of interest: what comes afterwards is not played, and nothing is judged.
    package func play(endsAtGoal: Bool = false, _ watch: (Stage) -> Void = { _ in }) -> Verdict {
        let stage = Stage(scenario, seed: script.seed)
        let world = stage.world
        let invariants = Invariants(world, user: stage.user)
        let adversary = Adversary(world, script)
        var verdict = Verdict(script: script)
        watch(stage)
        for number in 0..<scenario.controllers {
            world.scheduler.after(Int64(number) * 700, "a controller starts") { world.start() }
        }
        reachGoal(stage, adversary, invariants, &verdict)
        if endsAtGoal {
            verdict.places = adversary.places
            return verdict
        }
        if script.faults.isEmpty, scenario.isSmooth {
            if world.wire.conflicts > 0 {
                invariants.broken("\(world.wire.conflicts) conflicts, and nothing went wrong")
            }
            invariants.checkCosts(of: stage, atMost: scenario.mostCalls)
            for words in world.wire.idleWrites { invariants.broken("a write that changed nothing: \(words)") }
        }
        if verdict.violations.isEmpty, invariants.violations.isEmpty {
            let isTouched = adversary.isTouched || stage.isRestless
            stayThere(stage, invariants, isTouched: isTouched)
            aDayLater(stage, invariants, isTouched: isTouched)
        }
        if invariants.violations.isEmpty, verdict.violations.isEmpty {
            invariants.checkEnd(of: world, isTouched: adversary.isTouched)
        }
        // By the ledger: a run that was deleted has ended as well.
        verdict.ended = world.ledger.runs.count { LedgerWords.isTerminal($0.run.columns.status) }
        if adversary.taken.allSatisfy(\.isTransient), invariants.violations.isEmpty, verdict.violations.isEmpty,
            let words = scenario.isWrong(stage)
        {
            verdict.violations.append(words)
        }
        verdict.violations = invariants.violations + adversary.impatience.prefix(1) + verdict.violations
        verdict.taken = adversary.taken
        verdict.trace = world.wire.traceDigest
        verdict.places = adversary.places
        return verdict
    }

    private func reachGoal(
        _ stage: Stage, _ adversary: Adversary, _ invariants: Invariants, _ verdict: inout Verdict
    ) {
        let world = stage.world
        var (began, before): (Int64, Int) = (0, 0)
        while true {
            let calm = adversary.calmSince
            let limit = max(calm, 0) + usual + Self.patience
            let left = limit - world.scheduler.now
            let isThere =
                left > 0
                && world.run(atMost: (left + 999) / 1_000) {
                    if adversary.calmSince != began || !adversary.isCalm {
                        (began, before) = (adversary.calmSince, world.passCount)
                    }
                    return !invariants.violations.isEmpty || (stage.lack == nil && adversary.isCalm)
                }
            if !invariants.violations.isEmpty { return }
            if isThere { break }
            // A fault may have come meanwhile: then the time begins anew.
            guard adversary.calmSince > calm else {
                let lack = stage.lack ?? "something keeps happening"
                verdict.violations.append(
                    "not at the goal \((world.scheduler.now - calm) / 1_000) s after the last fault: \(lack)")
                return
            }
        }
        verdict.duration = world.scheduler.now
        verdict.recovery = world.scheduler.now - adversary.calmSince
        verdict.passes = world.passCount - before
        // A Job that was deleted is heard of once more, and so is its pod: in no telling without a fault.
        let more = scenario.morePasses + Self.patientPasses + 2 * adversary.deletedJobs
        if !adversary.isTouched, verdict.passes - more > usualPasses {
            verdict.violations.append(
                "\(verdict.passes) passes after the last fault, and the whole story takes \(usualPasses)")
        }
        adversary.isArmed = false
    }

    /// The goal is reached, and nothing happens any more.
    private func stayThere(_ stage: Stage, _ invariants: Invariants, isTouched: Bool) {
        let world = stage.world
        // What was under way when the last status was written, also where a successor has to come first.
        world.run(seconds: 20 + (world.election.duration + world.election.retryPeriod) / 1_000)
        // No part of what was asked for, so nobody has waited for it yet.
        if stage.areRepositoriesUnread {
            _ = world.run(atMost: 60) { !stage.areRepositoriesUnread }
            world.run(seconds: 20)
        }
        let clients = isTouched ? [] : invariants.clientsCommit(in: world)
        let writes = world.writeCount
        let revision = world.api.history.count
        let end = world.run(seconds: 600)
        if end != .moment { invariants.broken("the world came to a \(end)") }
        if world.writeCount != writes {
            let last = world.wire.calls.last { $0.isWrite && !$0.isAboutLease }
            invariants.broken("a write when all was done: \(last.map { "\($0.verb) \($0.target)" } ?? "?")")
        }
        let changes = world.api.history.dropFirst(revision).filter { $0.key.kind != .leases }
        // What somebody has made himself may go on as it likes.
        if !isTouched, let first = changes.first {
            invariants.broken("\(first.writer) changed \(first.key) when all was done")
        }
        if stage.lack != nil { invariants.broken("the goal was left again: \(stage.lack ?? "")") }
        invariants.checkWayBack(of: clients, in: world)
    }

    /// A day goes by. In one schedule of five hundred it is lived through; in the others the controllers are away for it,
    /// which nothing is waiting for but heartbeats, and another one looks at what there is.
    private func aDayLater(_ stage: Stage, _ invariants: Invariants, isTouched: Bool) {
        let world = stage.world
        guard invariants.violations.isEmpty else { return }
        let writes = world.writeCount
        if script.seed % 500 == 0 {
            world.run(seconds: 86_400)
        } else if script.seed % 4 == 0 {
            // Who deletes a claim and holds it keeps its StatefulSet's controller trying.
            let isClaimGoing = world.api.all(.claims).contains { $0.object["metadata"]?["deletionTimestamp"] != nil }
            let waiting = world.scheduler.pending.filter {
                !Self.isIdle($0) && !(isClaimGoing && $0.hasPrefix("retry of sts"))
            }
            // What is somebody else's may go on as it likes.
            if !isTouched, let first = waiting.first { invariants.broken("something is still to come: \(first)") }
            for incarnation in world.incarnations { world.kill(incarnation) }
            world.scheduler.skip(86_400_000)
            world.start()
            world.run(seconds: 120)
        } else {
            return
        }
        if world.writeCount != writes {
            let last = world.wire.calls.last { $0.isWrite && !$0.isAboutLease }
            invariants.broken("a write a day later: \(last.map { "\($0.verb) \($0.target)" } ?? "?")")
        }
        if stage.lack != nil { invariants.broken("the goal was left a day later: \(stage.lack ?? "")") }
    }

    /// What may be waited for for ever: a schedule's next time, and a watch's end.
    private static func isIdle(_ label: String) -> Bool {
        label.contains("/leases/")
            || ["sleep for wake", "watch/", "WATCH ", "end of a watch", "segment", "archive"].contains {
                label.hasPrefix($0)
            }
    }
}
