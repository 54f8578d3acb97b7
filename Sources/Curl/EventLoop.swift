// SPDX-License-Identifier: Apache-2.0

internal import CCurl
internal import Glibc

/// Why no event loop could be started: the system has no thread or no descriptor left.
package struct EventLoopError: Error, Equatable, Sendable {
    /// The call that failed and the system's word for it.
    package var message: String
}

/// What an event loop holds at one moment, for metrics and for tests that look for leaks.
package struct EventLoopCounts: Equatable, Sendable {
    /// Requests and streams on their way.
    package var transfers: Int
    /// libcurl multi handles; at most two for each exchange, and one for each that waits for its last transfer.
    package var multis: Int
    /// Sleepers, deadlines and idle limits.
    package var timers: Int
}

/// One thread that waits on epoll, drives libcurl and runs jobs.
///
/// As a task executor it runs all jobs of the tasks that prefer it on its thread, one at a time; so a blocking call in
/// such a job holds up everything, requests included. SIGPIPE is blocked on the thread; no other signal is touched.
///
/// Lives until `shutdown()`: its thread keeps it. No job is ever lost: those that come later run one at a time on a
/// thread of their own, and find every request and every sleep refused.
package final class EventLoop: TaskExecutor {
    typealias Work = @Sendable (Reactor) -> Void

    private enum Item: Sendable {
        case job(UnownedJob)
        case work(Work)
    }

    private enum Phase {
        /// The thread takes items, and goes on until asked to stop.
        case running
        /// Asked to stop.
        case stopping
        /// The thread takes no more items.
        case ended
        /// As `ended`, and a thread started for late items is taking them.
        case trailing
    }

    private struct Inbox {
        var items: [Item] = []
        /// The thread will look here before it waits again: no need to wake it.
        var awake = false
        var phase = Phase.running
    }

    /// After this many rounds in a row the thread looks at its sockets again, however many items there are.
    private static let roundsBetweenPolls = 16
    /// At shutdown, what is not done after this many rounds (tasks that never end) is left to a thread of its own.
    private static let roundsAtTheEnd = 10_000

    private let inbox = Locked(Inbox())
    private let thread = Locked<pthread_t?>(nil)
    private let wakeup: CInt
    /// Only for the thread that takes items.
    private nonisolated(unsafe) let reactor: Reactor

    /// Starts the thread.
    /// - Parameter name: of the thread, as shown by the system; cut to 15 bytes.
    /// - Throws: `EventLoopError`.
    package init(name: String = "reprise-loop") throws {
        wakeup = eventfd(0, CInt(EFD_CLOEXEC) | CInt(EFD_NONBLOCK))
        guard wakeup >= 0 else { throw EventLoopError(message: "eventfd: \(errorText(errno))") }
        do {
            reactor = try Reactor(wakeup: wakeup)
        } catch {
            close(wakeup)
            throw error
        }
        let shortName = String(decoding: name.utf8.prefix(15), as: UTF8.self)
        let started = try startThread(name: shortName) { [self] in run() }
        thread.withLock { $0 = started }
    }

    deinit { close(wakeup) }

    /// Whether the caller runs on the loop's thread.
    package var isCurrent: Bool { reactor.isCurrent }

    /// Runs a job on the loop's thread. Safe from any thread.
    package func enqueue(_ job: consuming ExecutorJob) { post(.job(UnownedJob(job))) }

    /// Ends everything: pending requests, streams and sleeps end with `CancellationError`, jobs that are ready run, and
    /// the thread is joined. From the loop's own thread it only asks for the end. Safe to call more than once.
    package func shutdown() {
        let asked = inbox.withLock { inbox in
            guard inbox.phase == .running else { return false }
            inbox.phase = .stopping
            return true
        }
        if asked { wake() }
        thread.withLock { thread in
            guard let joined = thread else { return }
            thread = nil
            if isCurrent { pthread_detach(joined) } else { pthread_join(joined, nil) }
        }
    }

    /// What the loop holds just now.
    package func counts() async -> EventLoopCounts {
        await withCheckedContinuation { continuation in
            submit { continuation.resume(returning: $0.counts) }
        }
    }

    /// Runs `work` on the loop's thread, never within the caller and never within a call of libcurl. In order.
    func submit(_ work: @escaping Work) { post(.work(work)) }

    private func post(_ item: Item) {
        let startTrailing = inbox.withLock { inbox in
            inbox.items.append(item)
            switch inbox.phase {
            case .running, .stopping:
                // Under the lock: after the phase `ended` nobody writes there.
                if !inbox.awake {
                    inbox.awake = true
                    wake()
                }
                return false
            case .ended:
                inbox.phase = .trailing
                return true
            case .trailing:
                return false
            }
        }
        if startTrailing { trail() }
    }

    private func wake() {
        var one: UInt64 = 1
        _ = write(wakeup, &one, MemoryLayout<UInt64>.size)
    }

    private func run() {
        reactor.enter()
        var batch: [Item] = []
        while true {
            var rounds = 0
            while rounds < Self.roundsBetweenPolls, take(&batch) {
                perform(batch)
                rounds += 1
            }
            let (idle, stopping) = inbox.withLock { inbox in
                inbox.awake = !inbox.items.isEmpty
                return (!inbox.awake, inbox.phase == .stopping)
            }
            if stopping { break }
            let ready = reactor.wait(mayWait: idle)
            inbox.withLock { $0.awake = true }
            // Sockets before timers: what arrived while a long job held the thread is not late.
            reactor.handle(ready)
            reactor.performDue()
        }
        reactor.closeAll()
        var rounds = 0
        while rounds < Self.roundsAtTheEnd, take(&batch) {
            perform(batch)
            rounds += 1
        }
        reactor.leave()
        let left = inbox.withLock { inbox in
            inbox.phase = inbox.items.isEmpty ? .ended : .trailing
            return inbox.phase == .trailing
        }
        if left { trail() }
    }

    /// Swaps the waiting items in. `false` when there are none.
    private func take(_ batch: inout [Item]) -> Bool {
        batch.removeAll(keepingCapacity: true)
        inbox.withLock { inbox in
            inbox.awake = true
            swap(&inbox.items, &batch)
        }
        return !batch.isEmpty
    }

    private func perform(_ batch: [Item]) {
        for item in batch {
            switch item {
            case .job(let job): job.runSynchronously(on: asUnownedTaskExecutor())
            case .work(let work): work(reactor)
            }
        }
    }

    /// Runs late items on a new thread, or on this one if there is none to be had.
    private func trail() {
        let started = try? startThread(name: "reprise-trail") { [self] in
            reactor.enter()
            defer { reactor.leave() }
            drainTrail()
        }
        if let started { pthread_detach(started) } else { drainTrail() }
    }

    private func drainTrail() {
        var batch: [Item] = []
        while true {
            while take(&batch) { perform(batch) }
            let done = inbox.withLock { inbox in
                guard inbox.items.isEmpty else { return false }
                inbox.phase = .ended
                return true
            }
            if done { return }
        }
    }
}

/// Starts a thread. To be joined or detached by the caller.
private func startThread(name: String, _ body: @escaping @Sendable () -> Void) throws -> pthread_t {
    final class Start: Sendable {
        let name: String
        let body: @Sendable () -> Void
        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }
    let start = Unmanaged.passRetained(Start(name: name, body: body))
    var thread = pthread_t()
    let code = pthread_create(
        &thread, nil,
        { argument in
            guard let argument else { return nil }
            let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
            ccurl_prepare_thread(start.name)
            start.body()
            return nil
        }, start.toOpaque())
    guard code == 0 else {
        start.release()
        throw EventLoopError(message: "pthread_create: \(errorText(code))")
    }
    return thread
}

/// The system's word for an error number.
func errorText(_ number: CInt) -> String {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { buffer in
        guard let start = buffer.baseAddress, strerror_r(number, start, buffer.count) == 0 else {
            return "error \(number)"
        }
        return String(cString: start)
    }
}
