// SPDX-License-Identifier: Apache-2.0

import JSON
import Resources

/// What the images of the stories do, by their names.
struct ModelImages {
    /// The contract image.
    static let contract = "docker.io/reprise/postgres-walg:15"
    /// Starts a new database system whatever the variables say.
    static let initdb = "docker.io/reprise/postgres-walg:15-initdb"
    /// Fetches the oldest base backup instead of the newest.
    static let otherBackup = "docker.io/reprise/postgres-walg:15-other-backup"
    static let agent = "docker.io/reprise/agent:test"

    static func exists(_ image: String) -> Bool { [contract, initdb, otherBackup, agent].contains(image) }

    private let kubelet: ModelKubelet

    init(_ kubelet: ModelKubelet) { self.kubelet = kubelet }

    /// Runs a server: restores or initialises an empty volume, serves what is on any other.
    func run(_ process: ModelKubelet.Process) {
        guard let claim = process.mounts.first?.claim else { return }
        let name = process.container.text("name") ?? ""
        if kubelet.volumes[claim]?.cluster != nil { return serve(process, name, claim, after: 2_000) }
        if let staged = kubelet.volumes[claim]?.staged, let archive = kubelet.stores.archives[staged.place] {
            return replay(process, name, claim, archive, staged.backup, upTo: staged.target, staged.isImmediate)
        }
        let source = process.environment["WALG_CLONE_FROM"] ?? ""
        guard process.image != Self.initdb, !source.isEmpty else {
            kubelet.volumes[claim]?.cluster = ModelVolume.Cluster(
                systemIdentifier: "9\(keyedHash(0, process.uid, 0) % 1_000_000_000)", timeline: 1, rows: [],
                password: process.environment["POSTGRES_PASSWORD"] ?? "")
            return serve(process, name, claim, after: 3_000)
        }
        fetch(process, name, claim, source)
    }

    private func fetch(_ process: ModelKubelet.Process, _ name: String, _ claim: String, _ source: String) {
        let place = String(source.dropFirst("s3://".count))
        let bucket = String(place.prefix { $0 != "/" })
        let refusal = kubelet.stores.refusal(process.environment, bucket: bucket, writing: false)
        guard refusal == nil, let archive = kubelet.stores.archives[place], !archive.backups.isEmpty else {
            return kubelet.ends(process, exitCode: 1, message: refusal ?? "no backups found", log: [])
        }
        let newest = archive.backups.sorted { ($0.written, $0.name) < ($1.written, $1.name) }
        guard let backup = process.image == Self.otherBackup ? newest.first : newest.last else { return }
        let target = process.environment["WALG_CLONE_TARGET_TIME"].flatMap(Self.moment)
        if process.image != Self.otherBackup { kubelet.emit(process, "INFO: LATEST backup is: '\(backup.name)'") }
        unpack(process, prefix: "INFO: Finished extraction of part_00") {
            kubelet.emit(process, "INFO: Backup extraction complete.")
            replay(process, name, claim, archive, backup, upTo: target, false)
        }
    }

    /// Four parts, one after the other.
    func unpack(_ process: ModelKubelet.Process, prefix: String, then next: @escaping () -> Void) {
        for part in 1...4 {
            kubelet.scheduler.after(kubelet.fetchDelay * Int64(part) / 4, "part \(part) of \(process.key)") {
                guard kubelet.isAlive(process.key, process.uid) else { return }
                kubelet.emit(process, "\(prefix)\(part).tar.lz4")
                if part == 4 { next() }
            }
        }
    }

    /// Replays what was fetched up to a moment, or to the archive's end.
    private func replay(
        _ process: ModelKubelet.Process, _ name: String, _ claim: String, _ archive: ModelStores.Archive,
        _ backup: ModelStores.Backup, upTo target: Timestamp?, _ isImmediate: Bool
    ) {
        kubelet.runs(process, name, started: true, ready: false)
        let first = backup.name.dropFirst("base_".count)
        kubelet.emit(process, "LOG:  restored log file \"\(first)\" from archive")
        kubelet.scheduler.after(kubelet.replayDelay, "promoted by \(process.key)") {
            guard kubelet.isAlive(process.key, process.uid) else { return }
            guard let end = isImmediate ? "reached consistency" : Self.end(of: archive, backup, target) else {
                return kubelet.ends(process, exitCode: 1, message: nil, log: Array(Self.notReached.utf8))
            }
            let timeline = archive.timeline + 1
            let reached = isImmediate ? backup.written : target
            kubelet.volumes[claim]?.cluster = ModelVolume.Cluster(
                systemIdentifier: archive.systemIdentifier, timeline: timeline, backupStartLSN: backup.startLSN,
                rows: archive.rows(from: backup, upTo: reached), endedAt: end, password: "the source's password")
            kubelet.volumes[claim]?.staged = nil
            push(process, "0000000\(timeline).history.br")
            serve(process, name, claim, after: 500)
        }
    }

    private static let notReached =
        "FATAL:  recovery ended before configured recovery target was reached\n"

    /// What stopped recovery: the first commit after the moment. `nil` when there is none, which PostgreSQL refuses.
    private static func end(
        of archive: ModelStores.Archive, _ backup: ModelStores.Backup, _ target: Timestamp?
    ) -> String? {
        guard let target else { return "no recovery target specified" }
        let reached = max(target, backup.written)
        guard let next = archive.commits.values.filter({ $0 > reached }).min() else { return nil }
        return "before \(next.rfc3339.replacing("T", with: " ").replacing("Z", with: "+00"))"
    }

    /// As `WALG_CLONE_TARGET_TIME` has it.
    static func moment(_ text: String) -> Timestamp? {
        Timestamp(rfc3339: text.replacing(" UTC", with: "Z").replacing(" ", with: "T"))
    }

    private func serve(_ process: ModelKubelet.Process, _ name: String, _ claim: String, after delay: Int64) {
        kubelet.scheduler.after(delay, "ready: \(process.key)") {
            guard kubelet.isAlive(process.key, process.uid) else { return }
            let isOpen = !process.arguments.contains("listen_addresses=")
            if isOpen, kubelet.volumes[claim]?.cluster?.isSealed == false {
                kubelet.violations.append("\(process.key) listens with data that was not sealed")
            }
            push(process, "000000020000000000000009.br")
            kubelet.runs(process, name, started: true, ready: true)
        }
    }

    /// Archives a file into the service's own prefix, unless archiving is switched off.
    private func push(_ process: ModelKubelet.Process, _ file: String) {
        guard !process.arguments.contains("archive_command=/bin/false"),
            let prefix = process.environment["WALG_S3_PREFIX"], prefix.hasPrefix("s3://")
        else { return }
        let place = prefix.dropFirst("s3://".count)
        let bucket = String(place.prefix { $0 != "/" })
        let path = place.dropFirst(bucket.count + 1)
        if let refusal = kubelet.stores.refusal(process.environment, bucket: bucket, writing: true) {
            kubelet.violations.append("\(process.key) can't archive into \(prefix): \(refusal)")
        } else {
            kubelet.stores.put(bucket, "\(path)/15/wal_005/\(file)", by: process.key.name)
        }
    }
}
