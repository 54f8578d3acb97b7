// SPDX-License-Identifier: Apache-2.0

import Resources

// The service that a restore creates.
extension Findings {
    mutating func newService(_ service: NewService, _ field: String) {
        serviceName(service.name, "\(field).name")
        reference(service.templateRef, "\(field).templateRef")
        if service.templateRef == nil, service.image == nil || service.storage == nil {
            add(
                field,
                "image and storage are required without templateRef: give both, or name a ManagedService to copy "
                    + "them from")
        }
        image(service.image, "\(field).image")
        choice(service.imagePullPolicy, "\(field).imagePullPolicy", of: ["Always", "IfNotPresent", "Never"])
        if let secrets = service.imagePullSecrets, count(secrets.count, "\(field).imagePullSecrets", maximum: 8) {
            for (index, secret) in secrets.enumerated() { reference(secret, "\(field).imagePullSecrets[\(index)]") }
            unique(secrets.map(\.name), "\(field).imagePullSecrets")
        }
        label(service.imageProfile, "\(field).imageProfile")
        range(service.major, "\(field).major", 1...999)
        if let storage = service.storage {
            require(storage.size != nil, "\(field).storage.size", "write how much to ask for, as 20Gi")
            size(storage.size, "\(field).storage.size")
            objectName(storage.className, "\(field).storage.className")
        }
        quantities(service.resources?.requests, "\(field).resources.requests")
        quantities(service.resources?.limits, "\(field).resources.limits")
        scheduling(service, field)
        labels(service.labels, "\(field).labels")
        annotations(service.annotations, "\(field).annotations")
        range(service.securityContext?.runAsUser, "\(field).securityContext.runAsUser", 0...2_147_483_647)
        range(service.securityContext?.runAsGroup, "\(field).securityContext.runAsGroup", 0...2_147_483_647)
        range(service.securityContext?.fsGroup, "\(field).securityContext.fsGroup", 0...2_147_483_647)
        variables(service.env, "\(field).env")
        reference(service.configMapRef, "\(field).configMapRef")
        range(service.port, "\(field).port", 1...65_535)
        database(service.database, "\(field).database")
        if let archive = service.archive {
            ownArchive(archive, "\(field).archive")
        } else {
            require(
                false, "\(field).archive",
                "name the repository and path that the new service archives to, or say mode: Disabled")
        }
        objectName(service.credentials?.secretName, "\(field).credentials.secretName")
        choice(service.credentials?.rotate, "\(field).credentials.rotate", of: ["Always", "Never"])
    }

    private mutating func serviceName(_ name: String?, _ field: String) {
        guard let name else { return require(false, field, "say what the new service is called") }
        let maximum = Names.longestService
        if name.utf8.count > maximum, Names.isDNS1035Label(name, maximum: 253) {
            add(
                FindingReason.invalidName, field,
                "\(quoted(name)) has \(name.utf8.count) characters and may have \(maximum): pods, claims and labels "
                    + "append to it and may have 63; shorten it")
            return
        }
        check(
            name, field, maximum: maximum, reason: FindingReason.invalidName,
            form:
                "a name of lower case letters, digits and dashes, beginning with a letter and without dots: it becomes "
                + "the name of pods, claims and a Service; choose another"
        ) { Names.isDNS1035Label($0, maximum: maximum) }
    }

    private mutating func ownArchive(_ archive: NewService.OwnArchive, _ field: String) {
        choice(archive.mode, "\(field).mode", of: ["Disabled"])
        if archive.mode != nil {
            if archive.repository != nil || archive.path != nil || archive.schedule != nil {
                add(
                    "\(field).mode",
                    "Disabled excludes repository, path and schedule: remove mode to archive, or the "
                        + "others not to archive")
            }
        } else if archive.repository == nil || archive.path == nil {
            add(field, "needs repository and path, or mode Disabled for a service that does not archive")
        }
        reference(archive.repository, "\(field).repository")
        archivePath(archive.path, "\(field).path")
        cron(archive.schedule, "\(field).schedule")
    }

    private mutating func variables(_ variables: [NewService.Variable]?, _ field: String) {
        guard let variables, count(variables.count, field, maximum: 64) else { return }
        for (index, variable) in variables.enumerated() {
            let place = "\(field)[\(index)].name"
            require(variable.name != nil, place, "name the variable, or remove it")
            check(
                variable.name, place, maximum: 128,
                form: "the name of a variable: write letters, digits and underscores, beginning with a letter",
                Names.isVariable)
            if let name = variable.name, isReservedVariable(name) {
                add(
                    FindingReason.reservedName, place,
                    "\(quoted(name)): env must not set WALG_*, WALE_*, AWS_*, PG*, POSTGRES_PASSWORD*, REPRISE_* or "
                        + "BACKUP_SCHEDULE: these decide where the service reads and writes its backups; use archive, "
                        + "credentials and database instead")
            }
            // Its value may be a secret all the same: never in a message.
            if let value = variable.value, value.unicodeScalars.count > 4_096 || value.utf8.contains(0) {
                add(
                    "\(field)[\(index)].value",
                    "is longer than 4096 characters or has a NUL in it: shorten it, or use configMapRef")
            }
        }
        unique(variables.map(\.name), field)
    }

    private mutating func labels(_ labels: [String: String]?, _ field: String) {
        guard let labels, keys(labels, field) else { return }
        for key in labels.keys.sorted() {
            guard let value = labels[key], !Names.isLabelValue(value) else { continue }
            add(
                field,
                "has \(quoted(value)) under \(quoted(key)): a label's value has at most 63 letters, digits, "
                    + "dashes, underscores and dots; correct it")
        }
    }

    private mutating func annotations(_ annotations: [String: String]?, _ field: String) {
        guard let annotations, keys(annotations, field) else { return }
        for key in annotations.keys.sorted() where (annotations[key] ?? "").unicodeScalars.count > 4_096 {
            add(field, "has more than 4096 characters under \(quoted(key)): shorten it")
        }
    }

    /// - Returns: whether there are few enough to look at each.
    private mutating func keys(_ map: [String: String], _ field: String) -> Bool {
        guard count(map.count, field, maximum: 32) else { return false }
        for key in map.keys.sorted() {
            if !Names.isQualifiedName(key) {
                add(
                    field,
                    "has \(quoted(key)): labels and annotations need keys like team or example.com/team, the part "
                        + "after the slash at most 63 characters: correct the key")
            } else if isReservedKey(key) {
                add(
                    FindingReason.reservedName, field,
                    "has \(quoted(key)): labels and annotations must not use reprise.dev/, argocd.argoproj.io/, "
                        + "app.kubernetes.io/instance or app.kubernetes.io/managed-by: a GitOps tool that finds its "
                        + "own mark on the restored service may prune it; remove the key")
            }
        }
        return true
    }

    private mutating func database(_ name: String?, _ field: String) {
        check(
            name, field, maximum: 63,
            form: "the name of a database: write letters, digits, underscores and dashes, beginning with a letter"
        ) { text in
            guard let first = text.utf8.first, !(0x30...0x39).contains(first), first != UInt8(ascii: "-") else {
                return false
            }
            return text.utf8.allSatisfy { isWord($0) || "_-".utf8.contains($0) }
        }
    }
}

/// Variables that decide where a service reads and writes its backups, or who may log in.
func isReservedVariable(_ name: String) -> Bool {
    let prefixes = ["WALG_", "WALE_", "AWS_", "PG", "POSTGRES_PASSWORD", "REPRISE_"]
    return name == "BACKUP_SCHEDULE" || prefixes.contains { name.hasPrefix($0) }
}

private func isReservedKey(_ key: String) -> Bool {
    key.hasPrefix("reprise.dev/") || key.hasPrefix("argocd.argoproj.io/")
        || key == "app.kubernetes.io/instance" || key == "app.kubernetes.io/managed-by"
}
