// SPDX-License-Identifier: Apache-2.0

import JSON
import Seams
import Synchronization

/// What a list or a watch is about.
struct MiniScope {
    var path: String
    /// Only the object of this name.
    var name: String?

    init(_ target: String) {
        let halves = target.split(separator: "?")
        path = halves.first.map(String.init) ?? ""
        let field = halves.last?.split(separator: "&").first { $0.hasPrefix("fieldSelector=") }
        name = field?.split(separator: "%3D").last.map(String.init)
    }

    /// For the server's log: a single object is told by its name.
    var words: String { name.map { "\(path) \($0)" } ?? path }

    private var parts: [Substring] { path.split(separator: "/") }
    private var namespace: String? {
        parts.firstIndex(of: "namespaces").map { String(parts[$0 + 1]) }
    }

    var isCollection: Bool { parts.count == (path.hasPrefix("/api/") ? 3 : 4) + (namespace == nil ? 0 : 2) }

    /// `/api/v1/namespaces/a/configmaps/x` belongs to `/api/v1/configmaps`, and to `/api/v1/namespaces/a/configmaps`.
    func takes(_ object: String) -> Bool {
        var place = object.split(separator: "/")
        let last = place.removeLast()
        if namespace == nil, let index = place.firstIndex(of: "namespaces") {
            place.removeSubrange(index...(index + 1))
        }
        return place == parts && (name == nil || last == name ?? "")
    }
}

/// The JSON patches that the loop sends.
enum MiniPatch {
    /// `nil` when a test does not hold.
    static func applied(_ operations: [JSONValue], to object: JSONValue) -> JSONValue? {
        var result = object
        for operation in operations {
            let path = operation["path"]?.string?.split(separator: "/").map(String.init) ?? []
            if operation["op"] == "test" {
                let found = path.reduce(result as JSONValue?) { $0?[$1] }
                if found != operation["value"] { return nil }
            } else {
                result = changed(result, path[...], operation["value"] ?? .null)
            }
        }
        return result
    }

    static func changed(_ object: JSONValue, _ path: ArraySlice<String>, _ value: JSONValue) -> JSONValue {
        guard let key = path.first else { return value }
        var members = object.object ?? JSONObject()
        members[key] = changed(members[key] ?? .object(JSONObject()), path.dropFirst(), value)
        return .object(members)
    }
}

/// The body of one watch, or of a followed log.
final class MiniStream: HTTPStream {
    private struct State {
        var pieces: [[UInt8]] = []
        var isClosed = false
        var failure: ExchangeError?
        var waiter: CheckedContinuation<Void, Never>?
    }

    let scope: MiniScope
    let head: HTTPResponse
    private let state = Mutex(State())

    init(_ scope: MiniScope) {
        self.scope = scope
        head = HTTPResponse(status: 200)
    }

    /// An answer that is no stream.
    init(_ refusal: HTTPResponse) {
        scope = MiniScope("")
        head = HTTPResponse(status: refusal.status)
        push(refusal.body)
        close()
    }

    var isClosed: Bool { state.withLock { $0.isClosed } }

    func push(_ piece: [UInt8]) {
        // Cut in two, as networks do.
        let middle = piece.count / 2
        wake { $0.pieces += [Array(piece[..<middle]), Array(piece[middle...])] }
    }

    func fail(_ error: ExchangeError) { wake { $0.failure = error } }

    func close() { wake { $0.isClosed = true } }

    private func wake(_ change: (inout State) -> Void) {
        let waiter = state.withLock { state in
            change(&state)
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    func next() async throws -> [UInt8]? {
        while true {
            let (piece, isClosed, failure) = state.withLock { state in
                (state.pieces.isEmpty ? nil : state.pieces.removeFirst(), state.isClosed, state.failure)
            }
            if let piece { return piece }
            try Task.checkCancellation()
            if let failure { throw failure }
            if isClosed { return nil }
            await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    let isReady = state.withLock { state in
                        if !state.pieces.isEmpty || state.isClosed || state.failure != nil { return true }
                        state.waiter = continuation
                        return false
                    }
                    if isReady { continuation.resume() }
                }
            } onCancel: {
                close()
            }
        }
    }
}
