// SPDX-License-Identifier: Apache-2.0

package import Resources
import Seams

/// What a container has written, line by line, with the moment of each. Confined to the test's thread.
package final class ModelLog: @unchecked Sendable {
    package struct Line: Equatable, Sendable {
        package var at: Timestamp
        package var text: [UInt8]
    }

    package private(set) var lines: [Line] = []
    /// The container has ended: nothing more will come.
    package private(set) var isOver = false
    /// Told of each line, and by `nil` of the end.
    private var listeners: [(Line?) -> Void] = []

    func append(_ text: [UInt8], at moment: Timestamp) {
        guard !isOver else { return }
        let line = Line(at: moment, text: text)
        lines.append(line)
        for listener in listeners { listener(line) }
    }

    func end() {
        guard !isOver else { return }
        isOver = true
        for listener in listeners { listener(nil) }
        listeners = []
    }

    /// Hears what is there already, and whatever follows.
    func follow(_ listener: @escaping (Line?) -> Void) {
        for line in lines { listener(line) }
        if isOver { listener(nil) } else { listeners.append(listener) }
    }

    /// A line as the server sends it, with its time when that was asked for.
    static func wire(_ line: Line, timestamps: Bool) -> [UInt8] {
        let time = timestamps ? Array("\(line.at.rfc3339Micro.dropLast())000Z ".utf8) : []
        return time + line.text + [UInt8(ascii: "\n")]
    }
}

extension Route {
    var wantsTimestamps: Bool { query["timestamps"] == "true" }

    /// The server passes `sinceTime` on to the node in whole seconds; the lines of that very moment count.
    func selects(_ line: ModelLog.Line) -> Bool {
        guard let since = query["sinceTime"].flatMap({ Timestamp(rfc3339: $0) }) else { return true }
        return line.at >= since.wholeSecond
    }
}

/// The server's side of one followed log.
enum ModelFollow {
    /// - Returns: A stream of the lines as they are written, each late by some milliseconds and in order; a refusal
    ///   becomes an answer that is no stream.
    static func open(_ request: HTTPRequest, on wire: ModelWire, _ port: Port) -> ModelStream {
        let route: Route
        let log: ModelLog
        do {
            route = try Route(request.target)
            log = try wire.api.log(route)
        } catch {
            let refusal = error as? ModelRefusal ?? ModelRefusal.bad("\(error)")
            return ModelStream(refusal.response, wire)
        }
        let stream = ModelStream(HTTPResponse(status: 200), wire)
        wire.hold(stream)
        port.whenSevered { stream.fail(ExchangeError(.connectionLost, "the port is severed")) }
        let scheduler = wire.scheduler
        var arrivedUpTo: Int64 = 0
        log.follow { line in
            guard stream.isOpen, line.map(route.selects) ?? true else { return }
            arrivedUpTo = max(arrivedUpTo, scheduler.now + 1 + wire.draw("log", below: wire.watchLag))
            scheduler.after(arrivedUpTo - scheduler.now, line == nil ? "end of a log" : "line of a log") {
                if let line {
                    stream.push(ModelLog.wire(line, timestamps: route.wantsTimestamps))
                } else {
                    stream.end()
                }
            }
        }
        return stream
    }
}
