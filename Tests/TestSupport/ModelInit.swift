// SPDX-License-Identifier: Apache-2.0

import Frames
import JSON
import Resources

/// The init container that fetches a named base backup, as `programs/postgres/restore.sh` does: once, however often it
/// is started. What an interrupted start left is thrown away; data that is there already is touched by nobody.
struct ModelInit {
    private let kubelet: ModelKubelet

    init(_ kubelet: ModelKubelet) { self.kubelet = kubelet }

    /// - Parameter next: Told whether it succeeded.
    func run(_ process: ModelKubelet.Process, then next: @escaping (Bool) -> Void) {
        guard let claim = process.claim else { return }
        kubelet.initializes(process, state: ["running": ["startedAt": .string(now)]])
        let volume = kubelet.volumes[claim] ?? ModelVolume()
        if volume.cluster != nil || volume.staged != nil {
            kubelet.note(process, "found its work done")
            return finish(process, "OK", next)
        }
        let environment = process.environment
        let place = String((environment["REPRISE_SOURCE_PREFIX"] ?? "").dropFirst("s3://".count))
        let name = environment["REPRISE_BACKUP"] ?? ""
        guard let backup = kubelet.stores.archives[place]?.backups.first(where: { $0.name == name }) else {
            let refusal = kubelet.stores.refusal(environment, bucket: ModelStores.parts(place).bucket, writing: false)
            return finish(process, refusal.map(Self.code) ?? "SourceExpired", next)
        }
        let kind = environment["REPRISE_TARGET_KIND"]
        kubelet.note(process, "fetches \(name)")
        kubelet.volumes[claim]?.leftOver = .staging
        ModelImages(kubelet).unpack(
            process, ModelImages.Fetch(place: place, backup: name, line: "reprise-progress part part_00")
        ) { refusal in
            if let refusal { return finish(process, Self.code(refusal), next) }
            kubelet.emit(process, "reprise-progress fetched")
            kubelet.volumes[claim]?.leftOver = nil
            kubelet.volumes[claim]?.staged = ModelVolume.Staged(
                place: place, backup: backup, stop: RecoveryStop(environment), isImmediate: kind == "immediate")
            kubelet.note(process, "put \(name) in place")
            finish(process, "OK", next)
        }
    }

    /// What the program says when the store refuses.
    static func code(_ refusal: String) -> String {
        switch refusal {
        case "Unreachable", "BucketNotFound": "StorageUnreachable"
        case "WrongCredentials", "AccessDenied": "StorageAccessDenied"
        default: refusal
        }
    }

    private var now: String { kubelet.scheduler.wall.wholeSecond.rfc3339 }

    private func finish(_ process: ModelKubelet.Process, _ code: String, _ next: @escaping (Bool) -> Void) {
        let message = (try? TerminationMessage(code: code, result: []).encoded()).map {
            String(decoding: $0, as: UTF8.self)
        }
        let ended: JSONValue = [
            "exitCode": code == "OK" ? 0 : 1, "message": .string(message ?? ""), "startedAt": .string(now),
            "finishedAt": .string(now),
        ]
        process.pod.logs[process.name]?.end()
        kubelet.initializes(process, state: ["terminated": ended])
        next(code == "OK")
    }
}
