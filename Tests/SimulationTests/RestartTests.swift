// SPDX-License-Identifier: Apache-2.0

import Foundation
import JSON
import Resources
import Seams
import TestSupport
import Testing

/// A controller that dies at any moment, and the one that goes on after it.
@Suite struct RestartTests {
    /// Where in a run of the production loop an incarnation is killed.
    struct Death: Sendable, CustomTestStringConvertible {
        var call: Int
        var isAnswered: Bool
        var testDescription: String { "call \(call), \(isAnswered ? "after" : "before") it took effect" }
    }

    /// The numbers of the calls of the undisturbed story.
    private static func calls() -> [WireCall] {
        let story = Story()
        story.world.start()
        story.world.apply(Story.clone())
        _ = story.world.runUntilQuiet()
        return story.world.wire.calls
    }

    private func die(_ death: Death) throws {
        let story = Story()
        let world = story.world
        let first = world.start()
        world.apply(Story.clone())
        world.wire.interfere = { call, moment in
            let isHere = death.isAnswered ? moment == .answering : moment == .arriving
            if call.number == death.call, isHere {
                world.kill(first)
                world.scheduler.after(1_000, "a new incarnation") { world.start() }
            }
            return .none
        }
        #expect(world.runUntilQuiet(40), "\(death) never comes to rest:\n\(story.report)")
        #expect(first.end == .killed, "\(death)")
        #expect(story.isReady, "\(death)\n\(story.report)")
        #expect(story.runs.count == 1, "\(death)")
        #expect(world.kubelet.violations.isEmpty, "\(death): \(world.kubelet.violations)")
        #expect(world.scheduler.foreign == 0)
        try expectOneService(story)
    }

    /// The sweep in pieces, so that they run beside each other. Each is every twelfth call; two are run by default,
    /// `REPRISE_SWEEP=3` runs that piece alone, and `REPRISE_SWEEP=all` the whole sweep (minutes).
    private static let pieces: [Int] = {
        let all = 12
        let wanted = ProcessInfo.processInfo.environment["REPRISE_SWEEP"]
        if wanted == "all" { return Array(0..<all) }
        guard let piece = wanted.flatMap({ Int($0) }) else { return [0, 7] }
        return [piece % all]
    }()

    @Test(arguments: pieces, [false, true]) func deathAtEveryCall(piece: Int, isAnswered: Bool) throws {
        let calls = Self.calls().filter { !$0.isAboutLease || $0.number < 8 }
        #expect(calls.count > 80)
        for call in calls where call.number % 12 == piece {
            try die(Death(call: call.number, isAnswered: isAnswered))
        }
    }
}
