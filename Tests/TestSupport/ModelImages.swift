// SPDX-License-Identifier: Apache-2.0

import JSON
import Resources

/// What the images of the stories do, by their names: the contract with its traps, and images that break it.
///
/// * `PGDATA` that is not empty is started as it is, whatever the variables ask for;
/// * `LATEST` is fetched, whatever the target, and taken anew at each fetch;
/// * an interrupted fetch leaves `restore-tmp`, and every later start refuses;
/// * recovery settings that came with the backup stay, and the restore's own are written below them;
/// * with `hot_standby` on, a server that still recovers accepts connections.
struct ModelImages {
    /// The contract image.
    static let contract = "docker.io/reprise/postgres-walg:15"
    /// Starts a new database system whatever the variables say.
    static let initdb = "docker.io/reprise/postgres-walg:15-initdb"
    /// Fetches the oldest base backup instead of the newest.
    static let otherBackup = "docker.io/reprise/postgres-walg:15-other-backup"
    static let agent = "docker.io/reprise/agent:test"

    static func exists(_ image: String) -> Bool { [contract, initdb, otherBackup, agent].contains(image) }

    /// What is fetched, and how the lines about it begin.
    struct Fetch { var place: String; var backup: String; var line: String }

    let kubelet: ModelKubelet

    init(_ kubelet: ModelKubelet) { self.kubelet = kubelet }

    /// Runs a server: restores or initialises an empty volume, serves what is on any other.
    func run(_ process: ModelKubelet.Process) {
        guard let claim = process.claim, let volume = kubelet.volumes[claim] else { return }
        if volume.held != nil {
            // The placeholder: PG_VERSION is there, so nothing is initialised, and no server takes it.
            let line = "postgres: could not access the server configuration file \"postgresql.conf\"\n"
            return kubelet.ends(process, exitCode: 2, message: nil, log: Array(line.utf8))
        }
        if volume.cluster != nil {
            kubelet.note(process, "starts what is there")
            return serve(process, claim, after: 2_000)
        }
        if let staged = volume.staged { return replay(process, claim, staged) }
        let source = process.environment["WALG_CLONE_FROM"] ?? ""
        guard process.image != Self.initdb, !source.isEmpty else {
            kubelet.volumes[claim]?.leftOver = nil
            kubelet.volumes[claim]?.cluster = ModelVolume.Cluster(
                systemIdentifier: "9\(keyedHash(0, process.uid, 0) % 1_000_000_000)", timeline: 1, rows: [],
                password: process.environment["POSTGRES_PASSWORD"] ?? "")
            kubelet.note(process, "initdb")
            return serve(process, claim, after: 3_000)
        }
        if let why = Self.complaint(source, process.environment, volume) {
            return kubelet.ends(process, exitCode: 1, message: nil, log: Array("[entrypoint] FATAL: \(why)\n".utf8))
        }
        fetch(process, claim, String(source.dropFirst("s3://".count)))
    }

    /// What the entrypoint has against a clone.
    private static func complaint(
        _ source: String, _ environment: [String: String], _ volume: ModelVolume
    ) -> String? {
        guard Int(source.split(separator: "/").last ?? "") != nil else {
            return "WALG_CLONE_FROM must end with a version segment, as in s3://bucket/orders/15"
        }
        if environment["WALG_S3_PREFIX"]?.isEmpty != false { return "--from requires an active WAL-G prefix variable" }
        return volume.leftOver == .restoreTmp ? "/var/lib/postgresql/15/restore-tmp already exists" : nil
    }

    // MARK: Fetching

    private func fetch(_ process: ModelKubelet.Process, _ claim: String, _ place: String) {
        let bucket = ModelStores.parts(place).bucket
        if let refusal = kubelet.stores.refusal(process.environment, bucket: bucket, writing: false) {
            return kubelet.ends(process, exitCode: 1, message: refusal, log: Self.lines(refusal))
        }
        let archive = kubelet.stores.archives[place]
        let oldest = archive?.backups.min { ($0.written, $0.name) < ($1.written, $1.name) }
        guard let backup = process.image == Self.otherBackup ? oldest : archive?.latest else {
            return kubelet.ends(process, exitCode: 1, message: nil, log: Array("ERROR: No backups found\n".utf8))
        }
        if process.image != Self.otherBackup { kubelet.emit(process, "INFO: LATEST backup is: '\(backup.name)'") }
        kubelet.note(process, "fetches \(backup.name)")
        kubelet.volumes[claim]?.leftOver = .restoreTmp
        process.pod.isStubborn = kubelet.fetchIgnoresTermination
        let fetch = Fetch(place: place, backup: backup.name, line: "INFO: Finished extraction of part_00")
        unpack(process, fetch) { refusal in
            process.pod.isStubborn = false
            if let refusal {
                return kubelet.ends(process, exitCode: 1, message: nil, log: Self.lines(refusal))
            }
            kubelet.emit(process, "INFO: Backup extraction complete.")
            let staged = ModelVolume.Staged(
                place: place, backup: backup,
                stop: process.environment["WALG_CLONE_TARGET_TIME"].flatMap(Self.moment).map { RecoveryStop($0) },
                isImmediate: false,
                settings: backup.settings)
            kubelet.volumes[claim]?.leftOver = nil
            kubelet.volumes[claim]?.staged = staged
            kubelet.note(process, "put \(backup.name) in place")
            replay(process, claim, staged)
        }
    }

    /// What WAL-G writes when the store refuses.
    private static func lines(_ refusal: String) -> [UInt8] {
        let text =
            switch refusal {
            case "Unreachable": "dial tcp 10.0.0.9:443: i/o timeout"
            case "WrongCredentials": "SignatureDoesNotMatch: status code: 403"
            case "AccessDenied": "AccessDenied: Access Denied, status code: 403"
            case "SourceExpired":
                "object 'basebackups_005/base_x/tar_partitions/part_1.tar.br' not found in storage"
            default: refusal
            }
        return Array("ERROR: \(text)\n".utf8)
    }

    /// Four parts, one after the other, as long as the store gives them.
    /// - Parameter next: Told why it could not go on, or `nil`.
    func unpack(_ process: ModelKubelet.Process, _ fetch: Fetch, then next: @escaping (String?) -> Void) {
        unpack(1, process, fetch, next)
    }

    private func unpack(
        _ part: Int, _ process: ModelKubelet.Process, _ fetch: Fetch, _ next: @escaping (String?) -> Void
    ) {
        let bucket = ModelStores.parts(fetch.place).bucket
        if let refusal = kubelet.stores.refusal(process.environment, bucket: bucket, writing: false) {
            return next(refusal)
        }
        kubelet.scheduler.after(kubelet.fetchDelay / 4, "part \(part) of \(process.key)") {
            guard kubelet.isAlive(process) else { return }
            let backups = kubelet.stores.archives[fetch.place]?.backups ?? []
            guard backups.contains(where: { $0.name == fetch.backup }) else { return next("SourceExpired") }
            kubelet.emit(process, "\(fetch.line)\(part).tar.lz4")
            if part == 4 { next(nil) } else { unpack(part + 1, process, fetch, next) }
        }
    }

    /// As `WALG_CLONE_TARGET_TIME` has it.
    static func moment(_ text: String) -> Timestamp? {
        Timestamp(rfc3339: text.replacing(" UTC", with: "Z").replacing(" ", with: "T"))
    }
}
