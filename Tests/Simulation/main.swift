// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport

// Options in, an exit code out: 0 when all held, 1 when something was broken, 2 when the command can't be understood.
do {
    let options = try Options(Array(CommandLine.arguments.dropFirst()))
    if let file = options.replay {
        exit(try Replay.play(file, options) ? 0 : 1)
    } else if options.plan {
        try Worker(options).tellPlan()
    } else if options.worker != nil || options.processes == 1 {
        exit(try Worker(options).work() ? 0 : 1)
    } else {
        exit(try Crew(options).work() ? 0 : 1)
    }
} catch let refusal as Refusal {
    FileHandle.standardError.write(Data("simulate: \(refusal.words)\n\n\(Options.help)\n".utf8))
    exit(2)
} catch {
    FileHandle.standardError.write(Data("simulate: \(error)\n".utf8))
    exit(2)
}
