// SPDX-License-Identifier: Apache-2.0

import Curl
import Foundation
import Frames
import JSON
import ObjectStore
import Resources
import Scanning

/// The part of Reprise that reaches buckets: runs in Jobs in the tenant's namespace with that namespace's credentials,
/// has no Kubernetes token, and answers with a framed result on standard output.
@main
enum Agent {
    static func main() async {
        let arguments = Array(CommandLine.arguments.dropFirst())
        let environment = ProcessInfo.processInfo.environment
        guard arguments.first == "scan" else {
            complain(ScanCommand.usage)
            exit(2)
        }
        let attempt = environment["REPRISE_ATTEMPT_TOKEN"] ?? ""
        let isRepository = arguments.contains("--repository")
        do {
            let loop = try EventLoop()
            let request = try ScanCommand.read(Array(arguments.dropFirst()))
            let store = try ScanCommand.store(request, environment, loop)
            let time = SystemTimekeeper(loop)
            if request.isRepository {
                let known = KnownArchives.read(request.known)
                let scan = RepositoryScan(store: store, time: time, request: request, attempt: attempt, known: known)
                let result = await Task(executorPreference: loop) { await scan.run() }.value
                report(result, result.code, environment)
            } else {
                let scan = Scan(store: store, time: time, request: request, attempt: attempt)
                let result = await Task(executorPreference: loop) { await scan.run() }.value
                report(result, result.code, environment)
            }
        } catch {
            let usage = error as? ScanCommand.UsageError
            if let usage { complain(usage.message) }
            fail(usage?.message ?? "\(type(of: error))", isRepository, attempt, environment)
        }
    }

    private static func fail(
        _ message: String, _ isRepository: Bool, _ attempt: String, _ environment: [String: String]
    ) -> Never {
        let code = "ScanFailed"
        if isRepository {
            report(RepositoryScanResult(attempt: attempt, code: code, message: message), code, environment)
        }
        report(ScanResult(attempt: attempt, code: code, message: message), code, environment)
    }

    /// Writes the framed result and the termination message, and ends: with 0 when the scan went through.
    private static func report(_ result: some Encodable, _ code: String, _ environment: [String: String]) -> Never {
        do {
            let json = try JSON.encode(result)
            FileHandle.standardOutput.write(Data(try ResultFrame.encode(json)))
            let message = try TerminationMessage(code: code, result: json).encoded()
            let path = environment["REPRISE_TERMINATION_LOG"] ?? "/dev/termination-log"
            try Data(message).write(to: URL(fileURLWithPath: path))
        } catch {
            complain("the result could not be written: \(error)")
            _exit(1)
        }
        // Not `exit`: it would run OpenSSL's clean-up under the feet of the thread that closes the connections.
        _exit(code == "OK" ? 0 : 1)
    }

    private static func complain(_ text: String) {
        FileHandle.standardError.write(Data("agent: \(text)\n".utf8))
    }
}
