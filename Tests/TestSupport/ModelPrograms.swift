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
            guard kubelet.isAlive(process.key, process.uid) else { return }
            if process.arguments.contains("--repository") {
                let result = ModelRepositoryScan(kubelet).result(of: process)
                finish(process, result.code, result)
            } else if job.contains("-scan-") || job.contains("-compare-") {
                scan(process)
            } else if job.contains("-seal-") {
                seal(process)
            } else {
                backup(process)
            }
        }
    }

    private func finish(_ process: ModelKubelet.Process, _ code: String, _ result: some Encodable) {
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
        guard let claim = process.mounts.first?.claim, let cluster = kubelet.volumes[claim]?.cluster else {
            result.code = "RestoreNotPerformed"
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
        // Behind every segment of the stories.
        result.switchLsn = "0/FF000028"
        result.serverVersionNum = 150_015
        result.dataBytes = 4 << 30
        result.subscriptionsDisabled = 0
        result.rolesReset = 1
        kubelet.volumes[claim]?.cluster?.isSealed = true
        if process.environment["REPRISE_ROTATE_PASSWORDS"] == "true" {
            let space = process.key.namespace
            let secret =
                kubelet.api[process.key]?.items("spec", "volumes").compactMap {
                    $0.text("secret", "secretName")
                }.first ?? ""
            guard let password = kubelet.secret(space, secret, "password") else {
                result.code = "CredentialsInvalid"
                return finish(process, result.code, result)
            }
            kubelet.volumes[claim]?.cluster?.password = password
        }
        finish(process, "OK", result)
    }

    // MARK: backup

    private func backup(_ process: ModelKubelet.Process) {
        var result = BackupResult(attempt: token(process), code: "OK")
        let prefix = (process.environment["WALG_S3_PREFIX"] ?? "").dropFirst("s3://".count)
        let bucket = String(prefix.prefix { $0 != "/" })
        let path = prefix.dropFirst(bucket.count + 1)
        if let refusal = kubelet.stores.refusal(process.environment, bucket: bucket, writing: true) {
            result.code = refusal
            return finish(process, refusal, result)
        }
        let name = "base_00000002000000000000000A"
        let folder = "\(path)/15/basebackups_005/\(name)"
        kubelet.stores.put(bucket, "\(folder)/tar_partitions/part_1.tar.br", by: process.key.name)
        kubelet.stores.put(bucket, "\(folder)_backup_stop_sentinel.json", by: process.key.name)
        result.backup = TakenBackup(name: name)
        result.backup?.startLsn = "0/A000028"
        finish(process, "OK", result)
    }
}
