// SPDX-License-Identifier: Apache-2.0

import Curl
import ObjectStore
import Resources

/// Reads the scan's command line and environment (WAL-G's names for endpoint and credentials).
enum ScanCommand {
    struct UsageError: Error {
        var message: String
    }

    static func read(_ arguments: [String]) throws -> ScanRequest {
        var request = ScanRequest()
        var digest: String?
        var keys: Int64?
        var moment: Timestamp?
        var rest = arguments[...]
        while let flag = rest.popFirst() {
            if flag == "--expect-empty" {
                request.expectEmpty = true
                continue
            }
            guard let value = rest.popFirst() else { throw UsageError(message: "\(flag) needs a value") }
            switch flag {
            case "--bucket": request.bucket = value
            case "--path": request.path = value
            case "--major": request.major = Int(value)
            case "--compare-digest": digest = value
            case "--compare-keys": keys = Int64(value)
            case "--compare-at": moment = Timestamp(rfc3339: value)
            default: throw UsageError(message: "unknown option \(flag)")
            }
        }
        guard !request.bucket.isEmpty, !request.path.isEmpty else {
            throw UsageError(message: "--bucket and --path are required")
        }
        if let digest, let keys, let moment {
            request.comparing = SourceFingerprint(keys: keys, digest: digest, at: moment)
        } else if digest != nil || keys != nil || moment != nil {
            throw UsageError(message: "--compare-digest, --compare-keys and --compare-at go together")
        }
        return request
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
        settings.bodyLimit = 64 << 20
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
