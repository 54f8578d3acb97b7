// SPDX-License-Identifier: Apache-2.0

import Curl
import Foundation
import Frames
import JSON
import ObjectStore
import Resources

/// The part of Reprise that reaches buckets: runs in Jobs in the tenant's namespace with that namespace's credentials,
/// has no Kubernetes token, and answers with a framed result on standard output.
@main
enum Agent {
    static func main() async {
        let arguments = Array(CommandLine.arguments.dropFirst())
        let environment = ProcessInfo.processInfo.environment
        guard arguments.first == "scan" else {
            complain("usage: agent scan --bucket NAME --path PATH (--major N | --expect-empty) [--compare-...]")
            exit(2)
        }
        let attempt = environment["REPRISE_ATTEMPT_TOKEN"] ?? ""
        do {
            let loop = try EventLoop()
            let request = try ScanCommand.read(Array(arguments.dropFirst()))
            let store = try ScanCommand.store(request, environment, loop)
            let scan = Scan(store: store, request: request, attempt: attempt)
            let result = await Task(executorPreference: loop) { await scan.run() }.value
            report(result, environment)
        } catch let error as ScanCommand.UsageError {
            complain(error.message)
            report(ScanResult(attempt: attempt, code: "ScanFailed", message: error.message), environment)
        } catch {
            report(ScanResult(attempt: attempt, code: "ScanFailed", message: "\(type(of: error))"), environment)
        }
    }

    /// Writes the framed result and the termination message, and ends: with 0 when the scan went through.
    private static func report(_ result: ScanResult, _ environment: [String: String]) -> Never {
        do {
            let json = try JSON.encode(result)
            FileHandle.standardOutput.write(Data(try ResultFrame.encode(json)))
            let message = try TerminationMessage(code: result.code, result: json).encoded()
            let path = environment["REPRISE_TERMINATION_LOG"] ?? "/dev/termination-log"
            try Data(message).write(to: URL(fileURLWithPath: path))
        } catch {
            complain("the result could not be written: \(error)")
            _exit(1)
        }
        // Not `exit`: it would run OpenSSL's clean-up under the feet of the thread that closes the connections.
        _exit(result.code == "OK" ? 0 : 1)
    }

    private static func complain(_ text: String) {
        FileHandle.standardError.write(Data("agent: \(text)\n".utf8))
    }
}
