// SPDX-License-Identifier: Apache-2.0

package import Resources
package import Seams

/// Why a call to the API server did not do what it was asked to.
///
/// All texts are bounded and free of control characters. They come from the server's `Status`; where the request
/// carried a Secret's values, a message that might repeat them is withheld.
package struct APIError: Error, Equatable, Sendable {
    package enum Code: String, CaseIterable, Sendable {
        /// The object (for a create: its namespace) does not exist.
        case notFound
        /// A 404 that says nothing about the object: the kind or the subresource is not served (CRD missing), or
        /// something else answered.
        case unknownResource
        case alreadyExists
        /// The resourceVersion is no longer the current one, or a delete's uid precondition did not hold.
        case conflict
        /// Another incarnation than the one that was read, or a JSON patch's `test` did not hold.
        case preconditionFailed
        /// The object breaks a validation rule; `causes` name the fields.
        case invalid
        case badRequest
        case forbidden
        case unauthorized
        case tooLarge
        /// The verb, the media type or the subresource is not supported by this server for this kind.
        case unsupported
        case tooManyRequests
        /// A list's continuation or a watch's resourceVersion is too old: list again.
        case expired
        /// A container whose log was asked for has not started yet.
        case notReady
        case serverTimeout
        case serverError
        /// No connection: the request was not sent.
        case unreachable
        case timedOut
        case connectionLost
        case tls
        /// The answer is not what the API promises. With a 2xx status the call itself took place.
        case undecodable
        /// The answer is larger than the client takes. With a 2xx status the call itself took place.
        case answerTooLarge
        /// A watch line is longer than the client takes. The watch has ended: list again.
        case lineTooLong
        /// The request was refused on this side: a name that is none, or a missing precondition.
        case invalidRequest
    }

    /// One field that the server objects to.
    package struct Cause: Equatable, Sendable {
        package var reason: String
        package var field: String
        package var message: String

        package init(reason: String, field: String, message: String) {
            self.reason = cleaned(reason, 64)
            self.field = cleaned(field, 256)
            self.message = cleaned(message, 256)
        }
    }

    package var code: Code
    /// `nil` when there was no answer. For an ERROR event of a watch: the code inside it.
    package var httpStatus: Int?
    /// The server's machine-readable reason; empty when it gave none.
    package var reason: String
    /// For people and logs.
    package var message: String
    /// At most sixteen.
    package var causes: [Cause]
    /// How long the server asks to wait, at most an hour.
    package var retryAfter: Milliseconds?
    /// Whether a write may have taken place all the same. Always false for reads.
    package var outcomeUnknown: Bool

    package init(
        _ code: Code, _ message: String, httpStatus: Int? = nil, reason: String = "", causes: [Cause] = [],
        retryAfter: Milliseconds? = nil, outcomeUnknown: Bool = false
    ) {
        self.code = code
        self.httpStatus = httpStatus
        self.reason = cleaned(reason, 64)
        self.message = cleaned(message, 1_024)
        self.causes = Array(causes.prefix(16))
        self.retryAfter = retryAfter
        self.outcomeUnknown = outcomeUnknown
    }

    /// What to do about it.
    ///
    /// `forbidden` is a retry: roles and quotas change without the object changing. A namespace that is going away
    /// (403 with the cause `NamespaceTerminating`) does not come back, so that one is terminal.
    package var disposition: Disposition {
        switch code {
        case .alreadyExists, .conflict, .preconditionFailed, .notFound:
            .conflict
        case .invalid, .badRequest, .tooLarge, .unsupported, .answerTooLarge, .invalidRequest:
            .terminal
        case .forbidden:
            isNamespaceTerminating ? .terminal : .retry(after: retryAfter)
        case .unknownResource, .unauthorized, .tooManyRequests, .expired, .notReady, .serverTimeout, .serverError,
            .unreachable, .timedOut, .connectionLost, .tls, .lineTooLong, .undecodable:
            .retry(after: retryAfter)
        }
    }

    /// Whether somebody has to do something before the same can succeed: grant a right, install a kind, mend an object. It is
    /// repeated all the same, later: nothing tells when that was done.
    package var isRefusal: Bool {
        switch code {
        case .forbidden, .unauthorized, .unknownResource, .undecodable: true
        default: disposition == .terminal
        }
    }

    /// Whether a create was refused because its namespace is being deleted.
    package var isNamespaceTerminating: Bool {
        code == .forbidden && causes.contains { $0.reason == "NamespaceTerminating" }
    }
}

extension APIError: CustomStringConvertible {
    /// `conflict (409 Conflict): Operation cannot be fulfilled on …`.
    package var description: String {
        let status = [httpStatus.map { String($0) }, reason.isEmpty ? nil : reason].compactMap { $0 }
        let head = status.isEmpty ? code.rawValue : "\(code.rawValue) (\(status.joined(separator: " ")))"
        return outcomeUnknown ? "\(head), outcome unknown: \(message)" : "\(head): \(message)"
    }
}

/// Text of at most `limit` characters without control characters, from text that came from outside.
func cleaned(_ text: String, _ limit: Int) -> String {
    var result = String.UnicodeScalarView()
    for (count, scalar) in text.unicodeScalars.enumerated() {
        if count == limit { break }
        let isSeparator = scalar.value == 0x2028 || scalar.value == 0x2029
        let isControl = scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) || isSeparator
        result.append(isControl ? " " : scalar)
    }
    return String(result)
}
