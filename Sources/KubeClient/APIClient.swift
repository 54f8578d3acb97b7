// SPDX-License-Identifier: Apache-2.0

import JSON
package import Resources
package import Seams

/// The API server, one call at a time. Never retries a write; keeps no state.
///
/// Every call throws `APIError`, or `CancellationError` when the task is cancelled (a write's outcome is unknown then).
package struct APIClient: Sendable {
    package var exchange: any Exchange
    /// How long a whole answer may take; for a watch: its head.
    package var timeout: Milliseconds
    /// Items in one page of a list.
    package var pageSize: Int
    /// Bytes in one line of a watch. An object is at most 1.5 MiB in etcd, as JSON at most a few times that.
    package var maximumLine: Int

    package init(
        _ exchange: any Exchange, timeout: Milliseconds = 30_000, pageSize: Int = 500, maximumLine: Int = 8 << 20
    ) {
        self.exchange = exchange
        self.timeout = timeout
        self.pageSize = pageSize
        self.maximumLine = maximumLine
    }

    /// The same client with another timeout, e.g. a shorter one for lease renewals.
    package func with(timeout: Milliseconds) -> APIClient {
        var copy = self
        copy.timeout = timeout
        return copy
    }

    /// A quorum read.
    /// - Parameter namespace: Empty for cluster-scoped kinds.
    /// - Returns: `nil` only when the server says that this very object does not exist; an unknown kind is an error.
    package func get<R: Resource>(_ type: R.Type, _ namespace: String, _ name: String) async throws -> R? {
        let request = try APIRequest.get(Ref(R.resourceKind, namespace, name))
        do {
            return try decoded(R.self, try await answer(to: request, namedInNotFound: name))
        } catch let error as APIError where error.code == .notFound {
            return nil
        }
    }

    /// All objects, as of one moment not before this call.
    /// - Parameters:
    ///   - namespace: `nil` for all namespaces, and for cluster-scoped kinds.
    ///   - name: Only the object of this name: at most one.
    ///   - selector: A label selector.
    package func list<R: Resource>(
        _ type: R.Type, namespace: String? = nil, name: String? = nil, selector: String? = nil
    ) async throws -> ListResult<R> {
        var limit: Int? = pageSize
        var expirations = 0
        while true {
            do { return try await pages(R.self, namespace, name, selector, limit: limit) } catch let error as APIError {
                switch error.code {
                case .expired where expirations < 3:
                    // Start over; the third time in one answer, whose continuation can't expire.
                    expirations += 1
                    if expirations == 2 { limit = nil }
                case .answerTooLarge where limit.map { $0 > 1 } ?? (pageSize > 1):
                    // A tenant's huge objects must not make the list unreadable for all.
                    limit = max(1, (limit ?? pageSize) / 10)
                default: throw error
                }
            }
        }
    }

    /// The Events about one incarnation of an object: one page of them, since anybody may write any number. What is
    /// none can't be read as one and is left out.
    package func events(about uid: String, namespace: String) async throws -> [EventFact] {
        let request = try APIRequest.events(about: uid, namespace: namespace, limit: pageSize)
        let page = try decoded(Page<EventFact>.self, try await answer(to: request))
        return (page.items ?? []).compactMap { try? $0.result.get() }
    }

    /// Opens a watch.
    /// - Parameters:
    ///   - name: Only the object of this name.
    ///   - resourceVersion: Of a list, a bookmark or the last event seen.
    ///   - serverTimeout: After how many seconds the server ends the watch.
    ///   - idleTimeout: How long it may stay silent before it counts as dead.
    /// - Throws: `APIError`, with code `expired` when `resourceVersion` is too old: list again.
    package func watch<R: Resource>(
        _ type: R.Type, namespace: String? = nil, name: String? = nil, selector: String? = nil,
        from resourceVersion: String, serverTimeout: Int = 120, idleTimeout: Milliseconds? = 150_000
    ) async throws -> WatchStream<R> {
        var request = try APIRequest.watch(
            R.resourceKind, namespace: namespace, name: name, selector: selector, from: resourceVersion,
            serverTimeout: serverTimeout, idleTimeout: idleTimeout)
        request.timeout = timeout
        do {
            let stream = try await exchange.open(request)
            guard stream.head.status != 200 else { return WatchStream(stream, maximumLine: maximumLine) }
            throw APIError(try await Self.refusal(stream), to: RequestTraits(request))
        } catch {
            throw APIError.typed(error, isWrite: false)
        }
    }

    /// The beginning of a container's log.
    /// - Returns: At most `options.limitBytes` bytes.
    package func log(_ pod: Ref, _ options: LogOptions) async throws -> [UInt8] {
        do {
            let response = try await answer(to: try APIRequest.log(pod, options))
            return response.body.count > options.limitBytes
                ? Array(response.body.prefix(max(0, options.limitBytes))) : response.body
        } catch var error as APIError where error.code == .badRequest {
            // "container … is waiting to start: ContainerCreating"
            error.code = .notReady
            throw error
        }
    }

    /// Follows a container's log.
    /// - Parameters:
    ///   - since: RFC 3339: only from this moment on, it included; `nil` for all that the node still has.
    ///   - headTimeout: How long it may take to begin. A kubelet answers with the container's first line.
    ///   - idleTimeout: How long it may stay silent before it counts as dead.
    /// - Throws: `APIError`, with code `notReady` when the container has not started yet, and `notFound` when the pod is
    ///   gone, or not known to its node.
    package func follow(
        _ pod: Ref, container: String, since: String? = nil, headTimeout: Milliseconds = 60_000,
        idleTimeout: Milliseconds? = 300_000
    ) async throws -> LogStream {
        var request = try APIRequest.follow(pod, container: container, since: since, idleTimeout: idleTimeout)
        request.timeout = headTimeout
        do {
            let stream = try await exchange.open(request)
            guard stream.head.status != 200 else { return LogStream(stream) }
            throw APIError(try await Self.refusal(stream), to: RequestTraits(request, object: pod.name))
        } catch var error as APIError where error.code == .badRequest {
            error.code = .notReady
            throw error
        } catch {
            throw APIError.typed(error, isWrite: false)
        }
    }

    private func pages<R: Resource>(
        _ type: R.Type, _ namespace: String?, _ name: String?, _ selector: String?, limit: Int?
    ) async throws -> ListResult<R> {
        var result = ListResult<R>(items: [], resourceVersion: "")
        var continuation: String?
        repeat {
            let request = try APIRequest.list(
                R.resourceKind, namespace: namespace, name: name, selector: selector, limit: limit,
                continuation: continuation)
            let response = try await answer(to: request)
            let page = try decoded(Page<R>.self, response)
            if continuation == nil { result.resourceVersion = page.metadata.resourceVersion ?? "" }
            page.append(to: &result, explainedBy: response.body)
            let next = page.metadata.continue ?? ""
            if !next.isEmpty, next == continuation {
                throw APIError(.undecodable, "the list of \(R.resourceKind.plural) does not get on")
            }
            continuation = next.isEmpty ? nil : next
        } while continuation != nil
        if result.resourceVersion.isEmpty {
            throw APIError(.undecodable, "the list of \(R.resourceKind.plural) has no resourceVersion")
        }
        return result
    }

    /// The body of an answer that is no watch.
    private static func refusal(_ stream: any HTTPStream) async throws -> HTTPResponse {
        defer { stream.close() }
        var response = stream.head
        while response.body.count < 65_536, let bytes = try await stream.next() { response.body += bytes }
        return response
    }

    /// Sends a request; anything but a success is thrown.
    /// - Parameters:
    ///   - isSecret: The request's body must not show up in an error.
    ///   - namedInNotFound: The object that a 404 must name to be one about this object.
    func answer(
        to request: HTTPRequest, isSecret: Bool = false, namedInNotFound name: String? = nil
    ) async throws -> HTTPResponse {
        var request = request
        request.timeout = timeout
        let traits = RequestTraits(request, isSecret: isSecret, object: name)
        let response: HTTPResponse
        do { response = try await exchange.send(request) } catch {
            throw APIError.typed(error, isWrite: traits.isWrite)
        }
        guard (200..<300).contains(response.status) else { throw APIError(response, to: traits) }
        return response
    }

    func decoded<Value: Decodable>(_ type: Value.Type, _ response: HTTPResponse) throws(APIError) -> Value {
        do { return try JSON.decode(Value.self, from: response.body) } catch {
            let code: APIError.Code = error.kind == .tooLarge ? .answerTooLarge : .undecodable
            throw APIError(code, error.description, httpStatus: response.status)
        }
    }
}
