// SPDX-License-Identifier: Apache-2.0

import CPostgres
import Glibc

/// The thread's side of a connection: connects when there is work, waits longer after each failure, and throws a
/// connection away at the first sign of trouble. Used on that one thread only.
final class PostgresLink {
    private let parameters: ConnectionParameters
    private let settings: PostgresSettings
    private let interrupt: Int32
    private let prepare: @Sendable (PostgresSession) throws -> Void
    private var session: PostgresSession?
    private var failures = 0
    private var pauseEnds: Int64 = 0
    private var lastFailure: any Error = PostgresError(.unreachable, "not connected")

    init(
        _ parameters: ConnectionParameters, _ settings: PostgresSettings, interrupt: Int32,
        prepare: @escaping @Sendable (PostgresSession) throws -> Void
    ) {
        self.parameters = parameters
        self.settings = settings
        self.interrupt = interrupt
        self.prepare = prepare
    }

    /// Does one job: at most twice, when an idle connection turned out to be dead.
    func serve(_ job: Job) {
        if session?.isStale() == true { session = nil }
        var isReused = session != nil
        while true {
            let live: PostgresSession
            do {
                live = try connected()
            } catch {
                return job.refuse(error)
            }
            guard !job.isAbandoned(), monotonicMilliseconds() < job.deadline else {
                return job.refuse(PostgresError(.timedOut, "connecting to PostgreSQL took too long"))
            }
            live.begin(deadline: job.deadline)
            let isAnswered = job.run(live, isReused)
            if live.isBroken || live.isSpoiled { session = nil }
            if isAnswered { return }
            isReused = false
        }
    }

    /// Drops the connection.
    func disconnect() { session = nil }

    private func connected() throws -> PostgresSession {
        if let session { return session }
        guard monotonicMilliseconds() >= pauseEnds else { throw lastFailure }
        do {
            let fresh = try connect()
            try prepare(fresh)
            guard !fresh.isBroken else { throw PostgresError(.connectionLost, "the connection to PostgreSQL was lost") }
            failures = 0
            session = fresh
            return fresh
        } catch {
            let pause = settings.firstPause << Int64(min(failures, 16))
            failures += 1
            pauseEnds = monotonicMilliseconds() + min(pause, settings.longestPause)
            lastFailure = error
            throw error
        }
    }

    private func connect() throws(PostgresError) -> PostgresSession {
        let texts = parameters.options.map { (strdup($0.keyword), strdup($0.value)) }
        defer {
            for (keyword, value) in texts {
                free(keyword)
                free(value)
            }
        }
        let keywords: [UnsafePointer<CChar>?] = texts.map { $0.0.map { UnsafePointer($0) } } + [nil]
        let values: [UnsafePointer<CChar>?] = texts.map { $0.1.map { UnsafePointer($0) } } + [nil]
        // Blocking, on this thread: libpq keeps its connect_timeout per address, tries the next address after it, and
        // resolves names. Callers are answered at their deadline all the same.
        guard let connection = PQconnectdbParams(keywords, values, 0) else {
            throw PostgresError(.unreachable, "out of memory")
        }
        guard PQstatus(connection) == CONNECTION_OK else {
            defer { PQfinish(connection) }
            let text = PQerrorMessage(connection).map { String(cString: $0) } ?? ""
            let password = PQpass(connection).map { String(cString: $0) }
            throw PostgresError(.unreachable, parameters.redacted(text, alsoHiding: password))
        }
        return PostgresSession(
            connection, interrupt: interrupt, settings: settings,
            deadline: monotonicMilliseconds() + settings.prepareTimeout)
    }
}
