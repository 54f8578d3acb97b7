// SPDX-License-Identifier: Apache-2.0

package import Resources

// The plan is the program, a run is its interpreter: `Plan.steps` is the list of what will happen, and `next(in:given:)`
// is its only reader. What ran is what was planned by construction; rollback order, cancel points, deadlines and the
// dry run follow from the same list.

/// One step of a plan.
package struct Step: Equatable, Sendable {
    package enum Name: String, CaseIterable, Sendable {
        case claim = "Claim"
        case provision = "Provision"
        case restore = "Restore"
        case quiesce = "Quiesce"
        case seal = "Seal"
        case open = "Open"
        case serve = "Serve"
        case backup = "Backup"
        case compareSource = "CompareSource"
        // In place:
        case stop = "Stop"
        case permit = "Permit"
        case replace = "Replace"
        case revoke = "Revoke"
        case start = "Start"
        case unlock = "Unlock"
    }

    package var name: Name
    /// The phase that the run shows while this step is under way.
    package var phase: RunPhase
    package var action: Action
    /// Performing it writes to the target: never before the point of no return.
    package var writesTarget: Bool
    /// What takes it back, if the run ends before the service was opened.
    package var undo: Undo?
    /// Which deadline of the run bounds it, and the default in seconds.
    package var deadline: Deadline

    package enum Deadline: Equatable, Sendable {
        case restore, recover, verify
        /// All three of them: a Job that does it all.
        case whole
        case fixed(Int64)
    }
}

/// What a step does. Engine-neutral: what differs between engines is the program of a Job and the shape of a service.
package enum Action: Equatable, Sendable {
    case createClaim
    case createService
    case awaitPromotion
    case stopService
    case runJob(JobRole)
    case openService
    case awaitReady
    case createPermit(JobRole)
    case deletePermit(JobRole)
    case startService
    case unlockService
}

/// What is taken away when a run ends early.
package enum Undo: Equatable, Sendable {
    case removeClaim
    case removeService
}

/// The Jobs that a run starts.
package enum JobRole: String, CaseIterable, Sendable {
    case scanSource = "scan-source"
    case scanArchive = "scan-archive"
    case seal
    case backup
    case compareSource = "compare"
    /// In place: looks at the service's volume.
    case inspect
    /// In place: looks at it once more, right before it is stopped.
    case recheck
    /// In place: replaces the data.
    case replace
    /// In place: puts the data back that an unfinished replacement holds.
    case undo
    /// In place: takes away what was kept of replaced data.
    case tidy

    package var content: LogFormat.Content {
        switch self {
        case .scanSource, .scanArchive, .compareSource: .scan
        case .seal: .seal
        case .backup: .backup
        case .inspect, .recheck: .inspect
        case .replace, .undo, .tidy: .replace
        }
    }

    /// No two pods of such Jobs may work at a time.
    package var changesVolume: Bool { [.seal, .replace, .undo].contains(self) }
}

/// What is known of a step, seen from the world as it is.
package enum Evidence: Equatable, Sendable {
    /// Nothing of it is there yet: perform it.
    case none
    /// Something is still being read. Nothing is said of that: it would be a write for each answer.
    case looking
    /// It goes on by itself; says what it is waiting for.
    case underWay(String)
    /// It is done; a warning is something that people should know although the run goes on.
    case done(warning: PlanFinding?)
    /// It can't be done any more.
    case failed(PlanFinding)
}

/// What follows from the evidence.
package enum Next: Equatable, Sendable {
    case perform(Step)
    /// What it is waiting for, if that is known.
    case wait(Step, String?)
    case end(Step, PlanFinding)
    case finished
}

/// Walks the steps up to the first one that is not done. Executed equals planned by construction: this is the only
/// reader of a plan's steps.
package func next(in steps: [Step], given evidence: (Step) -> Evidence) -> Next {
    for step in steps {
        switch evidence(step) {
        case .done: continue
        case .none: return .perform(step)
        case .looking: return .wait(step, nil)
        case .underWay(let detail): return .wait(step, detail)
        case .failed(let finding): return .end(step, finding)
        }
    }
    return .finished
}

extension Step {
    /// The steps of a new service that is restored from its start, by its image or by an init container of it, in
    /// quarantine until it is sealed.
    package static func newService(ownArchive: Bool) -> [Step] {
        let all = [
            Step(
                name: .claim, phase: .provision, action: .createClaim, writesTarget: true, undo: .removeClaim,
                deadline: .fixed(300)),
            Step(
                name: .provision, phase: .provision, action: .createService, writesTarget: true,
                undo: .removeService, deadline: .fixed(300)),
            Step(
                name: .restore, phase: .restore, action: .awaitPromotion, writesTarget: false, undo: nil,
                deadline: .restore),
            Step(
                name: .quiesce, phase: .verify, action: .stopService, writesTarget: true, undo: nil,
                deadline: .fixed(900)),
            Step(
                name: .seal, phase: .verify, action: .runJob(.seal), writesTarget: true, undo: nil,
                deadline: .verify),
            Step(
                name: .open, phase: .verify, action: .openService, writesTarget: true, undo: nil,
                deadline: .fixed(300)),
            Step(
                name: .serve, phase: .verify, action: .awaitReady, writesTarget: false, undo: nil,
                deadline: .fixed(900)),
            Step(
                name: .backup, phase: .verify, action: .runJob(.backup), writesTarget: true, undo: nil,
                deadline: .restore),
            Step(
                name: .compareSource, phase: .verify, action: .runJob(.compareSource), writesTarget: false, undo: nil,
                deadline: .fixed(900)),
        ]
        return ownArchive ? all : all.filter { $0.name != .backup }
    }

    /// The steps that replace the data of a service. Until the Job has swapped the data it puts the old data back when it
    /// fails, and so does a run that ends.
    package static let inPlace = [
        Step(
            name: .stop, phase: .restore, action: .stopService, writesTarget: true, undo: nil, deadline: .fixed(900)),
        Step(
            name: .permit, phase: .restore, action: .createPermit(.replace), writesTarget: false, undo: nil,
            deadline: .fixed(300)),
        Step(
            name: .replace, phase: .restore, action: .runJob(.replace), writesTarget: true, undo: nil,
            deadline: .whole),
        Step(
            name: .revoke, phase: .verify, action: .deletePermit(.replace), writesTarget: false, undo: nil,
            deadline: .fixed(300)),
        Step(
            name: .start, phase: .verify, action: .startService, writesTarget: true, undo: nil, deadline: .fixed(300)),
        Step(
            name: .serve, phase: .verify, action: .awaitReady, writesTarget: false, undo: nil, deadline: .fixed(900)),
        Step(
            name: .unlock, phase: .verify, action: .unlockService, writesTarget: true, undo: nil,
            deadline: .fixed(300)),
    ]

    /// The steps that a stored plan names; `nil` when it names one that this version does not know.
    package static func steps(named names: [String]) -> [Step]? {
        let known = newService(ownArchive: true) + inPlace
        let steps = names.map { name in known.first { $0.name.rawValue == name } }
        return steps.contains { $0 == nil } ? nil : steps.compactMap { $0 }
    }
}
