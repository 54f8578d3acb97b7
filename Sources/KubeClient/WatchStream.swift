// SPDX-License-Identifier: Apache-2.0

import JSON
package import Resources
import Seams

/// The events of one watch, in order. One consumer, which ends it by `close()`; it also ends with its last event, with
/// an error and with its task.
package struct WatchStream<R: Resource>: Sendable {
    private let stream: any HTTPStream
    private var framer: LineFramer
    private var isOver = false

    init(_ stream: any HTTPStream, maximumLine: Int) {
        self.stream = stream
        self.framer = LineFramer(limit: maximumLine)
    }

    /// Waits for the next event.
    /// - Parameter isKnown: Whether the object of that name is held in that version already, as after an own write: then
    ///   the rest of the event is not read.
    /// - Returns: `nil` at the watch's regular end (the server's timeout): watch again from the last resourceVersion.
    /// - Throws: `APIError`, with code `expired` when the watch can't go on from where it was (list again);
    ///   `CancellationError`. The watch is over then.
    package mutating func next(
        unless isKnown: @Sendable (ObjectVersion) -> Bool = { _ in false }
    ) async throws -> WatchEvent<R>? {
        if isOver { return nil }
        do {
            while true {
                if let line = try framer.next() { return try Self.event(line, isKnown) }
                guard let bytes = try await stream.next() else { break }
                framer.append(bytes)
            }
            if framer.isInsideLine { throw APIError(.connectionLost, "the watch ended in the middle of a line") }
            close()
            isOver = true
            return nil
        } catch {
            close()
            isOver = true
            throw Self.typed(error)
        }
    }

    /// Ends the watch. Safe to call at any time, more than once.
    package func close() { stream.close() }

    private static func event(
        _ line: [UInt8], _ isKnown: (ObjectVersion) -> Bool
    ) throws(APIError) -> WatchEvent<R> {
        let content: WatchLine<R>.Content
        do {
            let document = try JSON.Document(parsing: line)
            if let version = try? document.decode(WatchHead.self).version, isKnown(version) {
                return .known(resourceVersion: version.resourceVersion)
            }
            content = try document.decode(WatchLine<R>.self).content
        } catch {
            throw APIError(.undecodable, "watch event of \(R.resourceKind.plural): \(explanation(of: error))")
        }
        switch content {
        case .failure(let status): throw APIError(status, isWrite: false)
        case .event(.undecodable(let object, _)) where object.ref.name.isEmpty:
            throw APIError(.undecodable, "watch event of a nameless \(R.resourceKind.kind): \(object.message)")
        case .event(.undecodable(var object, let change)):
            // Only the error of a whole decode knows the path.
            do { _ = try JSON.decode(StrictWatchLine<R>.self, from: line) } catch {
                object.message = cleaned(explanation(of: error), 512)
            }
            return .undecodable(object, change: change)
        case .event(let event): return event
        }
    }

    private static func typed(_ error: any Error) -> any Error {
        if let error = error as? LineFramer.LineTooLong {
            return APIError(
                .lineTooLong, "a watch event of \(R.resourceKind.plural) is longer than \(error.limit) bytes")
        }
        return APIError.typed(error, isWrite: false)
    }
}
