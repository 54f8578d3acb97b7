// SPDX-License-Identifier: Apache-2.0

import Frames
import JSON
package import Reconciler
import Resources

/// From a pod's log to bounded facts. Pure.
///
/// A result counts only when the frame is whole, its digest is the one in the container's termination message, and it
/// carries the token of the attempt that it is asked for. Whatever else is in the log is never looked at.
package enum LogReading {
    /// The most bytes of a log that are read.
    static let limitBytes = 16 << 20
    /// The most lines, from its end: the longest frame has fewer than 1,500.
    static let tailLines = 4_000

    /// What the log holds, as the termination message in `format` says it must.
    package static func facts(in log: [UInt8], as format: LogFormat) -> LogFacts {
        guard let text = format.message else { return .unbelievable("the container left no termination message") }
        guard let message = try? TerminationMessage(decoding: Array(text.utf8)) else {
            return .unbelievable("the termination message is not one of a result")
        }
        let outcome = ResultFrame.decode(log)
        guard let result = message.believable(outcome) else { return .unbelievable(problem(outcome)) }
        switch format.content {
        case .scan: return read(ScanResult.self, result, format, \.attempt) { .scan($0) }
        case .repositoryScan:
            return read(RepositoryScanResult.self, result, format, \.attempt) { .repositoryScan($0) }
        case .seal: return read(SealResult.self, result, format, \.attempt) { .seal($0) }
        case .backup: return read(BackupResult.self, result, format, \.attempt) { .backup($0) }
        }
    }

    private static func read<Value: Decodable>(
        _ type: Value.Type, _ json: [UInt8], _ format: LogFormat, _ attempt: (Value) -> String,
        _ facts: (Value) -> LogFacts
    ) -> LogFacts {
        let value: Value
        do { value = try JSON.decode(type, from: json) } catch {
            return .unbelievable("the result does not decode: \(error.description)")
        }
        guard attempt(value) == format.attempt else { return .unbelievable("the result is of another attempt") }
        return facts(value)
    }

    private static func problem(_ outcome: ResultFrame.Outcome) -> String {
        switch outcome {
        case .none: "the log holds no result"
        case .broken(let reason): "the result in the log is broken (\(reason.rawValue))"
        case .complete: "the result in the log is not the one of the termination message"
        }
    }
}
