// SPDX-License-Identifier: Apache-2.0

internal import CCurl
internal import Seams

/// A libcurl multi handle: a set of transfers and the connections they share. Belongs to the loop's thread.
///
/// An HTTP/2 connection that went dead (no answer within a deadline) goes on attracting requests in libcurl 7.88, and
/// at the connection cap `CURLOPT_FRESH_CONNECT` does not help. So a multi handle with such a connection is retired:
/// new requests go to another one, those on their way end on this one, and with the last of them it is freed.
final class CurlMulti {
    struct Options {
        /// At most this many connections; the rest of the requests wait. 0: as many as there are requests.
        var connections: Int
    }

    let id: UInt32
    /// When libcurl wants to be called though no socket is ready: nanoseconds on CLOCK_BOOTTIME.
    private(set) var deadline: Int64?
    private(set) var isRetired = false

    private let handle: UnsafeMutableRawPointer
    private unowned let reactor: Reactor
    private var active: [UnsafeMutableRawPointer: Transfer] = [:]
    private var isFreed = false

    /// - Throws: `ExchangeError`.
    init(id: UInt32, _ options: Options, reactor: Reactor) throws {
        guard CurlLibrary.isReady, let handle = curl_multi_init() else {
            throw ExchangeError(.unreachable, "libcurl has no memory for connections")
        }
        self.id = id
        self.handle = handle
        self.reactor = reactor
        let user = Unmanaged.passUnretained(self).toOpaque()
        _ = ccurl_multi_set_callbacks(handle, socketFunction, timerFunction, user)
        _ = ccurl_multi_set_long(handle, CURLMOPT_MAX_CONCURRENT_STREAMS, 1_000)
        _ = ccurl_multi_set_long(handle, CURLMOPT_MAX_HOST_CONNECTIONS, options.connections)
        // How many idle connections are kept.
        _ = ccurl_multi_set_long(handle, CURLMOPT_MAXCONNECTS, max(1, options.connections))
    }

    var activeCount: Int { active.count }

    func isDue(at now: Int64) -> Bool {
        guard let deadline else { return false }
        return deadline <= now
    }

    // MARK: Transfers

    /// - Throws: `ExchangeError`.
    func add(_ transfer: Transfer, _ easy: EasyHandle) throws {
        let code = curl_multi_add_handle(handle, easy.pointer)
        guard code == CURLM_OK else {
            throw ExchangeError(.unreachable, "libcurl: \(String(cString: curl_multi_strerror(code)))")
        }
        active[easy.pointer] = transfer
    }

    /// Takes a transfer out; its connection is closed if the answer was not complete and it can't be shared.
    /// Never within a callback of libcurl.
    func remove(_ easy: EasyHandle) {
        guard active.removeValue(forKey: easy.pointer) != nil else { return }
        curl_multi_remove_handle(handle, easy.pointer)
        if isRetired { freeIfDone() }
    }

    /// Takes no more transfers, and frees itself with the last one.
    func retire() {
        isRetired = true
        freeIfDone()
    }

    func endAll(_ error: any Error) {
        for transfer in Array(active.values) { transfer.end(.failure(error)) }
    }

    /// Lets the data of a paused transfer flow again.
    func resume(_ easy: EasyHandle) {
        guard let transfer = active[easy.pointer] else { return }
        let code = curl_easy_pause(easy.pointer, CURLPAUSE_CONT)
        if code != CURLE_OK { transfer.completed(code) }
        collect()
    }

    // MARK: Progress

    func socketReady(_ socket: CInt, _ events: UInt32) {
        var mask: CInt = 0
        if events & EPOLLIN.rawValue != 0 { mask |= CInt(CURL_CSELECT_IN) }
        if events & EPOLLOUT.rawValue != 0 { mask |= CInt(CURL_CSELECT_OUT) }
        if events & (EPOLLERR.rawValue | EPOLLHUP.rawValue) != 0 { mask |= CInt(CURL_CSELECT_ERR) }
        act(socket, mask)
    }

    func timePassed() {
        deadline = nil
        act(CURL_SOCKET_TIMEOUT, 0)
    }

    private func act(_ socket: CInt, _ mask: CInt) {
        guard !isFreed else { return }
        var running: CInt = 0
        curl_multi_socket_action(handle, socket, mask, &running)
        collect()
    }

    /// Ends the transfers that libcurl reports as done.
    private func collect() {
        var code = CURLE_OK
        while !isFreed, let easy = ccurl_multi_next_finished(handle, &code) {
            // Ending it takes it out of this handle.
            active[easy]?.completed(code)
        }
    }

    private func freeIfDone() {
        guard active.isEmpty else { return }
        free()
        reactor.remove(self)
    }

    private func free() {
        guard !isFreed else { return }
        isFreed = true
        deadline = nil
        curl_multi_cleanup(handle)
    }

    // MARK: What libcurl asks for

    fileprivate func timerChanged(_ milliseconds: Int) {
        deadline = milliseconds < 0 ? nil : reactor.now + Int64(milliseconds) * 1_000_000
    }

    fileprivate func socketChanged(_ socket: CInt, _ what: CInt, known: Bool) {
        var events: UInt32 = 0
        if what == CURL_POLL_IN || what == CURL_POLL_INOUT { events |= EPOLLIN.rawValue }
        if what == CURL_POLL_OUT || what == CURL_POLL_INOUT { events |= EPOLLOUT.rawValue }
        reactor.watch(socket, for: id, events: events, known: known)
        // Any value but NULL marks the socket as known; while freeing the handle the table is going away.
        guard what != CURL_POLL_REMOVE, !known, !isFreed else { return }
        curl_multi_assign(handle, socket, handle)
    }
}

private func timerFunction(
    _ multi: UnsafeMutableRawPointer?, _ milliseconds: Int, _ user: UnsafeMutableRawPointer?
) -> CInt {
    guard let user else { return 0 }
    Unmanaged<CurlMulti>.fromOpaque(user).takeUnretainedValue().timerChanged(milliseconds)
    return 0
}

private func socketFunction(
    _ easy: UnsafeMutableRawPointer?, _ socket: CInt, _ what: CInt, _ user: UnsafeMutableRawPointer?,
    _ known: UnsafeMutableRawPointer?
) -> CInt {
    guard let user else { return 0 }
    Unmanaged<CurlMulti>.fromOpaque(user).takeUnretainedValue().socketChanged(socket, what, known: known != nil)
    return 0
}

/// libcurl's process-wide state, set up once and never torn down.
enum CurlLibrary {
    static let isReady = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK
}
