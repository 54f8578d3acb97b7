// SPDX-License-Identifier: Apache-2.0

import KubeClient
import Reconciler
import Resources
import Seams

/// One Event to post.
struct Announcement: Sendable {
    var notice: Notice
    /// The object as it was when the notice became true.
    var about: Seen
    /// Its place among the notices of one status write.
    var number: Int
    var at: Timestamp

    /// The Event. Its name follows from what it says and of which version, so that posting it twice is no second one.
    var manifest: EventManifest {
        let mark = Self.hash("\(about.uid)/\(about.resourceVersion)/\(number)")
        let namespace = about.ref.namespace.isEmpty ? "default" : about.ref.namespace
        return EventManifest(
            metadata: ManifestMeta(name: "\(about.ref.name.prefix(230)).\(mark)", namespace: namespace),
            involvedObject: EventManifest.ObjectReference(
                apiVersion: about.ref.kind.apiVersion, kind: about.ref.kind.kind, namespace: about.ref.namespace,
                name: about.ref.name, uid: about.uid),
            reason: String(notice.reason.prefix(128)), message: String(notice.message.prefix(1_000)),
            type: notice.isWarning ? "Warning" : "Normal", at: at)
    }

    /// FNV-1a, 64 bits, as 16 hexadecimal digits: the same in every process.
    static func hash(_ text: String) -> String {
        var value: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text.utf8 { value = (value ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}

/// Events are posted beside the passes, in order and at best: none is tried again, none holds up or fails a pass.
extension Loop {
    private static let longestLine = 1_024

    func announce(_ notices: [Notice], about object: Seen) {
        let now = time.now
        let dropped = update { memory -> Int in
            for (number, notice) in notices.enumerated() where memory.announcements.count < Self.longestLine {
                memory.announce(Announcement(notice: notice, about: object, number: number, at: now))
            }
            return memory.announcements.count < Self.longestLine ? 0 : notices.count
        }
        if dropped > 0 { note(.warning, LoopEvents.noticeDropped, ["object": object.ref.description]) }
    }

    /// Posts Events until the task is cancelled.
    func announceForever() async throws {
        while true {
            let seen = noticeBell.count
            let batch = update { memory -> [Announcement] in
                let batch = memory.announcements
                memory.announcements = []
                return batch
            }
            if batch.isEmpty { try await noticeBell.wait(beyond: seen) }
            for announcement in batch { try await post(announcement) }
        }
    }

    private func post(_ announcement: Announcement) async throws {
        do {
            try hold.check()
            try await client.with(timeout: min(client.timeout, 10_000)).create(announcement.manifest)
        } catch let error as APIError where error.code == .alreadyExists {
            return
        } catch {
            try Task.checkCancellation()
            if error is CancellationError { throw error }
            let trouble = Self.trouble(error)
            note(
                .warning, LoopEvents.noticeFailed,
                ["object": announcement.about.ref.description, "reason": trouble.reason, "message": trouble.message])
        }
    }
}
