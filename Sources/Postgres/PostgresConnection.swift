// SPDX-License-Identifier: Apache-2.0

import CPostgres
import Dispatch
import Glibc

/// A connection to PostgreSQL with a thread of its own.
///
/// Flow: a call is queued for the thread, which connects if need be, runs the call's closure against a blocking
/// session and answers. Guarantees: a caller is never blocked, only suspended, and is answered by its deadline
/// whatever libpq, the resolver or the network do; calls run one at a time, in order. After trouble the connection is
/// discarded and the next call makes a new one; within a pause after a failed attempt calls fail at once.
package final class PostgresConnection: Sendable {
    private let queue: WorkQueue
    private let settings: PostgresSettings

    /// Makes the thread; connects with the first call.
    ///
    /// - Parameters:
    ///   - conninfo: A libpq connection string or URI. TLS is as it says (`sslmode`, `sslrootcert`, ...).
    ///   - settings: Timeouts and names.
    ///   - prepare: Runs on every new connection before any call does. When it throws, the connection is discarded and
    ///     the call gets that error.
    /// - Throws: `PostgresError` with `malformedConninfo`.
    package init(
        conninfo: String, settings: PostgresSettings = PostgresSettings(),
        prepare: @escaping @Sendable (PostgresSession) throws -> Void = { _ in }
    ) throws(PostgresError) {
        let parameters = try ConnectionParameters(conninfo: conninfo, settings: settings)
        let queue = WorkQueue()
        self.queue = queue
        self.settings = settings
        let start = ThreadStart {
            let link = PostgresLink(parameters, settings, interrupt: queue.interrupt, prepare: prepare)
            while let job = queue.next() {
                if !job.isAbandoned() { link.serve(job) }
            }
            link.disconnect()
        }
        guard start.run() else { throw PostgresError(.unreachable, "no thread could be started") }
    }

    /// The names and addresses of the servers in a connection string, without sockets; none if it is malformed.
    package static func hosts(of conninfo: String) -> [String] { ConnectionParameters.hosts(of: conninfo) }

    deinit { queue.close() }

    /// Ends the connection: waiting and running calls fail with `closed`. Does not wait. Safe to call more than once.
    package func close() { queue.close() }

    /// Runs `body` on the connection's thread and answers with its result.
    ///
    /// `body` may be run a second time if the connection was found dead before anything but BEGIN was sent.
    /// - Throws: what `body` throws, or `PostgresError`. A cancelled caller gets `cancelled` at once; what had begun
    ///   runs on to its end.
    package func perform<Value: Sendable>(
        _ body: @escaping @Sendable (PostgresSession) throws -> Value
    ) async throws -> Value {
        let answer = Answer<Value>()
        let deadline = monotonicMilliseconds() + settings.callTimeout
        let job = Job(
            deadline: deadline,
            isAbandoned: { answer.isFinished },
            run: { session, mayRepeat in
                let result = Result { try body(session) }
                if mayRepeat, !session.hasSent, case .failure(let error as PostgresError) = result,
                    error.code == .connectionLost
                {
                    return false
                }
                answer.finish(result)
                return true
            },
            refuse: { answer.finish(.failure($0)) })
        // A little later than the session's own deadline, whose error says more.
        DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(Int(settings.callTimeout) + 200)) {
            [weak answer] in
            answer?.finish(.failure(PostgresError(.timedOut, "PostgreSQL did not answer in time")))
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                answer.await(continuation)
                queue.submit(job)
            }
        } onCancel: {
            answer.finish(.failure(PostgresError(.cancelled, "the call was cancelled")))
        }
    }

    /// Runs one transaction; see `PostgresSession.transaction`.
    /// - Throws: what `body` throws, or `PostgresError`.
    package func transaction<Value: Sendable>(
        _ access: PostgresSession.Access = .readWrite,
        _ body: @escaping @Sendable (PostgresTransaction) throws -> Value
    ) async throws -> Value {
        try await perform { session in try session.transaction(access, body) }
    }
}

/// Work for a new thread.
private final class ThreadStart: Sendable {
    private let work: @Sendable () -> Void

    init(_ work: @escaping @Sendable () -> Void) { self.work = work }

    /// Starts a detached thread that receives no signals.
    func run() -> Bool {
        var attributes = pthread_attr_t()
        guard pthread_attr_init(&attributes) == 0 else { return false }
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        var thread = pthread_t()
        let retained = Unmanaged.passRetained(self)
        let result = pthread_create(
            &thread, &attributes,
            { argument in
                guard let argument else { return nil }
                var signals = sigset_t()
                sigfillset(&signals)
                pthread_sigmask(SIG_BLOCK, &signals, nil)
                reprise_name_this_thread("postgres")
                Unmanaged<ThreadStart>.fromOpaque(argument).takeRetainedValue().work()
                return nil
            }, retained.toOpaque())
        if result != 0 { retained.release() }
        return result == 0
    }
}
