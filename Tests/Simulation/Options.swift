// SPDX-License-Identifier: Apache-2.0

/// What the command line asks for.
struct Options {
    var schedules = 2_000
    var from = 0
    var seed: UInt64 = 1
    var processes = 1
    var scenario: String?
    var replay: String?
    var trace = false
    var stopAtFirst = false
    /// Every pair of deaths in a story, and not a campaign.
    var pairs = false
    /// Every cell of the table this often; `nil`: not asked for.
    var perCell: Int?
    /// Nothing is played: only what would be asked for is told.
    var plan = false
    var keep: String?
    /// Of how many workers this is which.
    var worker: (number: Int, of: Int)?
    /// Where workers tell each other what they have tried.
    var meeting: String?

    static let help = """
        simulate: tells stories to the production loop in a simulated world, and lets things go wrong in them
          --schedules N      so many of them (2000); --seeds is the same
          --from N           beginning with the one of this number (0)
          --seed N           of another campaign (1)
          --processes N      beside each other (1)
          --scenario NAME    of one story alone
          --pairs            with --scenario: every pair of deaths in it
          --per-cell N       fails when a cell of the table was tried less often
          --plan             plays nothing: says which stories would be told, and how often cells be asked for
          --stop-at-first    ends with the first schedule that fails
          --keep FOLDER      writes the script of each failed schedule there
          --replay FILE      plays one script, and says what came of it
          --trace            with --replay: tells everything that happened
        """

    /// - Throws: `Refusal`, with what is wrong.
    init(_ arguments: [String]) throws {
        var rest = arguments[...]
        func value(_ name: String) throws -> String {
            guard let next = rest.popFirst() else { throw Refusal(words: "\(name) needs a value") }
            return next
        }
        func number(_ name: String) throws -> Int {
            let text = try value(name)
            guard let number = Int(text), number >= 0 else {
                throw Refusal(words: "\(name) needs a number, and got '\(text)'")
            }
            return number
        }
        while let name = rest.popFirst() {
            switch name {
            case "--schedules", "--seeds": schedules = try number(name)
            case "--from": from = try number(name)
            case "--seed": seed = UInt64(try number(name))
            case "--processes": processes = max(1, try number(name))
            case "--scenario": scenario = try value(name)
            case "--per-cell": perCell = try number(name)
            case "--stop-at-first": stopAtFirst = true
            case "--pairs": pairs = true
            case "--plan": plan = true
            case "--keep": keep = try value(name)
            case "--replay": replay = try value(name)
            case "--trace": trace = true
            case "--worker":
                let parts = try value(name).split(separator: "/").compactMap { Int($0) }
                guard parts.count == 2, parts[1] > 0 else { throw Refusal(words: "--worker needs K/N") }
                worker = (parts[0], parts[1])
            case "--meeting": meeting = try value(name)
            default: throw Refusal(words: "unknown option '\(name)'")
            }
        }
    }
}

struct Refusal: Error {
    var words: String
}
