// SPDX-License-Identifier: Apache-2.0

import JSON
import Resources

// PostgreSQL in a pod: recovery, service, archiving, and the end.

extension ModelImages {
    // MARK: Recovery

    /// Replays what was fetched up to its target, or to the archive's end. Ended in the middle, it begins again.
    func replay(_ process: ModelKubelet.Process, _ claim: String, _ staged: ModelVolume.Staged) {
        if let why = Self.conflict(staged) { return fatal(process, why) }
        // Without the backup's own segments it can't begin; one that can't be had later is taken for the archive's end.
        guard isReachable(process, staged) else { return fatal(process, "could not locate required checkpoint record") }
        let acceptsEarly = !process.arguments.contains("hot_standby=off")
        kubelet.answers(process, .rejecting)
        let first = staged.backup.name.dropFirst("base_".count)
        kubelet.emit(process, "LOG:  restored log file \"\(first)\" from archive")
        kubelet.note(process, "replays")
        if acceptsEarly {
            kubelet.scheduler.after(kubelet.replayDelay / 4, "\(process.key) is consistent") {
                kubelet.answers(process, .accepting)
            }
        }
        kubelet.scheduler.after(kubelet.replayDelay, "promoted by \(process.key)") {
            guard kubelet.isAlive(process) else { return }
            promote(process, claim, staged)
        }
    }

    private func promote(_ process: ModelKubelet.Process, _ claim: String, _ staged: ModelVolume.Staged) {
        guard let archive = kubelet.stores.archives[staged.place], archive.gap?.segment != staged.backup.segment else {
            return fatal(process, "could not locate required checkpoint record")
        }
        let stop =
            staged.stop ?? staged.settings["recovery_target_time"].flatMap(Self.moment).map { RecoveryStop($0) }
        var end = archive.replayed(from: staged.backup, upTo: stop)
        if staged.isImmediate {
            end = archive.consistent(staged.backup, "reached consistency")
        } else if !isReachable(process, staged) {
            end = archive.consistent(staged.backup, "no recovery target specified")
            end.isShort = stop != nil
        } else if Self.stranger(staged) != nil {
            end.isShort = true
        }
        guard !end.isShort else {
            return fatal(process, "recovery ended before configured recovery target was reached")
        }
        var cluster = ModelVolume.Cluster(
            systemIdentifier: archive.systemIdentifier, timeline: archive.timeline + 1,
            backupStartLSN: staged.backup.startLSN, rows: end.rows, password: "the source's password")
        cluster.endedAt = end.endedAt
        cluster.switchLSN = end.switchLSN
        cluster.settings = staged.settings
        cluster.subscriptions = archive.subscriptions
        kubelet.volumes[claim]?.cluster = cluster
        kubelet.volumes[claim]?.staged = nil
        kubelet.note(process, "promoted: \(end.endedAt)")
        push(process, claim, ["0000000\(cluster.timeline).history"])
        serve(process, claim, after: 500)
    }

    /// Two targets in one configuration are refused before anything else.
    private static func conflict(_ staged: ModelVolume.Staged) -> String? {
        guard let stranger = stranger(staged) else { return nil }
        let times = staged.stop != nil || staged.settings["recovery_target_time"] != nil
        return times ? "multiple recovery targets specified: \(stranger)" : nil
    }

    /// A target of another kind that came with the backup. It lies before the backup, so it is never reached.
    private static func stranger(_ staged: ModelVolume.Staged) -> String? {
        ["recovery_target_xid", "recovery_target_lsn", "recovery_target_name"].first { staged.settings[$0] != nil }
    }

    private func isReachable(_ process: ModelKubelet.Process, _ staged: ModelVolume.Staged) -> Bool {
        let bucket = ModelStores.parts(staged.place).bucket
        return kubelet.stores.refusal(process.environment, bucket: bucket, writing: false) == nil
    }

    private func fatal(_ process: ModelKubelet.Process, _ why: String) {
        kubelet.ends(process, exitCode: 1, message: nil, log: Array("FATAL:  \(why)\n".utf8))
    }

    // MARK: Service

    func serve(_ process: ModelKubelet.Process, _ claim: String, after delay: Int64) {
        if process.pod.answer == .nothing { kubelet.answers(process, .rejecting) }
        kubelet.scheduler.after(delay, "ready: \(process.key)") {
            guard kubelet.isAlive(process) else { return }
            let cluster = kubelet.volumes[claim]?.cluster
            let isOpen = !process.arguments.contains("listen_addresses=")
            if isOpen, cluster?.isSealed == false, cluster?.backupStartLSN != nil {
                kubelet.violations.append("\(process.key) listens with data that was not sealed")
            }
            if let count = cluster?.subscriptions, count > 0,
                !process.arguments.contains("max_logical_replication_workers=0")
            {
                kubelet.violations.append("\(process.key) consumes what its source has subscribed to")
            }
            kubelet.note(process, isOpen ? "serves" : "serves nobody")
            push(process, claim, newFiles(process, cluster))
            kubelet.answers(process, .accepting)
        }
    }

    /// What a server archives that has just begun to serve. One that was promoted in place has left its timeline in the
    /// newest segment.
    private func newFiles(_ process: ModelKubelet.Process, _ cluster: ModelVolume.Cluster?) -> [String] {
        let timeline = cluster?.timeline ?? 1
        guard let cluster, let place = archivePlace(process, cluster), let archive = kubelet.stores.archives[place],
            archive.owner == process.claim, archive.timeline < timeline
        else { return [ModelStores.segment(timeline, 9)] }
        let newest = kubelet.stores.newestSegment(place)
        for number in archive.timeline + 1...timeline {
            kubelet.stores.archives[place]?.switches[number] =
                "0/\(String(newest, radix: 16, uppercase: true))000028"
        }
        let histories = (archive.timeline + 1...timeline).map {
            "\(String(repeating: "0", count: 7))\($0).history"
        }
        return histories + [ModelStores.segment(timeline, newest)]
    }

    /// A clean end: what was not archived yet is archived now.
    func shutDown(_ process: ModelKubelet.Process) {
        guard process.pod.answer == .accepting, !process.pod.isOnce, let claim = process.claim else { return }
        kubelet.note(process, "shut down")
        push(process, claim, [])
    }

    // MARK: Archiving

    /// Where a server archives: into its own prefix, unless that is switched off, or it has inherited a command.
    private func archivePlace(_ process: ModelKubelet.Process, _ cluster: ModelVolume.Cluster) -> String? {
        guard !process.arguments.contains("archive_command=/bin/false") else { return nil }
        if let inherited = cluster.settings["archive_command"] {
            return inherited.split(whereSeparator: { " '=".contains($0) }).first { $0.hasPrefix("s3://") }.map {
                String($0.dropFirst("s3://".count))
            }
        }
        guard let prefix = process.environment["WALG_S3_PREFIX"], prefix.hasPrefix("s3://") else { return nil }
        return "\(prefix.dropFirst("s3://".count))/15"
    }

    /// Archives what there is into the service's own prefix; what is refused is tried again.
    func push(_ process: ModelKubelet.Process, _ claim: String, _ files: [String]) {
        guard let cluster = kubelet.volumes[claim]?.cluster, let place = archivePlace(process, cluster) else { return }
        let stores = kubelet.stores
        let (bucket, path) = ModelStores.parts(place)
        if let refusal = stores.refusal(process.environment, bucket: bucket, writing: true) {
            let key = process.environment["AWS_ACCESS_KEY_ID"] ?? ""
            if refusal != "Unreachable", !stores.revoked.contains(key) {
                kubelet.violations.append("\(process.key) can't archive into s3://\(place): \(refusal)")
            }
            kubelet.scheduler.after(kubelet.archiveTimeout, "\(process.key) archives again") {
                if kubelet.isAlive(process) { push(process, claim, files) }
            }
            return
        }
        for file in files { stores.put(bucket, "\(path)/wal_005/\(file).br", by: process.key.name) }
        guard let archive = stores.archives[place] else { return }
        if archive.owner == nil {
            kubelet.violations.append("\(process.key) archives into s3://\(place), which is not its own")
        } else if archive.systemIdentifier == cluster.systemIdentifier, archive.owner == claim {
            stores.archives[place]?.rows = cluster.rows
            stores.archives[place]?.commits.merge(cluster.commits) { _, new in new }
            stores.archives[place]?.timeline = cluster.timeline
        } else if stores.archives[place]?.strangers.insert(cluster.systemIdentifier).inserted == true {
            kubelet.hazards.append("\(process.key) archives another database system into s3://\(place)")
        }
    }
}

extension ModelKubelet {
    /// A client commits a row in a service.
    /// - Returns: Whether there is a server that takes it.
    package func commit(_ row: String, in pod: ModelKey) -> Bool {
        guard let process = self.pod(pod)?.process, isAlive(process), process.pod.answer == .accepting,
            !process.pod.isOnce, !process.arguments.contains("listen_addresses="), let claim = process.claim,
            volumes[claim]?.cluster != nil
        else { return false }
        volumes[claim]?.cluster?.rows.append(row)
        volumes[claim]?.cluster?.commits[row] = scheduler.wall
        scheduler.after(archiveTimeout, "\(pod) archives", isHeartbeat: true) { [self] in
            if isAlive(process) { ModelImages(self).push(process, claim, []) }
        }
        return true
    }
}
