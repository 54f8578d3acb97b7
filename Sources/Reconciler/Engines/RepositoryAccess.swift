// SPDX-License-Identifier: Apache-2.0

package import Resources

/// How a pod reaches a repository: the variables that WAL-G and the agent both read, and where its objects lie.
package struct RepositoryAccess: Equatable, Sendable {
    package var name: String
    package var endpoint: String
    package var bucket: String
    /// Without slashes at either end; may be empty.
    package var prefix: String
    package var allowedImages: [String]
    private var variables: [VariableManifest]

    /// Reads a repository that passed validation.
    package init?(_ repository: BackupRepository) {
        guard let s3 = repository.spec?.s3, let endpoint = s3.endpoint, let bucket = s3.bucket,
            let secret = repository.spec?.credentials?.secretRef, let secretName = secret.name
        else { return nil }
        name = repository.metadata.name
        self.endpoint = endpoint
        self.bucket = bucket
        prefix = Self.trimmed(s3.prefix ?? "")
        allowedImages = repository.spec?.allowedImages ?? []
        variables = [
            VariableManifest("AWS_ENDPOINT", value: endpoint),
            VariableManifest("AWS_REGION", value: s3.region ?? "us-east-1"),
            VariableManifest("AWS_S3_FORCE_PATH_STYLE", value: (s3.forcePathStyle ?? true) ? "true" : "false"),
            VariableManifest(
                "AWS_ACCESS_KEY_ID", secret: secretName, key: secret.accessKeyIDKey ?? "AWS_ACCESS_KEY_ID"),
            VariableManifest(
                "AWS_SECRET_ACCESS_KEY", secret: secretName, key: secret.secretAccessKeyKey ?? "AWS_SECRET_ACCESS_KEY"),
        ]
        if let token = secret.sessionTokenKey {
            variables.append(VariableManifest("AWS_SESSION_TOKEN", secret: secretName, key: token))
        }
        variables += Self.encryption(repository.spec?.encryption)
    }

    /// Endpoint, region and credentials, as WAL-G names them.
    package var environment: [VariableManifest] { variables }

    /// `s3://bucket/prefix/path`.
    package func uri(_ path: String) -> String { "s3://\(bucket)/\(key(path))" }

    /// Endpoint and address, to tell one place from another.
    package func place(_ path: String) -> String { "\(endpoint) \(uri(path))" }

    /// `prefix/path`.
    package func key(_ path: String) -> String {
        let path = Self.trimmed(path)
        return prefix.isEmpty ? path : "\(prefix)/\(path)"
    }

    /// Where the archive of a source lies below the repository's prefix, without the major version.
    /// - Returns: `nil` for a location that is not below this repository's bucket and prefix.
    package func path(of source: RunRequest.Source) -> String? {
        switch source.place {
        case .path(let path): return path
        case .location(let uri):
            guard uri.bucket == bucket else { return nil }
            if prefix.isEmpty { return uri.archive }
            guard uri.archive.hasPrefix(prefix + "/") else { return nil }
            return String(uri.archive.dropFirst(prefix.count + 1))
        }
    }

    /// Whether `image` may run with these credentials: an entry is a prefix of the image's name, or its digest.
    package func allows(_ image: String) -> Bool {
        allowedImages.contains { entry in
            !entry.isEmpty && (image == entry || image.hasSuffix("@\(entry)") || Self.covers(entry, image))
        }
    }

    // A prefix ends at a boundary: `registry/team/postgres` must not allow `registry/team/postgres-evil:1`.
    private static func covers(_ entry: String, _ image: String) -> Bool {
        guard image.hasPrefix(entry) else { return false }
        if entry.hasSuffix("/") { return true }
        let rest = image.dropFirst(entry.count)
        return rest.hasPrefix(":") || rest.hasPrefix("@") || rest.hasPrefix("/")
    }

    private static func encryption(_ encryption: RepositoryEncryption?) -> [VariableManifest] {
        var variables: [VariableManifest] = []
        if let libsodium = encryption?.libsodium, let secret = libsodium.secretRef, let name = secret.name {
            variables.append(VariableManifest("WALG_LIBSODIUM_KEY", secret: name, key: secret.key ?? "key"))
            variables.append(
                VariableManifest("WALG_LIBSODIUM_KEY_TRANSFORM", value: (libsodium.transform ?? "none").lowercased()))
        }
        if let openpgp = encryption?.openpgp, let secret = openpgp.secretRef, let name = secret.name {
            variables.append(VariableManifest("WALG_PGP_KEY", secret: name, key: secret.key ?? "key"))
            if let passphrase = openpgp.passphraseKey {
                variables.append(VariableManifest("WALG_PGP_KEY_PASSPHRASE", secret: name, key: passphrase))
            }
        }
        if let secret = encryption?.sseC?.secretRef, let name = secret.name {
            variables.append(VariableManifest("WALG_S3_SSE_C", secret: name, key: secret.key ?? "key"))
            variables.append(VariableManifest("WALG_S3_SSE", value: "AES256"))
        }
        return variables
    }

    /// Without slashes at either end, and without doubled ones inside.
    package static func trimmed(_ path: String) -> String {
        path.split(separator: "/", omittingEmptySubsequences: true).joined(separator: "/")
    }

    /// Whether one place lies in the other, or is the same: objects of one would lie among those of the other.
    package func overlaps(_ path: String, with other: RepositoryAccess, _ otherPath: String) -> Bool {
        guard endpoint == other.endpoint, bucket == other.bucket else { return false }
        let mine = key(path) + "/"
        let theirs = other.key(otherPath) + "/"
        return mine.hasPrefix(theirs) || theirs.hasPrefix(mine)
    }
}

extension RepositoryAccess {
    /// Stands for a repository that an object does not use.
    package static let nowhere = RepositoryAccess()

    private init() {
        name = ""
        endpoint = ""
        bucket = ""
        prefix = ""
        allowedImages = []
        variables = []
    }
}
