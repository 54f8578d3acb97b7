// SPDX-License-Identifier: Apache-2.0

internal import CZlib

/// The gzip format, by zlib.
enum Gzip {
    /// Some bytes as one gzip member, or nil when there is no memory.
    static func compress(_ bytes: [UInt8]) -> [UInt8]? {
        // zlib keeps the stream's address, so it must not move.
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        stream.initialize(to: z_stream())
        defer { stream.deallocate() }
        guard reprise_deflate_init(stream) == Z_OK else { return nil }
        defer { deflateEnd(stream) }
        var bytes = bytes
        var finished = false
        let result = [UInt8](unsafeUninitializedCapacity: Int(deflateBound(stream, uLong(bytes.count)))) {
            target, count in
            bytes.withUnsafeMutableBufferPointer { source in
                stream.pointee.next_in = source.baseAddress
                stream.pointee.avail_in = uInt(source.count)
                stream.pointee.next_out = target.baseAddress
                stream.pointee.avail_out = uInt(target.count)
                finished = deflate(stream, Z_FINISH) == Z_STREAM_END
                count = target.count - Int(stream.pointee.avail_out)
            }
        }
        return finished ? result : nil
    }
}

/// Decompresses one gzip member that comes in pieces, up to a number of bytes.
final class Inflater {
    /// Why decompressing stopped.
    enum Failure: Error {
        /// Not gzip, or damaged, or no memory.
        case malformed
        /// More bytes than expected.
        case oversize
        /// Bytes behind the member's end.
        case trailing
    }

    private let stream: UnsafeMutablePointer<z_stream>
    private let isReady: Bool
    private let expected: Int
    /// What has been decompressed.
    private(set) var output: [UInt8] = []
    /// Whether the member is complete, its checksum compared.
    private(set) var isFinished = false

    /// - Parameter expected: The most bytes to come out.
    init(expecting expected: Int) {
        self.expected = expected
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        isReady = reprise_inflate_init(stream) == Z_OK
    }

    deinit {
        if isReady { inflateEnd(stream) }
        stream.deallocate()
    }

    /// Takes a piece.
    func feed(_ input: [UInt8]) throws(Failure) {
        guard isReady else { throw .malformed }
        var input = input
        var failure: Failure?
        input.withUnsafeMutableBufferPointer { source in
            stream.pointee.next_in = source.baseAddress
            stream.pointee.avail_in = uInt(source.count)
            while failure == nil, stream.pointee.avail_in > 0 { failure = step() }
            stream.pointee.next_in = nil
            stream.pointee.avail_in = 0
        }
        if let failure { throw failure }
    }

    /// One call of zlib: as much input as fits into a buffer's worth of output.
    private func step() -> Failure? {
        if isFinished { return .trailing }
        let room = 64 << 10
        return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: room) { buffer in
            stream.pointee.next_out = buffer.baseAddress
            stream.pointee.avail_out = uInt(room)
            let status = inflate(stream, Z_NO_FLUSH)
            let written = room - Int(stream.pointee.avail_out)
            stream.pointee.next_out = nil
            guard status == Z_OK || status == Z_STREAM_END else { return .malformed }
            if output.count + written > expected { return .oversize }
            output += buffer[..<written]
            isFinished = status == Z_STREAM_END
            return nil
        }
    }
}
