// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// A plan that is made as far as somebody asks, and made again for whoever goes back.
final class PlanBook: Sendable {
    /// So many numbers, and the counting begins anew.
    private static let length = 20_000

    private struct State: Sendable {
        /// Before anything was asked for.
        var fresh: Plan
        var plan: Plan
        var block = 0
        var next = 0
    }

    private let make: @Sendable () -> Plan
    private let state = Mutex<State?>(nil)

    init(_ seed: UInt64, _ profiles: [Campaign.Profile], _ cells: [Cell]) {
        make = { Plan(seed, profiles, cells) }
        self.seed = seed
    }

    private let seed: UInt64

    /// What the schedule of a number is for.
    func choice(_ number: Int) -> Plan.Choice {
        with { state in
            let block = number / Self.length
            if block != state.block || number < state.block * Self.length + state.next {
                state.plan = state.fresh
                state.block = block
                state.next = 0
            }
            while true {
                let current = block * Self.length + state.next
                let choice = state.plan.next(current)
                state.next += 1
                if current == number { return choice }
            }
        } ?? Plan.Choice(profile: 0, targets: [])
    }

    /// What a schedule is for when every cell was tried: by the weights of the stories alone.
    func choiceByWeight(_ number: Int) -> Plan.Choice {
        with { state in
            var random = SplitMix(state: keyedHash(seed, "weight", UInt64(number)))
            var plan = state.fresh
            return plan.byWeight(&random, room: 1)
        } ?? Plan.Choice(profile: 0, targets: [])
    }

    /// Before anything was asked for.
    var fresh: Plan? { with { $0.fresh } }

    private func with<Value>(_ body: (inout State) -> Value) -> Value? {
        if state.withLock({ $0 == nil }) {
            let plan = make()
            state.withLock { $0 = State(fresh: plan, plan: plan) }
        }
        return state.withLock { state in
            guard var known = state.take() else { return nil }
            defer { state = known }
            return body(&known)
        }
    }
}
