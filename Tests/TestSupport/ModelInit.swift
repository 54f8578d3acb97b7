// SPDX-License-Identifier: Apache-2.0

import Frames
import JSON
import Resources

/// The init container that fetches a named base backup, as `programs/postgres/restore.sh` does: once, however often it is
/// started.
struct ModelInit {
    private let kubelet: ModelKubelet

    init(_ kubelet: ModelKubelet) { self.kubelet = kubelet }

    func run(_ process: ModelKubelet.Process, then next: @escaping () -> Void) {
        guard let claim = process.mounts.first?.claim else { return }
        kubelet.initializes(process, state: ["running": ["startedAt": .string(now)]])
        if kubelet.volumes[claim]?.cluster != nil || kubelet.volumes[claim]?.staged != nil {
            return finish(process, "OK", next)
        }
        let environment = process.environment
        let place = String((environment["REPRISE_SOURCE_PREFIX"] ?? "").dropFirst("s3://".count))
        let bucket = String(place.prefix { $0 != "/" })
        if let refusal = kubelet.stores.refusal(environment, bucket: bucket, writing: false) {
            return finish(process, refusal, next)
        }
        guard let archive = kubelet.stores.archives[place],
            let backup = archive.backups.first(where: { $0.name == environment["REPRISE_BACKUP"] })
        else { return finish(process, "BackupUnusable", next) }
        let kind = environment["REPRISE_TARGET_KIND"]
        let target = kind == "time" ? ModelImages.moment(environment["REPRISE_TARGET"] ?? "") : nil
        ModelImages(kubelet).unpack(process, prefix: "reprise-progress part part_00") {
            kubelet.emit(process, "reprise-progress fetched")
            kubelet.volumes[claim]?.staged = ModelVolume.Staged(
                place: place, backup: backup, target: target, isImmediate: kind == "immediate")
            finish(process, "OK", next)
        }
    }

    private var now: String { kubelet.scheduler.wall.wholeSecond.rfc3339 }

    private func finish(_ process: ModelKubelet.Process, _ code: String, _ next: @escaping () -> Void) {
        let message = (try? TerminationMessage(code: code, result: []).encoded()).map {
            String(decoding: $0, as: UTF8.self)
        }
        let ended: JSONValue = [
            "exitCode": code == "OK" ? 0 : 1, "message": .string(message ?? ""), "startedAt": .string(now),
            "finishedAt": .string(now),
        ]
        kubelet.initializes(process, state: ["terminated": ended])
        if code == "OK" { kubelet.scheduler.after(200, "main container of \(process.key)", next) }
    }
}
