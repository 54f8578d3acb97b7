// SPDX-License-Identifier: Apache-2.0

/// What goes wrong with one call. The raw value is how a fault script says it.
package enum CallTrouble: String, CaseIterable, Hashable, Sendable {
    // The process.
    case diesBefore = "the controller dies before it arrives"
    case diesCommitted = "it is committed, and the controller dies before the answer"
    case diesAnswered = "it is answered, and the controller dies"
    // The network.
    case unreachable = "nobody is reached"
    case timesOut = "it gets lost, and times out"
    case timesOutCommitted = "it is committed, and the answer gets lost"
    case lostCommitted = "it is committed, and the connection is lost"
    case late = "it takes five seconds longer"
    // Answers instead of what was asked for.
    case conflict = "409"
    case gone = "410"
    case unprocessable = "422"
    case throttled = "429 with Retry-After"
    case throttledPlainly = "429"
    case internalError = "500"
    case unavailable = "503"
    case unauthorized = "401"
    case forbidden = "403"
    case garbled = "it is committed, and half of the answer arrives"

    /// What its column in the table is: troubles that a caller can't tell from each other, or must take in the same way.
    package var family: CallTrouble {
        switch self {
        case .timesOut: .unreachable
        case .lostCommitted, .garbled: .timesOutCommitted
        case .throttledPlainly: .throttled
        case .unavailable: .internalError
        default: self
        }
    }

    /// The heads of the table's columns.
    package static let families = allCases.filter { $0.family == $0 }

    /// It passes, and nothing of what was asked for may change by it.
    package var isTransient: Bool { ![.unprocessable, .unauthorized, .forbidden].contains(self) }

    /// The pause that it asks for, in milliseconds.
    package var pause: Int64? {
        switch self {
        case .throttled: 7_000
        case .unavailable: 1_000
        default: nil
        }
    }

    /// How surely a call is sent again to which it happened: the higher, the surer.
    var persistence: Int {
        switch self {
        // Of those that are refused for good the pauses grow: before they have grown there must not be many failures.
        case .unprocessable, .forbidden: 4
        case .unreachable, .timesOut, .throttled, .throttledPlainly, .internalError, .unavailable, .unauthorized: 3
        case .conflict, .gone: 2
        case .timesOutCommitted, .lostCommitted, .garbled, .late: 1
        case .diesBefore, .diesCommitted, .diesAnswered: 0
        }
    }

    /// Whether it can happen to such a call.
    package func canHappen(to call: CallName) -> Bool {
        switch self {
        case .diesBefore, .diesCommitted, .diesAnswered, .unreachable, .timesOut, .timesOutCommitted, .lostCommitted,
            .late:
            return true
        case .conflict, .unprocessable: return call.isWrite && !call.isLedger
        case .gone: return call.verb == "LIST" || call.verb == "WATCH"
        case .garbled: return !call.isLedger && !call.isStream
        case .throttled, .throttledPlainly, .internalError, .unavailable, .unauthorized, .forbidden:
            return !call.isLedger
        }
    }
}

/// What goes wrong in the world at a moment, whoever is at work.
package enum WorldTrouble: String, CaseIterable, Hashable, Sendable {
    case watchesCut = "the watches are cut in the middle of a line"
    case historyForgotten = "the history is forgotten, and the watches are cut"
    case watchesSilent = "the watches go silent"
    case runsLag = "the watches of restoreruns lag by 20 s"
    case workloadsLag = "the watches of statefulsets and pods lag by 20 s"
    case claimsLag = "the watches of persistentvolumeclaims and services lag by 20 s"
    case jobsLag = "the watches of jobs lag by 20 s"
    case eventsTwice = "each event is told twice for 20 s"
    case logsCut = "the followed logs are cut"
    case leaderFrozen = "the leader is frozen for a minute"
    case leaderDies = "the leader dies"
    case clockForward = "the leader's clock jumps an hour ahead"
    case clockBack = "the leader's clock jumps an hour back"
    case ledgerDown = "the ledger is down for 30 s"
    case ledgerMute = "the ledger does not answer for 30 s"
    case ledgerReadOnly = "the ledger is read-only for 30 s"
    case serverDown = "the API server is down for 25 s"
    case leaseTaken = "somebody edits the lease's labels"
    case jobsDeleted = "the Jobs are deleted"
    case strangerLabels = "somebody labels the StatefulSets and claims"

    /// It passes, and nothing of what was asked for may change by it.
    package var isTransient: Bool { self != .jobsDeleted }
}

/// One line of a fault script.
package enum Fault: Hashable, Sendable, CustomStringConvertible {
    case call(CallSite, CallTrouble)
    /// At so many milliseconds after the beginning.
    case world(at: Int64, WorldTrouble)
    /// Something that somebody does, or that breaks: it may change what comes out.
    case event(at: Int64, WorldEvent)

    package var isTransient: Bool {
        switch self {
        case .call(_, let trouble): trouble.isTransient
        case .world(_, let trouble): trouble.isTransient
        case .event: false
        }
    }

    package var description: String {
        switch self {
        case .call(let site, let trouble): "\(site): \(trouble.rawValue)"
        case .world(let at, let trouble): "at \(at) ms: \(trouble.rawValue)"
        case .event(let at, let event): "at \(at) ms: \(event)"
        }
    }

    /// Reads a line as `description` writes it.
    package init?(_ line: String) {
        guard let colon = line.firstRange(of: ": ") else { return nil }
        let head = line[..<colon.lowerBound].split(separator: " ").map(String.init)
        let words = String(line[colon.upperBound...])
        if head.count == 3, head[0] == "at", head[2] == "ms", let at = Int64(head[1]) {
            if let trouble = WorldTrouble(rawValue: words) {
                self = .world(at: at, trouble)
            } else if let event = WorldEvent(words: words) {
                self = .event(at: at, event)
            } else {
                return nil
            }
        } else if head.count == 9, head[0] == "call", let ordinal = Int(head[1]), head[2] == "of", head[5] == "of",
            head[7] == "at", let trouble = CallTrouble(rawValue: words)
        {
            let place = CallPlace(CallName(head[3], head[4]), of: head[6], at: head[8])
            self = .call(CallSite(ordinal, place), trouble)
        } else {
            return nil
        }
    }
}

/// A schedule in words: which story is told, with which seed, and what goes wrong in it.
package struct FaultScript: Hashable, Sendable, CustomStringConvertible {
    package var story: String
    package var seed: UInt64
    package var faults: [Fault]

    package init(story: String, seed: UInt64, faults: [Fault] = []) {
        self.story = story
        self.seed = seed
        self.faults = faults
    }

    package var description: String {
        (["story: \(story)", "seed: \(seed)"] + faults.map(\.description)).joined(separator: "\n")
    }

    package struct Unreadable: Error, CustomStringConvertible {
        package var description: String
    }

    /// Reads what `description` writes; empty lines and lines that begin with `#` count for nothing.
    /// - Throws: `Unreadable`, which names the line.
    package init(reading text: String) throws {
        var script = FaultScript(story: "", seed: 0)
        for part in text.split(separator: "\n") {
            let line = part.trimming { $0 == " " || $0 == "\r" }
            if line.isEmpty || line.hasPrefix("#") { continue }
            if line.hasPrefix("story: ") {
                script.story = String(line.dropFirst("story: ".count))
            } else if line.hasPrefix("seed: "), let seed = UInt64(line.dropFirst("seed: ".count)) {
                script.seed = seed
            } else if let fault = Fault(line) {
                script.faults.append(fault)
            } else {
                throw Unreadable(description: "this is no line of a fault script: \(line)")
            }
        }
        guard !script.story.isEmpty else { throw Unreadable(description: "no line names the story") }
        self = script
    }
}

extension Substring {
    fileprivate func trimming(_ isDropped: (Character) -> Bool) -> String {
        var rest = self
        while let first = rest.first, isDropped(first) { rest.removeFirst() }
        while let last = rest.last, isDropped(last) { rest.removeLast() }
        return String(rest)
    }
}
