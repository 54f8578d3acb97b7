// SPDX-License-Identifier: Apache-2.0

import Curl
import ObjectStore
import Resources
import Scanning

/// Reads the scan's command line and environment (WAL-G's names for endpoint and credentials).
enum ScanCommand {
    struct UsageError: Error {
        var message: String
    }

    static let usage = """
        usage: agent scan --bucket NAME --path PATH [--major N | --expect-empty]
                          [--compare-digest D --compare-keys N --compare-at TIME]
               agent scan --repository --bucket NAME [--prefix PATH] [--max-archives N] [--known FOLDER] [--full]
        """

    static func read(_ arguments: [String]) throws -> ScanRequest {
        var request = ScanRequest()
        var digest: String?
        var keys: Int64?
        var moment: Timestamp?
        var rest = arguments[...]
        request.isRepository = arguments.contains("--repository")
        while let flag = rest.popFirst() {
            switch flag {
            case "--repository": continue
            case "--expect-empty" where !request.isRepository: request.expectEmpty = true
            case "--full" where request.isRepository: request.isFull = true
            default:
                guard let value = rest.popFirst() else { throw UsageError(message: "\(flag) needs a value") }
                switch (flag, request.isRepository) {
                case ("--bucket", _): request.bucket = value
                case ("--path", false), ("--prefix", true): request.path = trimmed(value)
                case ("--major", false): request.major = try number(flag, value)
                case ("--compare-digest", false): digest = value
                case ("--compare-keys", false): keys = Int64(value)
                case ("--compare-at", false): moment = Timestamp(rfc3339: value)
                case ("--max-archives", true): request.maxArchives = try number(flag, value)
                case ("--known", true): request.known = value
                default: throw UsageError(message: "unknown option \(flag)")
                }
            }
        }
        guard !request.bucket.isEmpty, request.isRepository || !request.path.isEmpty else {
            throw UsageError(message: "--bucket and --path are required")
        }
        if let digest, let keys, let moment {
            request.comparing = SourceFingerprint(keys: keys, digest: digest, at: moment)
        } else if digest != nil || keys != nil || moment != nil {
            throw UsageError(message: "--compare-digest, --compare-keys and --compare-at go together")
        }
        return request
    }

    private static func number(_ flag: String, _ value: String) throws -> Int {
        guard let number = Int(value), number > 0 else { throw UsageError(message: "\(flag) needs a positive number") }
        return number
    }

    private static func trimmed(_ path: String) -> String {
        var path = path[...]
        while path.hasPrefix("/") { path = path.dropFirst() }
        while path.hasSuffix("/") { path = path.dropLast() }
        return String(path)
    }

    static func store(
        _ request: ScanRequest, _ environment: [String: String], _ loop: EventLoop
    ) throws -> ObjectStore {
        guard let endpoint = environment["AWS_ENDPOINT"], let key = environment["AWS_ACCESS_KEY_ID"],
            let secret = environment["AWS_SECRET_ACCESS_KEY"]
        else { throw UsageError(message: "AWS_ENDPOINT, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are required") }
        let pathStyle = environment["AWS_S3_FORCE_PATH_STYLE"] != "false"
        var settings = CurlExchange.Settings()
        settings.http2 = false
        settings.bodyLimit = 16 << 20
        settings.connections = requestsAtOnce
        settings.signing = S3Signing(
            region: environment["AWS_REGION"] ?? "us-east-1", accessKey: key, secretKey: secret,
            sessionToken: environment["AWS_SESSION_TOKEN"])
        let exchange = try CurlExchange(
            loop: loop, origin: origin(endpoint, bucket: pathStyle ? nil : request.bucket), settings: settings)
        return ObjectStore(
            exchange: exchange, time: SystemTimekeeper(loop), bucket: request.bucket, pathStyle: pathStyle)
    }

    /// Without path style the bucket is part of the host's name.
    private static func origin(_ endpoint: String, bucket: String?) -> String {
        let trimmed = endpoint.hasSuffix("/") ? String(endpoint.dropLast()) : endpoint
        guard let bucket, let scheme = trimmed.firstRange(of: "://") else { return trimmed }
        return "\(trimmed[..<scheme.upperBound])\(bucket).\(trimmed[scheme.upperBound...])"
    }
}
