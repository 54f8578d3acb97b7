// SPDX-License-Identifier: Apache-2.0

import Seams

/// The bytes of a followed log, as they arrive: cut anywhere. One consumer, which ends it by `close()`; it also ends
/// with the log, with an error and with its task.
package struct LogStream: Sendable {
    private let stream: any HTTPStream

    init(_ stream: any HTTPStream) { self.stream = stream }

    /// Waits for the next bytes, never none.
    /// - Returns: `nil` at the log's regular end: the container has ended, or the way to its node has. From here the two
    ///   look alike, because the API server ends its answer in good order whatever happens behind it.
    /// - Throws: `APIError`, with code `timedOut` after a long silence; `CancellationError`.
    package func next() async throws -> [UInt8]? {
        do { return try await stream.next() } catch { throw APIError.typed(error, isWrite: false) }
    }

    /// Ends it. Safe to call at any time, more than once.
    package func close() { stream.close() }
}
