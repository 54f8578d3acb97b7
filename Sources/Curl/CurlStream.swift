// SPDX-License-Identifier: Apache-2.0

internal import Seams

/// The body of an answer as it arrives. Closed when it is closed, cancelled or dropped.
final class CurlStream: HTTPStream {
    let head: HTTPResponse
    private let buffer: StreamBuffer
    private let transfer: Transfer
    private let loop: EventLoop

    init(head: HTTPResponse, buffer: StreamBuffer, transfer: Transfer, loop: EventLoop) {
        self.head = head
        self.buffer = buffer
        self.transfer = transfer
        self.loop = loop
    }

    deinit { close() }

    /// All that has arrived since the last call, as one piece. Once it has thrown, or after `close()`, it throws the
    /// same again. Cancelling the waiting task closes the stream.
    func next() async throws -> [UInt8]? {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let mayFlow = buffer.next(continuation)
                if mayFlow { loop.submit { [transfer] _ in transfer.resume() } }
            }
        } onCancel: {
            close()
        }
    }

    func close() {
        guard buffer.close() else { return }
        loop.submit { [transfer] _ in transfer.cancel() }
    }
}

/// What lies between a stream's transfer, on the loop's thread, and its consumer, on any.
final class StreamBuffer: TransferSink, Sendable {
    private struct State {
        var bytes: [UInt8] = []
        /// The transfer was told to wait and will not go on by itself.
        var isPaused = false
        /// No more bytes will come, and why.
        var end: Result<Void, any Error>?
        var consumer: CheckedContinuation<[UInt8]?, any Error>?
        var opener: CheckedContinuation<HTTPResponse, any Error>?
    }

    private let limit: Int
    private let state = Locked(State())

    /// - Parameter limit: from how many waiting bytes on the transfer pauses.
    init(limit: Int) { self.limit = limit }

    // MARK: On the loop's thread

    func begin(_ opener: CheckedContinuation<HTTPResponse, any Error>) {
        let early: (any Error)? = state.withLock { state in
            if case .failure(let error) = state.end { return error }
            state.opener = opener
            return nil
        }
        if let early { opener.resume(throwing: early) }
    }

    func headArrived(_ head: HTTPResponse) {
        let opener = state.withLock { state in
            defer { state.opener = nil }
            return state.opener
        }
        opener?.resume(returning: head)
    }

    func take(_ bytes: UnsafeRawBufferPointer) -> TakeResult {
        let (result, consumer): (TakeResult, CheckedContinuation<[UInt8]?, any Error>?) = state.withLock { state in
            if let consumer = state.consumer {
                state.consumer = nil
                return (.taken, consumer)
            }
            guard state.bytes.count < limit else {
                state.isPaused = true
                return (.pause, nil)
            }
            state.bytes.append(contentsOf: bytes)
            return (.taken, nil)
        }
        consumer?.resume(returning: [UInt8](bytes))
        return result
    }

    func ended(_ result: Result<Void, any Error>) {
        let (opener, consumer) = state.withLock { state in
            if state.end == nil { state.end = result }
            defer {
                state.opener = nil
                state.consumer = nil
            }
            return (state.opener, state.consumer)
        }
        switch result {
        case .success:
            // libcurl does not end well without a head.
            opener?.resume(throwing: ExchangeError(.connectionLost, "no answer"))
            consumer?.resume(returning: nil)
        case .failure(let error):
            opener?.resume(throwing: error)
            consumer?.resume(throwing: error)
        }
    }

    // MARK: The consumer

    /// Answers the consumer now, or when something arrives. `true`: the transfer waits to be resumed.
    func next(_ consumer: CheckedContinuation<[UInt8]?, any Error>) -> Bool {
        let (answer, mayFlow): (Result<[UInt8]?, any Error>?, Bool) = state.withLock { state in
            if !state.bytes.isEmpty {
                var piece: [UInt8] = []
                swap(&piece, &state.bytes)
                defer { state.isPaused = false }
                return (.success(piece), state.isPaused)
            }
            if let end = state.end { return (end.map { nil }, false) }
            if state.consumer != nil {
                return (.failure(ExchangeError(.invalidRequest, "a stream has one consumer at a time")), false)
            }
            state.consumer = consumer
            return (nil, false)
        }
        if let answer { consumer.resume(with: answer) }
        return mayFlow
    }

    /// Drops what has not been consumed. `false` when it was closed before.
    func close() -> Bool {
        let (first, consumer): (Bool, CheckedContinuation<[UInt8]?, any Error>?) = state.withLock { state in
            state.bytes = []
            if case .failure = state.end { return (false, nil) }
            state.end = .failure(CancellationError())
            defer { state.consumer = nil }
            return (true, state.consumer)
        }
        consumer?.resume(throwing: CancellationError())
        return first
    }
}
