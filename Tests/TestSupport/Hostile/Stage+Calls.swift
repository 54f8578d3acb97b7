// SPDX-License-Identifier: Apache-2.0

import Resources

// What people do while a call is on its way: between what a controller has read and what it sends, or between what the
// server has answered and what the controller hears.
extension Stage {
    /// As a call arrives, before anything of it happens: a request for something of a kind and a name.
    package func whenAsked(_ verb: String, _ kind: ModelKind, _ name: String, _ act: @escaping (Stage) -> Void) {
        meet(.arriving, wait: 0, act) { Self.concerns($0, verb, kind, name) }
    }

    /// After the server has done what was asked for; the answer is so many milliseconds later than others.
    /// - Parameter isMeant: Asked of each such call until it is one of those that are meant.
    package func whenAnswered(
        _ verb: String, _ kind: ModelKind, _ name: String, late wait: Int64,
        where isMeant: @escaping () -> Bool = { true },
        _ act: @escaping (Stage) -> Void
    ) {
        meet(.answering, wait: wait, act) { Self.concerns($0, verb, kind, name) && isMeant() }
    }

    /// When a controller has heard the answer to a call of this sort, and has done nothing with it yet.
    package func whenHeard(where isMeant: @escaping (WireCall) -> Bool, _ act: @escaping (Stage) -> Void) {
        meet(.answered, wait: 0, act, isMeant)
    }

    /// When the server has answered so many calls of this sort, and the last answer is on its way.
    package func whenAnswered(times: Int, where isMeant: @escaping (WireCall) -> Bool, _ act: @escaping (Stage) -> Void)
    {
        var left = times
        meet(.answering, wait: 0, act) { call in
            if isMeant(call) { left -= 1 }
            return left <= 0
        }
    }

    /// Where the run of a service stands.
    package func step(of service: String) -> String? {
        runs.first { Bearings.target(of: $0) == service }.map(Bearings.step)
    }

    private func meet(
        _ moment: WireMoment, wait: Int64, _ act: @escaping (Stage) -> Void, _ isMeant: @escaping (WireCall) -> Bool
    ) {
        var isOver = false
        world.wire.onlookers.append { [unowned self] call, now in
            guard !isOver, now == moment, isMeant(call) else { return 0 }
            isOver = true
            noteChange()
            act(self)
            return wait
        }
    }

    private static func concerns(_ call: WireCall, _ verb: String, _ kind: ModelKind, _ name: String) -> Bool {
        guard call.verb == verb else { return false }
        let path = call.target.prefix { $0 != "?" }
        return call.name == name ? path.hasSuffix("/\(kind.plural)") : path.hasSuffix("/\(kind.plural)/\(name)")
    }
}
