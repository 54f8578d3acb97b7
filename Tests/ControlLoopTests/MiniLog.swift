// SPDX-License-Identifier: Apache-2.0

import Seams
import Synchronization

/// The log of one container on the small server: lines with their times, which grows while it is followed.
final class MiniLog: @unchecked Sendable {
    /// What a request for it gets. `silent` is a node that never answers.
    enum Stage { case waiting, gone, running, ended, silent }

    var stage: Stage
    private(set) var lines: [(time: String, bytes: [UInt8])] = []
    /// `sinceTime` of each request that was answered with lines; empty when there was none.
    private(set) var asked: [String] = []
    private var streams: [MiniStream] = []
    private var rest: [UInt8] = []
    /// Servers pass the moment on to the node as whole seconds.
    var cutsFractions = true

    init(_ stage: Stage = .running) { self.stage = stage }

    var openStreams: Int { streams.count { !$0.isClosed } }

    static func time(_ second: Int, _ nanoseconds: Int = 0) -> String {
        func padded(_ number: Int, _ width: Int) -> String {
            let digits = String(number)
            return String(repeating: "0", count: width - digits.count) + digits
        }
        return "2026-05-27T03:\(padded(second / 60, 2)):\(padded(second % 60, 2)).\(padded(nanoseconds, 9))Z"
    }

    /// The container writes a line.
    func say(_ text: String, at second: Int, _ nanoseconds: Int = 0) {
        let line = (time: Self.time(second, nanoseconds), bytes: Array(text.utf8))
        lines.append(line)
        for stream in streams { stream.push(Self.wire(line)) }
    }

    /// A part of a line arrives, and then the connection is lost.
    func breakOff(after part: String = "") {
        for stream in streams {
            if !part.isEmpty { stream.push(Array(part.utf8)) }
            stream.fail(ExchangeError(.connectionLost, "lost"))
        }
        streams = []
    }

    /// The container writes a part of a line.
    func leaveUnfinished(_ text: String, at second: Int) {
        rest = Array("\(Self.time(second)) \(text)".utf8)
        for stream in streams { stream.push(rest) }
    }

    /// All connections end in good order; with its container, or without.
    func hangUp(_ stage: Stage = .ended) {
        self.stage = stage
        for stream in streams { stream.close() }
        streams = []
    }

    func open(_ since: String?) -> MiniStream {
        let stream = MiniStream(MiniScope("log"))
        asked.append(since ?? "")
        let from = since.map { cutsFractions ? String($0.prefix(19)) : String($0.dropLast()) } ?? ""
        for line in lines where line.time >= from { stream.push(Self.wire(line)) }
        if !rest.isEmpty { stream.push(rest) }
        if stage == .ended { stream.close() } else { streams.append(stream) }
        return stream
    }

    private static func wire(_ line: (time: String, bytes: [UInt8])) -> [UInt8] {
        Array(line.time.utf8) + [0x20] + line.bytes + [0x0A]
    }
}

extension MiniServer {
    static func logPath(_ pod: String) -> String { "/api/v1/namespaces/a/pods/\(pod)/log" }

    /// Answers a request for a log.
    func follow(_ path: String, _ query: Substring) throws -> any HTTPStream {
        let fields = query.split(separator: "&")
        guard fields.contains("follow=true"), fields.contains("timestamps=true"), fields.contains("container=postgres"),
            let log = logs[path]
        else { return MiniStream(refusal(400, "BadRequest", path)) }
        switch log.stage {
        case .waiting: return MiniStream(refusal(400, "BadRequest", path))
        case .gone: return MiniStream(refusal(404, "NotFound", String(path.dropLast(4))))
        case .silent: throw ExchangeError(.timedOut, "no head")
        case .running, .ended: break
        }
        let since = fields.first { $0.hasPrefix("sinceTime=") }?.dropFirst(10)
        return log.open(since.map { $0.split(separator: "%3A").joined(separator: ":") })
    }
}
