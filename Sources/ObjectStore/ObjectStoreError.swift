// SPDX-License-Identifier: Apache-2.0

package import Seams

/// Why a bucket did not answer as wanted. `code` is one of the reasons that people read in a condition.
package struct ObjectStoreError: Error, Equatable, Sendable {
    package enum Code: String, Sendable {
        /// No answer: wrong endpoint, network, certificate.
        case unreachable = "RepositoryUnreachable"
        /// The access key is unknown, or the secret is wrong.
        case wrongCredentials = "WrongCredentials"
        /// The credentials are right and may not do this.
        case accessDenied = "AccessDenied"
        case noSuchBucket = "BucketNotFound"
        case noSuchKey = "KeyNotFound"
        /// The bucket lies in another region or has another address.
        case wrongRegion = "WrongRegion"
        /// The server's clock and ours differ too much for a signature.
        case clockSkew = "ClockSkew"
        case tooLarge = "ObjectTooLarge"
        /// An answer that S3 does not give.
        case unexpected = "RepositoryAnswerUnexpected"
    }

    package var code: Code
    /// For people: what was seen, bounded, without secrets.
    package var message: String
    /// Trying again may help.
    package var isPassing: Bool

    package init(_ code: Code, _ message: String, isPassing: Bool = false) {
        self.code = code
        self.message = String(message.prefix(300))
        self.isPassing = isPassing
    }

    /// What an HTTP answer other than 2xx means. The body's `<Code>` says more than the status.
    package init(_ response: HTTPResponse) {
        let text = String(decoding: response.body.prefix(8_192), as: UTF8.self)
        let name = Self.element("Code", in: text) ?? ""
        let detail = "HTTP \(response.status)\(name.isEmpty ? "" : " \(name)")"
        switch (response.status, name) {
        case (_, "NoSuchBucket"): self.init(.noSuchBucket, "the bucket does not exist (\(detail))")
        case (_, "NoSuchKey"): self.init(.noSuchKey, "no such key (\(detail))")
        case (_, "InvalidAccessKeyId"), (_, "SignatureDoesNotMatch"), (_, "InvalidClientTokenId"),
            (_, "ExpiredToken"), (_, "InvalidToken"), (_, "AuthorizationHeaderMalformed"):
            self.init(.wrongCredentials, "the repository's credentials are not accepted (\(detail)); check its Secret")
        case (_, "RequestTimeTooSkewed"):
            self.init(.clockSkew, "this node's clock and the store's differ too much (\(detail))")
        case (301, _), (307, _), (_, "PermanentRedirect"):
            self.init(.wrongRegion, "the bucket has another region or endpoint (\(detail))")
        case (403, _), (401, _):
            self.init(.accessDenied, "the repository's credentials may not read this (\(detail))")
        case (404, _): self.init(.noSuchKey, "not found (\(detail))")
        case (429, _), (500..., _), (_, "SlowDown"):
            self.init(.unreachable, "the store is in trouble (\(detail))", isPassing: true)
        default: self.init(.unexpected, "an answer that S3 does not give (\(detail))")
        }
    }

    /// What a missing answer means.
    package init(_ error: any Error) {
        guard let failure = error as? ExchangeError else {
            self.init(.unexpected, "\(type(of: error))")
            return
        }
        switch failure.code {
        case .tls: self.init(.unreachable, "the endpoint's certificate is not accepted: \(failure.message)")
        case .invalidRequest: self.init(.unexpected, failure.message)
        case .unreachable, .timedOut, .connectionLost:
            self.init(.unreachable, "no answer from the endpoint: \(failure.message)", isPassing: true)
        }
    }

    /// The text of a simple XML element; S3's error documents are flat.
    private static func element(_ name: String, in text: String) -> String? {
        guard let open = text.firstRange(of: "<\(name)>"),
            let close = text[open.upperBound...].firstRange(of: "</\(name)>")
        else { return nil }
        return String(text[open.upperBound..<close.lowerBound].prefix(64))
    }
}
