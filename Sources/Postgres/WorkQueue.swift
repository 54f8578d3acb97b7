// SPDX-License-Identifier: Apache-2.0

import CPostgres
import Glibc

/// One call to the connection's thread.
struct Job: Sendable {
    /// When it is too late, in monotonic milliseconds.
    let deadline: Int64
    /// Whether nobody waits for the answer any more.
    let isAbandoned: @Sendable () -> Bool
    /// Does the work. Returns false, without having answered, when the connection was lost before anything but BEGIN
    /// was sent and `mayRepeat` allows another try.
    let run: @Sendable (_ session: PostgresSession, _ mayRepeat: Bool) -> Bool
    /// Answers with an error instead.
    let refuse: @Sendable (any Error) -> Void
}

/// Jobs in order, handed from any thread to the connection's own.
final class WorkQueue: @unchecked Sendable {
    // Unchecked: `jobs` and `isClosed` are only touched within the monitor.
    private let monitor = Monitor()
    private var jobs: [Job] = []
    private var isClosed = false
    /// Readable once the queue is closed, so that waiting for the server ends too. -1 if there was no descriptor left.
    let interrupt: Int32

    init() { interrupt = eventfd(0, Int32(EFD_CLOEXEC)) }

    deinit { if interrupt >= 0 { Glibc.close(interrupt) } }

    /// Puts a job in; refuses it when the queue is closed.
    func submit(_ job: Job) {
        let accepted = monitor.locked {
            guard !isClosed else { return false }
            jobs.append(job)
            monitor.signal()
            return true
        }
        if !accepted { job.refuse(PostgresError(.closed, "the connection is closed")) }
    }

    /// The next job; waits for one. `nil` once the queue is closed.
    func next() -> Job? {
        monitor.locked {
            while jobs.isEmpty && !isClosed { monitor.wait() }
            return isClosed ? nil : jobs.removeFirst()
        }
    }

    /// Ends the queue and refuses what waits in it. Does not wait for the job that is running.
    func close() {
        let left = monitor.locked {
            guard !isClosed else { return [Job]() }
            isClosed = true
            defer { jobs = [] }
            monitor.signal()
            return jobs
        }
        if interrupt >= 0 { eventfd_write(interrupt, 1) }
        for job in left { job.refuse(PostgresError(.closed, "the connection is closed")) }
    }
}

/// The answer to one call: whoever finishes it first, wins.
final class Answer<Value: Sendable>: @unchecked Sendable {
    // Unchecked: the state is only touched within the monitor.
    private enum State {
        case open
        case awaited(CheckedContinuation<Value, any Error>)
        case early(Result<Value, any Error>)
        case finished
    }

    private let monitor = Monitor()
    private var state = State.open

    var isFinished: Bool {
        monitor.locked {
            switch state {
            case .open, .awaited: false
            case .early, .finished: true
            }
        }
    }

    /// Sets who waits.
    func await(_ continuation: CheckedContinuation<Value, any Error>) {
        let early: Result<Value, any Error>? = monitor.locked {
            switch state {
            case .early(let result):
                state = .finished
                return result
            case .open, .awaited, .finished:
                state = .awaited(continuation)
                return nil
            }
        }
        if let early { continuation.resume(with: early) }
    }

    /// Answers, unless someone did already.
    func finish(_ result: Result<Value, any Error>) {
        let waiting: CheckedContinuation<Value, any Error>? = monitor.locked {
            switch state {
            case .open:
                state = .early(result)
                return nil
            case .awaited(let continuation):
                state = .finished
                return continuation
            case .early, .finished:
                return nil
            }
        }
        waiting?.resume(with: result)
    }
}
