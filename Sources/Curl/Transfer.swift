// SPDX-License-Identifier: Apache-2.0

internal import CCurl
internal import Seams

/// Where an answer goes. Called on the loop's thread.
protocol TransferSink: AnyObject {
    /// The final head has arrived (no 1xx, no proxy's).
    func headArrived(_ head: HTTPResponse)
    /// A piece of the body.
    func take(_ bytes: UnsafeRawBufferPointer) -> TakeResult
    /// The last call: the body is complete, or why not.
    func ended(_ result: Result<Void, any Error>)
}

enum TakeResult {
    case taken
    /// Not now: the same bytes come again after `Transfer.resume`.
    case pause
    /// Never: the transfer ends with this.
    case refuse(ExchangeError)
}

/// One request on its way and the answer's head. Belongs to the loop's thread from `begin` on.
final class Transfer: @unchecked Sendable {
    /// Header lines of one answer, all together.
    private static let headerLimit = 256 << 10

    private let request: HTTPRequest
    private let connections: ConnectionPool
    private let streaming: Bool
    private let deadline: Int64
    private var sink: (any TransferSink)?

    private var easy: EasyHandle?
    private var multi: CurlMulti?
    private unowned var reactor: Reactor?
    private var timer: LoopTimer?
    private var hasEnded = false
    /// libcurl is about to send the request on a connection: from now on the server may act on it.
    private var isIssued = false
    private var replayRefused = false
    /// Why a callback ended the transfer.
    private var refusal: ExchangeError?

    private var head = HTTPResponse(status: 0)
    private var headBytes = 0
    private var isHeadComplete = false
    private var isPaused = false
    private var lastActivity: Int64 = 0

    /// - Parameter streaming: on an HTTP/1.1 connection of its own; the deadline is for the head alone.
    init(_ request: HTTPRequest, _ connections: ConnectionPool, streaming: Bool, sink: any TransferSink) {
        self.request = request
        self.connections = connections
        self.streaming = streaming
        self.sink = sink
        let (sum, overflow) = ccurl_clock(CLOCK_BOOTTIME).addingReportingOverflow(nanoseconds(request.timeout))
        deadline = overflow ? .max : sum
    }

    func begin(_ reactor: Reactor) {
        guard !hasEnded else { return }
        guard !reactor.isClosed else {
            return end(.failure(ExchangeError(.unreachable, "not sent: the event loop has ended")))
        }
        guard request.timeout > 0 else { return end(.failure(ExchangeError(.timedOut, "not sent: no time left"))) }
        self.reactor = reactor
        do {
            let easy = try connections.takeEasy(streaming: streaming)
            self.easy = easy
            try connections.prepare(easy, request)
            let user = Unmanaged.passUnretained(self).toOpaque()
            try easy.check(
                ccurl_set_data_callback(easy.pointer, CURLOPT_HEADERFUNCTION, CURLOPT_HEADERDATA, headerLine, user))
            try easy.check(
                ccurl_set_data_callback(easy.pointer, CURLOPT_WRITEFUNCTION, CURLOPT_WRITEDATA, bodyBytes, user))
            try easy.check(ccurl_set_before_request(easy.pointer, beforeRequest, user))
            let multi = try connections.takeMulti(streaming: streaming, reactor)
            try multi.add(self, easy)
            self.multi = multi
        } catch {
            return end(.failure(error))
        }
        timer = reactor.schedule(at: deadline) { [unowned self] in deadlinePassed() }
    }

    /// Ends the transfer for its user. Also right before `begin` and after the end.
    func cancel() {
        guard !hasEnded else { return }
        let wasIssued = isIssued
        let multi = multi
        end(.failure(CancellationError()))
        // libcurl 7.88 sends the reset of an HTTP/2 stream only with the connection's next traffic. If there is none
        // to come, close the connection: the server must not go on with what nobody waits for.
        if wasIssued, !streaming, let multi, multi.activeCount == 0 { connections.retire(multi) }
    }

    /// Lets a paused body flow again.
    func resume() {
        guard !hasEnded, isPaused, let easy, let multi else { return }
        isPaused = false
        if let reactor { lastActivity = reactor.now }
        multi.resume(easy)
    }

    /// libcurl is done with it.
    func completed(_ code: CURLcode) {
        guard let easy else { return }
        connections.countOpened(easy.connectionsOpened)
        if let refusal { return end(.failure(refusal)) }
        guard code != CURLE_OK else { return end(.success(()), reusable: true) }
        end(.failure(exchangeError(code, easy.errorText, isIssued: isIssued, replayRefused: replayRefused)))
    }

    /// Never within a callback of libcurl.
    func end(_ result: Result<Void, any Error>, reusable: Bool = false) {
        guard !hasEnded else { return }
        hasEnded = true
        if let timer { reactor?.withdraw(timer) }
        timer = nil
        if let easy {
            multi?.remove(easy)
            if reusable, !streaming { connections.giveBack(easy) }
        }
        easy = nil
        multi = nil
        let sink = sink
        self.sink = nil
        sink?.ended(result)
    }

    // MARK: Time

    private func deadlinePassed() {
        timer = nil
        if let multi, !streaming { connections.retire(multi) }
        let error =
            isIssued
            ? ExchangeError(.timedOut, "no answer within \(request.timeout) ms")
            : ExchangeError(.unreachable, "no connection within \(request.timeout) ms; not sent")
        end(.failure(error))
    }

    /// From the head on a stream may take for ever, but be silent only so long.
    private func watchSilence() {
        if let timer { reactor?.withdraw(timer) }
        timer = nil
        guard let limit = request.idleTimeout, let reactor else { return }
        let (sum, overflow) = lastActivity.addingReportingOverflow(nanoseconds(limit))
        timer = reactor.schedule(at: overflow ? .max : sum) { [unowned self] in
            timer = nil
            // While the consumer lags it is us who are silent.
            if isPaused { lastActivity = reactor.now }
            guard reactor.now - lastActivity >= nanoseconds(limit) else { return watchSilence() }
            end(.failure(ExchangeError(.timedOut, "the stream was silent for \(limit) ms")))
        }
    }

    // MARK: Callbacks of libcurl

    fileprivate func requestIsAboutToBeSent() -> CInt {
        // libcurl sends a request again when a connection it had kept turns out to be closed. The server may have
        // acted on the first one, so only requests that change nothing may go twice.
        if isIssued, request.method != .get, request.method != .head {
            replayRefused = true
            return CInt(CURL_PREREQFUNC_ABORT)
        }
        isIssued = true
        return CInt(CURL_PREREQFUNC_OK)
    }

    fileprivate func receive(headerLine line: UnsafeRawBufferPointer) -> Int {
        headBytes += line.count
        guard headBytes <= Self.headerLimit else {
            refusal = ExchangeError(.connectionLost, "the answer's headers exceed \(Self.headerLimit) bytes")
            return 0
        }
        // After the head only trailers come this way.
        guard !isHeadComplete else { return line.count }
        let text = String(decoding: line, as: UTF8.self)
        if let status = statusCode(text) {
            head = HTTPResponse(status: status)
        } else if let header = headerField(text) {
            head.headers.append(header)
        } else if head.status >= 200 {
            isHeadComplete = true
            if streaming, let reactor {
                lastActivity = reactor.now
                watchSilence()
            }
            sink?.headArrived(head)
        }
        return line.count
    }

    fileprivate func receive(body bytes: UnsafeRawBufferPointer) -> Int {
        guard let sink else { return 0 }
        switch sink.take(bytes) {
        case .taken:
            if streaming, let reactor { lastActivity = reactor.now }
            return bytes.count
        case .pause:
            isPaused = true
            return Int(CURL_WRITEFUNC_PAUSE)
        case .refuse(let error):
            refusal = error
            return 0
        }
    }
}

private func headerLine(
    _ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ user: UnsafeMutableRawPointer?
) -> Int {
    guard let user else { return 0 }
    return Unmanaged<Transfer>.fromOpaque(user).takeUnretainedValue()
        .receive(headerLine: UnsafeRawBufferPointer(start: bytes, count: size * count))
}

private func bodyBytes(
    _ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ user: UnsafeMutableRawPointer?
) -> Int {
    guard let user else { return 0 }
    return Unmanaged<Transfer>.fromOpaque(user).takeUnretainedValue()
        .receive(body: UnsafeRawBufferPointer(start: bytes, count: size * count))
}

private func beforeRequest(
    _ user: UnsafeMutableRawPointer?, _ remote: UnsafeMutablePointer<CChar>?, _ local: UnsafeMutablePointer<CChar>?,
    _ remotePort: CInt, _ localPort: CInt
) -> CInt {
    guard let user else { return CInt(CURL_PREREQFUNC_ABORT) }
    return Unmanaged<Transfer>.fromOpaque(user).takeUnretainedValue().requestIsAboutToBeSent()
}
