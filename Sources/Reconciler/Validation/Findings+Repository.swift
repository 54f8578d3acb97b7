// SPDX-License-Identifier: Apache-2.0

import Resources

extension Findings {
    mutating func backupRepository(_ spec: BackupRepositorySpec, allowLoopback: Bool) {
        if let store = spec.s3 {
            self.store(store, allowLoopback: allowLoopback)
        } else {
            require(false, "spec.s3", "say where the store is")
        }
        if let credentials = spec.credentials {
            self.credentials(credentials)
        } else {
            require(false, "spec.credentials", "name the Secret with the access keys, or a ServiceAccount")
        }
        if let encryption = spec.encryption { self.encryption(encryption) }
        images(spec.allowedImages, "spec.allowedImages")
        duration(spec.scan?.interval, "spec.scan.interval")
        range(spec.scan?.maxArchives, "spec.scan.maxArchives", 1...1_000)
        requestID(spec.scan?.requestID, "spec.scan.requestID")
        choice(spec.discovery?.createBackups, "spec.discovery.createBackups", of: ["None", "Newest"])
        range(spec.discovery?.limit, "spec.discovery.limit", 1...1_000)
    }

    private mutating func store(_ store: S3Location, allowLoopback: Bool) {
        require(store.endpoint != nil, "spec.s3.endpoint", "write the URL of the store, as https://host")
        if let endpoint = store.endpoint,
            let problem = Endpoint.problem(
                endpoint, insecure: store.insecure ?? false, allowLoopback: allowLoopback)
        {
            add(FindingReason.endpointNotAllowed, "spec.s3.endpoint", problem)
        }
        require(store.bucket != nil, "spec.s3.bucket", "name the bucket")
        check(
            store.bucket, "spec.s3.bucket", maximum: 63,
            form:
                "the name of a bucket: write 3 to 63 lower case letters, digits, dashes, dots, never two dots in a row",
            isBucket)
        storePath(store.prefix, "spec.s3.prefix")
        check(
            store.region, "spec.s3.region", maximum: 64, form: "a region: write it as us-east-1"
        ) { text in
            text.utf8.allSatisfy { isWord($0) && !(0x41...0x5A).contains($0) || $0 == UInt8(ascii: "-") }
                && text.utf8.first.map(isWord) == true && text.utf8.last.map(isWord) == true
        }
        guard let bundle = store.caBundle else { return }
        let field = "spec.s3.caBundle.configMapRef"
        require(bundle.configMapRef != nil, field, "name the ConfigMap and its key")
        require(bundle.configMapRef == nil || bundle.configMapRef?.name != nil, "\(field).name", "name the ConfigMap")
        objectName(bundle.configMapRef?.name, "\(field).name")
        require(bundle.configMapRef == nil || bundle.configMapRef?.key != nil, "\(field).key", "name its key")
        dataKey(bundle.configMapRef?.key, "\(field).key")
    }

    private mutating func credentials(_ credentials: RepositoryCredentials) {
        if (credentials.secretRef != nil) == (credentials.serviceAccountName != nil) {
            add(
                "spec.credentials",
                "needs exactly one of secretRef and serviceAccountName: name the Secret with the "
                    + "access keys, or the ServiceAccount that has them from the cloud")
        }
        objectName(credentials.serviceAccountName, "spec.credentials.serviceAccountName")
        guard let secret = credentials.secretRef else { return }
        let field = "spec.credentials.secretRef"
        require(secret.name != nil, "\(field).name", "name the Secret")
        objectName(secret.name, "\(field).name")
        dataKey(secret.accessKeyIDKey, "\(field).accessKeyIDKey")
        dataKey(secret.secretAccessKeyKey, "\(field).secretAccessKeyKey")
        dataKey(secret.sessionTokenKey, "\(field).sessionTokenKey")
    }

    private mutating func encryption(_ encryption: RepositoryEncryption) {
        let given = [encryption.libsodium != nil, encryption.openpgp != nil, encryption.sseC != nil]
        if given.filter({ $0 }).count != 1 {
            add(
                "spec.encryption",
                "needs exactly one of libsodium, openpgp and sseC: keep the one in use, or remove "
                    + "encryption")
        }
        if let libsodium = encryption.libsodium {
            secretKey(libsodium.secretRef, "spec.encryption.libsodium.secretRef")
            choice(libsodium.transform, "spec.encryption.libsodium.transform", of: ["None", "Base64", "Hex"])
        }
        if let openpgp = encryption.openpgp {
            secretKey(openpgp.secretRef, "spec.encryption.openpgp.secretRef")
            dataKey(openpgp.passphraseKey, "spec.encryption.openpgp.passphraseKey")
        }
        if let sseC = encryption.sseC { secretKey(sseC.secretRef, "spec.encryption.sseC.secretRef") }
    }

    private mutating func secretKey(_ key: RepositoryEncryption.SecretKey?, _ field: String) {
        guard let key else {
            require(false, field, "name the Secret and its key")
            return
        }
        require(key.name != nil, "\(field).name", "name the Secret")
        objectName(key.name, "\(field).name")
        require(key.key != nil, "\(field).key", "name its key")
        dataKey(key.key, "\(field).key")
    }

    private mutating func images(_ images: [String]?, _ field: String) {
        guard let images, count(images.count, field, maximum: 64) else { return }
        for (index, image) in images.enumerated() {
            let place = "\(field)[\(index)]"
            check(image, place, maximum: 512, form: "the beginning of an image name: correct it") { text in
                text.utf8.first.map(isWord) == true && text.utf8.allSatisfy { isWord($0) || "._:/@-".utf8.contains($0) }
            }
            if !image.contains("/"), !ImageReference.isDigest(Substring(image)) {
                add(
                    place,
                    "\(quoted(image)): allowedImages needs beginnings with a slash in them, or whole digests: a "
                        + "registry's name alone would also allow registry.example.com.evil.test; write "
                        + "registry.example.com/")
            }
        }
        unique(images, field)
    }
}
