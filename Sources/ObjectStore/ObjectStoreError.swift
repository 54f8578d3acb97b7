// SPDX-License-Identifier: Apache-2.0

package import Seams

/// Why a bucket did not answer as wanted. `code` is one of the reasons that people read in a condition.
package struct ObjectStoreError: Error, Equatable, Sendable {
    package enum Code: String, Sendable {
        /// No answer: wrong endpoint, network, certificate.
        case unreachable = "RepositoryUnreachable"
        /// The store answers, and asks for fewer requests, again and again.
        case overloaded = "RepositoryOverloaded"
        /// The access key is unknown, or the secret is wrong.
        case wrongCredentials = "WrongCredentials"
        /// The credentials are right and may not do this.
        case accessDenied = "AccessDenied"
        case noSuchBucket = "BucketNotFound"
        case noSuchKey = "KeyNotFound"
        /// The object has no bytes, of which a range was asked for.
        case emptyObject = "ObjectEmpty"
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
    /// How long the store asks to wait before that.
    package var retryAfter: Milliseconds?

    package init(_ code: Code, _ message: String, isPassing: Bool = false) {
        self.code = code
        self.message = String(message.prefix(300))
        self.isPassing = isPassing
    }

    /// What an HTTP answer other than 2xx means. The body's `<Code>` says more than the status.
    package init(_ response: HTTPResponse) {
        let document = ErrorDocument(response)
        let name = document.code
        let detail = "HTTP \(response.status)\(name.isEmpty ? "" : " \(name)")"
        switch (response.status, name) {
        case (_, "NoSuchBucket"): self.init(.noSuchBucket, "the bucket does not exist (\(detail))")
        case (_, "NoSuchKey"): self.init(.noSuchKey, "no such key (\(detail))")
        case (_, "SignatureDoesNotMatch"):
            self.init(
                .wrongCredentials, "the secret key is not the one of this access key (\(detail)); check the Secret")
        case (_, "InvalidAccessKeyId"), (_, "InvalidClientTokenId"):
            self.init(.wrongCredentials, "the store does not know this access key (\(detail)); check the Secret")
        case (_, "ExpiredToken"), (_, "InvalidToken"):
            self.init(.wrongCredentials, "the session token is not accepted (\(detail)); check the Secret")
        case (_, "RequestTimeTooSkewed"):
            self.init(.clockSkew, "this node's clock and the store's differ too much (\(detail))")
        case (301, _), (307, _), (308, _), (_, "PermanentRedirect"), (_, "TemporaryRedirect"),
            (_, "AuthorizationHeaderMalformed") where document.region != nil:
            self.init(.wrongRegion, "the bucket is elsewhere\(document.place) (\(detail)); check region and endpoint")
        case (_, "AuthorizationHeaderMalformed"):
            self.init(.wrongCredentials, "the store does not accept the signature's scope (\(detail))")
        case (416, _): self.init(.emptyObject, "the object is empty (\(detail))")
        case (403, _), (401, _):
            self.init(.accessDenied, "the repository's credentials may not read this (\(detail))")
        case (404, _): self.init(.noSuchKey, "not found (\(detail))")
        case (429, _), (_, "SlowDown"), (_, "ServiceUnavailable"), (_, "Throttling"):
            self.init(.overloaded, "the store asks for fewer requests (\(detail))", isPassing: true)
        case (500..., _), (408, _), (_, "RequestTimeout"):
            self.init(.unreachable, "the store is in trouble (\(detail))", isPassing: true)
        default: self.init(.unexpected, "an answer that S3 does not give (\(detail))")
        }
        // As seconds; the other form, a date, is passed over.
        retryAfter = response.header("retry-after").flatMap { Int64($0) }.flatMap { seconds in
            (0...86_400).contains(seconds) ? seconds * 1_000 : nil
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
}

/// What an S3 error document and its headers say. Error documents are flat, and what is taken from them is a word or
/// a host's name: anything else is dropped, so that nothing of an answer gets into a message unseen.
private struct ErrorDocument {
    var code: String
    var region: String?
    var endpoint: String?

    init(_ response: HTTPResponse) {
        let text = String(decoding: response.body.prefix(8_192), as: UTF8.self)
        code = Self.element("Code", in: text) ?? ""
        region = response.header("x-amz-bucket-region").flatMap(Self.word) ?? Self.element("Region", in: text)
        endpoint = Self.element("Endpoint", in: text)
    }

    /// e.g. `: in region eu-west-1, at bkt.s3.eu-west-1.amazonaws.com`.
    var place: String {
        let parts = [region.map { "in region \($0)" }, endpoint.map { "at \($0)" }].compactMap { $0 }
        return parts.isEmpty ? "" : ": \(parts.joined(separator: ", "))"
    }

    private static func element(_ name: String, in text: String) -> String? {
        guard let open = text.firstRange(of: "<\(name)>"),
            let close = text[open.upperBound...].firstRange(of: "</\(name)>")
        else { return nil }
        return word(String(text[open.upperBound..<close.lowerBound]))
    }

    private static func word(_ text: String) -> String? {
        let isPlain = text.utf8.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x3A, 0x5F: true
            default: false
            }
        }
        return isPlain && (1...128).contains(text.utf8.count) ? text : nil
    }
}
