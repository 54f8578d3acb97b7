// SPDX-License-Identifier: Apache-2.0

import Foundation
import KubeClient
import Ledger
import Wiring

/// `controller ledger rebuild`: work on the ledger that a person asks for, beside a controller that runs or not.
struct LedgerCommand: Equatable {
    var kubeconfig: String?
    var isDryRun = false
    /// libpq connection string; from the environment, as the controller's own.
    var ledger = ""

    static let usage = """
        usage: controller ledger rebuild [options]
          Writes the rows of ended RestoreRuns that the ledger does not have. Rows that it has stay as they are.
          --dry-run                     only say which rows are missing
          --kubeconfig FILE             default: KUBECONFIG, the pod's service account, ~/.kube/config
        environment: REPRISE_LEDGER     libpq connection string of the ledger (required)
        """

    /// - Throws: `Options.UsageError` that names what is wrong and the way out.
    static func read(_ arguments: [String], _ environment: [String: String]) throws -> LedgerCommand {
        var command = LedgerCommand()
        var rest = arguments[...]
        guard rest.popFirst() == "rebuild" else {
            throw Options.UsageError(message: "ledger knows one thing to do: rebuild", usage: usage)
        }
        while let flag = rest.popFirst() {
            switch flag {
            case "--dry-run": command.isDryRun = true
            case "--kubeconfig":
                guard let file = rest.popFirst() else {
                    throw Options.UsageError(message: "\(flag) needs a value", usage: usage)
                }
                command.kubeconfig = file
            default: throw Options.UsageError(message: "unknown option \(flag)", usage: usage)
            }
        }
        guard let ledger = environment["REPRISE_LEDGER"], !ledger.isEmpty else {
            throw Options.UsageError(
                message: "the environment variable REPRISE_LEDGER is required: where the ledger is", usage: usage)
        }
        command.ledger = ledger
        return command
    }
}

extension Controller {
    /// - Returns: Whether every run has its row now.
    static func rebuild(_ command: LedgerCommand) async throws -> Bool {
        let (loop, _, exchange, _) = try reach(command.kubeconfig)
        return try await Task(executorPreference: loop) {
            let client = APIClient(exchange)
            guard let cluster = try await clusterUID(client) else {
                throw Options.UsageError(message: "namespace kube-system does not exist", usage: LedgerCommand.usage)
            }
            let ledger = try PostgresLedger(conninfo: command.ledger, clusterUID: cluster)
            let summary = try await LedgerRebuild(client, ledger, isDryRun: command.isDryRun) { print($0) }.run()
            ledger.close()
            print(
                "\(command.isDryRun ? "missing" : "written"): \(summary.written), there already: "
                    + "\(summary.alreadyThere), not ended yet: \(summary.stillOpen), failed: \(summary.failed)")
            return summary.failed == 0
        }.value
    }
}
