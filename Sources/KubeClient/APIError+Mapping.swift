// SPDX-License-Identifier: Apache-2.0

import JSON
import Resources
import Seams

/// `v1` Status, as far as errors are told apart by it.
struct StatusBody: Decodable {
    var kind: String?
    var message: String?
    var reason: String?
    var code: Int?
    var details: Details?

    struct Details: Decodable {
        var name: String?
        var kind: String?
        var retryAfterSeconds: Int64?
        var causes: [Cause]?
    }

    struct Cause: Decodable {
        var reason: String?
        var message: String?
        var field: String?
    }
}

/// What must be known of a request to read the error that it got.
struct RequestTraits: Hashable {
    var isWrite: Bool
    /// A JSON patch whose failed `test` and whose bad path look alike (422 without causes).
    var isJSONPatch = false
    /// The request's body holds secret values, which a message about the body may repeat.
    var isSecret: Bool
    /// The object that a 404 must name.
    var object: String?

    init(_ request: HTTPRequest, isSecret: Bool = false, object: String? = nil) {
        self.isWrite = request.method != .get && request.method != .head
        self.isJSONPatch = request.headers.contains { $0.value == Patch.Format.json.rawValue }
        self.isSecret = isSecret
        self.object = object
    }
}

extension APIError {
    /// The error that an answer means which is no success.
    init(_ response: HTTPResponse, to traits: RequestTraits) {
        let body = try? JSON.decode(StatusBody.self, from: response.body)
        let status = body?.kind == "Status" ? body : nil
        self.init(
            status ?? StatusBody(), httpStatus: response.status, isWrite: traits.isWrite,
            isJSONPatch: traits.isJSONPatch)
        if code == .notFound, let object = traits.object, status?.details?.name != object { code = .unknownResource }
        if status == nil { message = "HTTP \(response.status) without a Status from the API server" }
        if let header = response.header("Retry-After"), let wait = Self.wait(header, date: response.header("Date")) {
            retryAfter = wait
        }
        if traits.isSecret, [.badRequest, .invalid, .serverError, .tooLarge, .unsupported].contains(code) {
            message = "(withheld: it may repeat the secret)"
            causes = causes.map { Cause(reason: $0.reason, field: $0.field, message: "") }
        }
    }

    /// The error that a Status means. `httpStatus` is the code inside it unless the answer had one.
    init(_ status: StatusBody, httpStatus: Int? = nil, isWrite: Bool, isJSONPatch: Bool = false) {
        let number = httpStatus ?? status.code ?? 500
        let causes = (status.details?.causes ?? []).prefix(16).map {
            Cause(reason: $0.reason ?? "", field: $0.field ?? "", message: $0.message ?? "")
        }
        let code = Self.code(number, status, causes, isJSONPatch: isJSONPatch)
        self.init(
            code, status.message ?? "", httpStatus: number, reason: status.reason ?? "", causes: causes,
            retryAfter: status.details?.retryAfterSeconds.flatMap { $0 > 0 ? Self.milliseconds($0) : nil },
            outcomeUnknown: isWrite && number >= 500)
    }

    /// The error behind whatever an exchange or this module threw; cancellation stays what it is.
    static func typed(_ error: any Error, isWrite: Bool) -> any Error {
        if error is APIError || error is CancellationError { return error }
        guard let error = error as? ExchangeError else {
            return APIError(.connectionLost, "the exchange failed: \(type(of: error))", outcomeUnknown: isWrite)
        }
        return switch error.code {
        case .unreachable: APIError(.unreachable, error.message)
        case .timedOut: APIError(.timedOut, error.message, outcomeUnknown: isWrite)
        case .connectionLost: APIError(.connectionLost, error.message, outcomeUnknown: isWrite)
        case .tls: APIError(.tls, error.message)
        case .invalidRequest: APIError(.invalidRequest, error.message)
        }
    }

    private static func code(_ number: Int, _ status: StatusBody, _ causes: [Cause], isJSONPatch: Bool) -> Code {
        switch number {
        case 401: return .unauthorized
        case 403: return .forbidden
        case 404:
            // An object's 404 names it. "the server could not find the requested resource" has no details.
            let namesObject = status.reason == "NotFound" && !(status.details?.name ?? "").isEmpty
            return namesObject ? .notFound : .unknownResource
        case 405, 406, 415: return .unsupported
        case 409: return status.reason == "AlreadyExists" ? .alreadyExists : .conflict
        case 410: return .expired
        case 412: return .preconditionFailed
        case 413: return .tooLarge
        case 422:
            let identity = causes.contains { $0.field == "metadata.uid" || $0.field == "metadata.resourceVersion" }
            return identity || (isJSONPatch && causes.isEmpty) ? .preconditionFailed : .invalid
        case 429: return .tooManyRequests
        case 400..<500: return .badRequest
        case 504: return .serverTimeout
        case 500...: return ["ServerTimeout", "Timeout"].contains(status.reason) ? .serverTimeout : .serverError
        default: return .serverError
        }
    }

    /// `Retry-After`: seconds, or an HTTP date, which is measured against the answer's own `Date`.
    private static func wait(_ header: String, date: String?) -> Milliseconds? {
        if let seconds = Int64(header), seconds >= 0 { return milliseconds(seconds) }
        guard let until = moment(header), let sent = date.flatMap(moment) else { return nil }
        return milliseconds(max(0, until.seconds(since: sent)))
    }

    private static func milliseconds(_ seconds: Int64) -> Milliseconds { min(seconds, 3_600) * 1_000 }

    /// `Fri, 31 Dec 1999 23:59:59 GMT`, the only form that is still sent.
    private static func moment(_ text: String) -> Timestamp? {
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let parts = text.split(separator: " ")
        guard parts.count == 6, parts[5] == "GMT", let month = months.firstIndex(of: String(parts[2])) else {
            return nil
        }
        let number = month + 1 < 10 ? "0\(month + 1)" : "\(month + 1)"
        return Timestamp(rfc3339: "\(parts[3])-\(number)-\(parts[1])T\(parts[4])Z")
    }
}
