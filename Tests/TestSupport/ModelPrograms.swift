// SPDX-License-Identifier: Apache-2.0

import Frames
import JSON
import Resources

/// What Jobs' programs do, recognised by the Job's name, and the results that they leave.
struct ModelPrograms {
    private let kubelet: ModelKubelet

    init(_ kubelet: ModelKubelet) { self.kubelet = kubelet }

    func run(_ process: ModelKubelet.Process) {
        let job = kubelet.api[process.key]?.text("metadata", "labels", "job-name") ?? ""
        kubelet.scheduler.after(kubelet.jobDelay, "program of \(process.key)") {
            guard kubelet.isAlive(process) else { return }
            if process.arguments.contains("--repository") {
                let result = ModelRepositoryScan(kubelet).result(of: process)
                finish(process, result.code, result)
            } else if job.contains("-scan-") || job.contains("-compare-") {
                scan(process)
            } else if job.contains("-seal-") {
                seal(process)
            } else if process.environment["REPRISE_ACTION"] != nil {
                ModelInPlace(kubelet, process)?.act()
            } else {
                backup(process)
            }
        }
    }

    func finish(_ process: ModelKubelet.Process, _ code: String, _ result: some Encodable) {
        guard let json = try? JSON.encode(result), let frame = try? ResultFrame.encode(json),
            let message = try? TerminationMessage(code: code, result: json).encoded()
        else { return kubelet.ends(process, exitCode: 1, message: nil, log: []) }
        let log = Array("a line before\n".utf8) + frame + Array("a line after\n".utf8)
        kubelet.ends(process, exitCode: 0, message: String(decoding: message, as: UTF8.self), log: log)
    }

    private func token(_ process: ModelKubelet.Process) -> String {
        process.environment["REPRISE_ATTEMPT_TOKEN"] ?? ""
    }

    // MARK: agent scan

    private func scan(_ process: ModelKubelet.Process) {
        let arguments = process.arguments
        func option(_ name: String) -> String? {
            arguments.firstIndex(of: name).flatMap { $0 + 1 < arguments.count ? arguments[$0 + 1] : nil }
        }
        let bucket = option("--bucket") ?? ""
        let path = option("--path") ?? ""
        var result = ScanResult(attempt: token(process), code: "OK")
        if let refusal = kubelet.stores.refusal(process.environment, bucket: bucket, writing: false) {
            result.code = refusal
            result.message = "the store said no"
            return finish(process, refusal, result)
        }
        if arguments.contains("--expect-empty") {
            let found = kubelet.stores.listed(bucket, below: "\(path)/").prefix(5)
            result.objects = Int64(found.count)
            result.sampleKeys = found.map(\.key)
            return finish(process, "OK", result)
        }
        look(bucket, path, option("--major").flatMap { Int($0) } ?? 0, &result)
        if let digest = option("--compare-digest"), let keys = option("--compare-keys").flatMap({ Int64($0) }),
            let at = option("--compare-at").flatMap({ Timestamp(rfc3339: $0) })
        {
            let major = option("--major") ?? ""
            let now = kubelet.stores.fingerprint(bucket, below: "\(path)/\(major)/", upTo: at)
            result.comparison = FingerprintComparison(
                unchanged: now.keys == keys && now.digest == digest, keys: now.keys, newHistories: [])
        }
        finish(process, "OK", result)
    }

    private func look(_ bucket: String, _ path: String, _ major: Int, _ result: inout ScanResult) {
        let prefix = "\(bucket)/\(path)/"
        result.majors = kubelet.stores.archives.keys.filter { $0.hasPrefix(prefix) }
            .compactMap { Int($0.dropFirst(prefix.count)) }.sorted()
        result.objects = Int64(kubelet.stores.listed(bucket, below: "\(path)/\(major)/").count)
        result.fingerprint = kubelet.stores.fingerprint(
            bucket, below: "\(path)/\(major)/", upTo: kubelet.scheduler.wall.wholeSecond.adding(seconds: -2))
        result.listing = kubelet.stores.listing("\(prefix)\(major)")
    }

    // MARK: seal

    private func seal(_ process: ModelKubelet.Process) {
        var result = SealResult(attempt: token(process), code: "OK")
        guard let claim = process.claim, let volume = kubelet.volumes[claim], let cluster = volume.cluster else {
            let staged = process.claim.flatMap { kubelet.volumes[$0]?.staged }
            result.inRecovery = staged == nil ? nil : true
            result.code = staged == nil ? "RestoreNotPerformed" : "TargetNotReached"
            return finish(process, result.code, result)
        }
        result.systemIdentifier = cluster.systemIdentifier
        result.timeline = cluster.timeline
        result.controlState = "shut down"
        guard cluster.systemIdentifier == process.environment["REPRISE_EXPECT_SYSTEM_IDENTIFIER"] else {
            result.code = "RestoreNotPerformed"
            return finish(process, result.code, result)
        }
        result.inRecovery = false
        result.backupLabel = cluster.backupStartLSN.map { BackupLabel(startWalLocation: $0) }
        result.historyReason = cluster.endedAt
        result.parentTimeline = cluster.timeline - 1
        result.switchLsn = cluster.switchLSN
        result.serverVersionNum = 150_015
        result.dataBytes = 4 << 30
        result.subscriptionsDisabled = cluster.subscriptions
        result.rolesReset = 1
        let own = (process.environment["REPRISE_OWN_RECOVERY_SETTINGS"] ?? "").split(separator: " ").map(String.init)
        result.inheritedRecoverySettings = cluster.settings.keys.sorted().filter {
            $0.hasPrefix("recovery_target") && !own.contains($0)
        }
        if process.environment["REPRISE_ROTATE_PASSWORDS"] == "true" {
            guard let password = password(process) else {
                result.code = "CredentialsInvalid"
                return finish(process, result.code, result)
            }
            kubelet.volumes[claim]?.cluster?.password = password
        }
        kubelet.volumes[claim]?.cluster?.settings = [:]
        kubelet.volumes[claim]?.cluster?.subscriptions = 0
        kubelet.volumes[claim]?.cluster?.isSealed = true
        kubelet.note(process, "sealed")
        finish(process, "OK", result)
    }

    /// The password in the Secret that the pod mounts.
    private func password(_ process: ModelKubelet.Process) -> String? {
        let volumes = kubelet.api[process.key]?.items("spec", "volumes") ?? []
        let secret = volumes.compactMap { $0.text("secret", "secretName") }.first
        return secret.flatMap { kubelet.secret(process.key.namespace, $0, "password") }
    }

    // MARK: backup

    /// As `programs/postgres/backup.sh`: waits for the server, proves that the volume is its, and takes one backup for
    /// each run.
    private func backup(_ process: ModelKubelet.Process) {
        let deadline = process.environment["REPRISE_DEADLINE_SECONDS"].flatMap { Int64($0) } ?? 600
        backup(process, until: kubelet.scheduler.now + min(deadline, 300) * 1_000)
    }

    private func backup(_ process: ModelKubelet.Process, until deadline: Int64) {
        guard kubelet.isAlive(process), let claim = process.claim else { return }
        var result = BackupResult(attempt: token(process), code: "OK")
        func end(_ code: String) {
            result.code = code
            finish(process, code, result)
        }
        guard let server = kubelet.server(at: process.environment["PGHOST"] ?? ""), let other = server.claim,
            let cluster = kubelet.volumes[other]?.cluster
        else {
            guard kubelet.scheduler.now < deadline else { return end("DeadlineExceeded") }
            kubelet.scheduler.after(5_000, "\(process.key) connects again") {
                self.backup(process, until: deadline)
            }
            return
        }
        guard password(process) == cluster.password else { return end("LoginRefused") }
        guard cluster.systemIdentifier == kubelet.volumes[claim]?.cluster?.systemIdentifier else {
            return end("VolumeMismatch")
        }
        let place = String((process.environment["WALG_S3_PREFIX"] ?? "").dropFirst("s3://".count))
        let bucket = ModelStores.parts(place).bucket
        if let refusal = kubelet.stores.refusal(process.environment, bucket: bucket, writing: true) {
            return end(refusal)
        }
        let mark = process.environment["REPRISE_RUN_UID"] ?? ""
        let taken = kubelet.stores.taken(place, mark) ?? take(process, place, cluster, mark, other)
        result.backup = TakenBackup(name: taken.name)
        result.backup?.startLsn = taken.startLSN
        end("OK")
    }

    /// Puts a base backup into the service's archive, which from now on leads to what the service has.
    private func take(
        _ process: ModelKubelet.Process, _ place: String, _ cluster: ModelVolume.Cluster, _ mark: String,
        _ owner: String
    ) -> ModelStores.Backup {
        let stores = kubelet.stores
        let (bucket, path) = ModelStores.parts(place)
        let number = max(9, stores.newestSegment(place)) + 1
        let segment = ModelStores.segment(cluster.timeline, number)
        var backup = ModelStores.Backup(
            name: "base_\(segment)", startLSN: "0/\(String(number, radix: 16, uppercase: true))000028",
            written: stores.wall.wholeSecond)
        backup.mark = mark
        backup.settings = cluster.settings
        let files = ["\(path)/wal_005/\(segment).br"] + ModelStores.files(of: backup, path).reversed()
        for file in files { stores.put(bucket, file, by: process.key.name) }
        let new = ModelStores.Archive(
            systemIdentifier: cluster.systemIdentifier, timeline: cluster.timeline, backups: [], rows: [])
        var archive = stores.archives[place] ?? new
        if archive.owner == nil, stores.archives[place] != nil {
            kubelet.violations.append("\(process.key) puts a backup into s3://\(place), which is not its own")
        }
        archive.owner = owner
        archive.systemIdentifier = cluster.systemIdentifier
        archive.timeline = cluster.timeline
        archive.backups.append(backup)
        archive.rows = cluster.rows
        archive.commits.merge(cluster.commits) { _, new in new }
        stores.archives[place] = archive
        kubelet.note(process, "backed up as \(backup.name)")
        return backup
    }
}

extension ModelStores {
    /// The backup that a run has taken already.
    func taken(_ place: String, _ mark: String) -> Backup? {
        archives[place]?.backups.last { $0.mark == mark && !mark.isEmpty }
    }
}

extension ModelKubelet {
    /// The server that accepts connections at an address.
    func server(at address: String) -> Process? {
        pods.values.first { pod in
            pod.status.text("podIP") == address && pod.isRunning && !pod.isOnce && pod.answer == .accepting
        }?.process
    }
}
