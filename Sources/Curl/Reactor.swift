// SPDX-License-Identifier: Apache-2.0

internal import CCurl
internal import Glibc

/// The event loop's inside: descriptors, timers and libcurl's multi handles. Everything here belongs to the one thread
/// that takes items from the loop's inbox, except `isCurrent`.
final class Reactor {
    private static let wakeupTag = UInt64.max
    private static let timerTag = UInt64.max - 1
    private static let eventsPerPoll = 64

    /// No new transfers, no new timers.
    private(set) var isClosed = false

    private let owner = Locked<pthread_t?>(nil)
    private let wakeup: CInt
    private let epoll: CInt
    /// A timerfd on CLOCK_BOOTTIME: unlike epoll's own timeout it counts the time the machine is suspended.
    private let clock: CInt
    /// What `clock` is armed for; never later than the earliest timer.
    private var armedFor: Int64?
    private var timers = TimerHeap()
    private var multis: [UInt32: CurlMulti] = [:]
    private var lastMulti: UInt32 = 0
    private let events: UnsafeMutableBufferPointer<epoll_event>

    /// - Throws: `EventLoopError`.
    init(wakeup: CInt) throws {
        self.wakeup = wakeup
        let epoll = epoll_create1(CInt(EPOLL_CLOEXEC))
        guard epoll >= 0 else { throw EventLoopError(message: "epoll_create1: \(errorText(errno))") }
        let clock = timerfd_create(CLOCK_BOOTTIME, CInt(TFD_CLOEXEC) | CInt(TFD_NONBLOCK))
        guard clock >= 0 else {
            defer { close(epoll) }
            throw EventLoopError(message: "timerfd_create: \(errorText(errno))")
        }
        guard ccurl_epoll_control(epoll, EPOLL_CTL_ADD, wakeup, EPOLLIN.rawValue, Self.wakeupTag) == 0,
            ccurl_epoll_control(epoll, EPOLL_CTL_ADD, clock, EPOLLIN.rawValue, Self.timerTag) == 0
        else {
            defer {
                close(epoll)
                close(clock)
            }
            throw EventLoopError(message: "epoll_ctl: \(errorText(errno))")
        }
        self.epoll = epoll
        self.clock = clock
        events = .allocate(capacity: Self.eventsPerPoll)
    }

    deinit {
        close(epoll)
        close(clock)
        events.deallocate()
    }

    var counts: EventLoopCounts {
        EventLoopCounts(
            transfers: multis.values.reduce(0) { $0 + $1.activeCount }, multis: multis.count, timers: timers.count)
    }

    // MARK: The thread

    /// Whether the caller runs on the thread that has entered. Safe from any thread.
    var isCurrent: Bool {
        owner.withLock { owner in
            guard let owner else { return false }
            return pthread_equal(owner, pthread_self()) != 0
        }
    }

    func enter() { owner.withLock { $0 = pthread_self() } }
    func leave() { owner.withLock { $0 = nil } }

    // MARK: Timers

    /// Nanoseconds on CLOCK_BOOTTIME.
    var now: Int64 { ccurl_clock(CLOCK_BOOTTIME) }

    /// Has `action` run on the thread at or soon after a moment in nanoseconds on CLOCK_BOOTTIME.
    func schedule(at deadline: Int64, _ action: @escaping () -> Void) -> LoopTimer {
        let timer = LoopTimer(deadline: deadline, action: action)
        timers.insert(timer)
        return timer
    }

    func withdraw(_ timer: LoopTimer) { timers.remove(timer) }

    /// Runs what is due: timers, and libcurl's own.
    func performDue() {
        let now = now
        while let timer = timers.popDue(at: now) { timer.action() }
        for multi in multis.values where multi.isDue(at: now) { multi.timePassed() }
    }

    // MARK: Waiting

    /// Waits for sockets, timers or a wake-up; without `mayWait` only looks. Answers with how many there are to handle.
    func wait(mayWait: Bool) -> Int {
        let timeout = mayWait ? pollTimeout() : 0
        if mayWait { armClock() }
        return max(0, Int(epoll_wait(epoll, events.baseAddress, CInt(Self.eventsPerPoll), timeout)))
    }

    func handle(_ count: Int) {
        for index in 0..<count {
            var event = events[index]
            let tag = ccurl_event_tag(&event)
            switch tag {
            case Self.wakeupTag: drain(wakeup)
            case Self.timerTag:
                drain(clock)
                armedFor = nil
            default:
                // The multi handle may have gone in this very round.
                multis[UInt32(tag >> 32)]?.socketReady(CInt(truncatingIfNeeded: tag), ccurl_event_mask(&event))
            }
        }
    }

    /// Milliseconds until libcurl wants to be called; -1: for ever.
    private func pollTimeout() -> CInt {
        guard let next = multis.values.compactMap(\.deadline).min() else { return -1 }
        let wait = next - now
        guard wait > 0 else { return 0 }
        return CInt(min((wait + 999_999) / 1_000_000, 60_000))
    }

    /// Sees to it that the clock wakes us for the earliest timer. An earlier wake-up is left as it is: it costs less
    /// than a system call for each request's deadline.
    private func armClock() {
        guard let earliest = timers.earliest else { return }
        if let armedFor, armedFor <= earliest { return }
        armedFor = earliest
        _ = ccurl_arm_timer(clock, max(1, earliest))
    }

    private func drain(_ descriptor: CInt) {
        var count: UInt64 = 0
        _ = read(descriptor, &count, MemoryLayout<UInt64>.size)
    }

    // MARK: libcurl

    /// A new multi handle, kept here until it is retired and its last transfer has ended.
    /// - Throws: `ExchangeError` when libcurl has no memory left or the loop has ended.
    func makeMulti(_ options: CurlMulti.Options) throws -> CurlMulti {
        lastMulti &+= 1
        let multi = try CurlMulti(id: lastMulti, options, reactor: self)
        multis[lastMulti] = multi
        return multi
    }

    func remove(_ multi: CurlMulti) { multis[multi.id] = nil }

    /// Watches a socket for a multi handle, or stops watching it. `known`: it was watched before.
    func watch(_ socket: CInt, for multi: UInt32, events: UInt32, known: Bool) {
        let tag = UInt64(multi) << 32 | UInt64(UInt32(bitPattern: socket))
        guard events != 0 else {
            _ = ccurl_epoll_control(epoll, EPOLL_CTL_DEL, socket, 0, tag)
            return
        }
        let (first, second) = known ? (EPOLL_CTL_MOD, EPOLL_CTL_ADD) : (EPOLL_CTL_ADD, EPOLL_CTL_MOD)
        if ccurl_epoll_control(epoll, first, socket, events, tag) != 0 {
            _ = ccurl_epoll_control(epoll, second, socket, events, tag)
        }
    }

    /// Ends all transfers with `CancellationError` and all sleeps, and takes no new ones.
    func closeAll() {
        isClosed = true
        for multi in multis.values {
            multi.endAll(CancellationError())
            multi.retire()
        }
        multis = [:]
        for timer in timers.removeAll() { timer.action() }
    }
}
