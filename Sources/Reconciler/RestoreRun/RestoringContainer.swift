// SPDX-License-Identifier: Apache-2.0

import Catalog
import JSON
import Resources

/// A container of the restoring pod whose log is followed.
package enum RestoringContainer: String, CaseIterable, Hashable, Sendable {
    /// Fetches the named base backup (`InitContainer` path only).
    case fetcher
    /// The service's own; on the `Entrypoint` path it fetches as well.
    case server

    func name(_ profile: ImageProfile) -> String {
        switch self {
        case .fetcher: PostgresService.initContainer
        case .server: profile.container
        }
    }

    func status(in pod: Pod, _ profile: ImageProfile) -> Pod.ContainerStatus? {
        let name = name(profile)
        return switch self {
        case .fetcher: pod.status?.initContainerStatuses?.first { $0.name == name }
        case .server: pod.status?.containerStatuses?.first { $0.name == name }
        }
    }

    /// Reads the logs of those that have begun.
    static func observe(
        _ pod: Pod, _ profile: ImageProfile, through reader: inout some Reader
    ) -> [RestoringContainer: Observed<LineFacts>] {
        var lines: [RestoringContainer: Observed<LineFacts>] = [:]
        for container in allCases {
            guard let status = container.status(in: pod, profile), status.hasBegun else { continue }
            let format = LineFormat(patterns: PostgresLog.patterns, restart: status.restartCount ?? 0)
            lines[container] = reader.lines(of: pod.seen, container: container.name(profile), as: format)
        }
        return lines
    }
}

extension Pod.ContainerStatus {
    /// There is a log: it runs, or has run.
    var hasBegun: Bool { state?.running != nil || state?.terminated != nil || lastState?.terminated != nil }

    /// How often it has ended without success.
    var failures: Int {
        (restartCount ?? 0) + (isDown ? 1 : 0)
    }

    /// It has ended without success, and was not started again yet.
    var isDown: Bool {
        state?.terminated.map { $0.exitCode != 0 } ?? (state?.waiting?.reason == "CrashLoopBackOff")
    }

    /// The code in the termination message that our own programs leave.
    var programCode: String? {
        struct Message: Decodable {
            var v: Int
            var code: String
        }
        let text = (state?.terminated ?? lastState?.terminated)?.message
        guard let text, let message = try? JSON.decode(Message.self, from: Array(text.utf8)), message.v == 1
        else { return nil }
        return String(message.code.prefix(64))
    }
}

/// Why a restoring pod does not come to its end.
enum RestoreTrouble: Equatable {
    /// It ends the run.
    case fatal(PlanFinding)
    /// It may pass: shown until it has, or the deadline is over.
    case passing(PlanFinding)

    /// How often a container may end for a reason that nothing is known of.
    static let unknownLimit = 3

    /// Judges what its containers' states and logs say; `nil` when nothing is wrong.
    static func find(_ pod: Pod, _ snapshot: RestoreRunSnapshot, _ world: Workplace) -> RestoreTrouble? {
        if let finding = otherLatest(snapshot, world) { return .fatal(finding) }
        for container in RestoringContainer.allCases {
            // Only one that is down now: what a log says of a container that runs has not stopped it.
            guard let status = container.status(in: pod, world.request.profile), status.failures > 0, status.isDown
            else { continue }
            let facts = snapshot.lines[container]?.value
            if let name = reason(facts, status, container, snapshot) {
                return judge(name, status, container, pod, world)
            }
            guard let obstacle = PodObstacle.find(pod), obstacle.reason == "RestoreCrashed" else { continue }
            return status.failures > unknownLimit ? .fatal(obstacle) : .passing(obstacle)
        }
        return PodObstacle.find(pod).map { .passing($0) }
    }

    /// The reason that the container's last end had: from its log as it is now, from its program's own code, or from what
    /// was seen in the log before it was restarted.
    private static func reason(
        _ facts: LineFacts?, _ status: Pod.ContainerStatus, _ container: RestoringContainer,
        _ snapshot: RestoreRunSnapshot
    ) -> String? {
        if container == .fetcher, let code = status.programCode, code != "OK", code != "Interrupted" { return code }
        let seen = seen(in: facts)
        // What an interrupted fetch leaves behind is no cause: the one of its first end is.
        if seen == nil || seen == "StagingLeftOver" { return snapshot.record.lastReason ?? seen }
        return seen
    }

    /// The first reason that a log tells.
    static func seen(in facts: LineFacts?) -> String? {
        PostgresLog.reasons.first { (facts?.counts[$0.name] ?? 0) > 0 }?.name
    }

    private static func judge(
        _ name: String, _ status: Pod.ContainerStatus, _ container: RestoringContainer, _ pod: Pod,
        _ world: Workplace
    ) -> RestoreTrouble {
        let known = PostgresLog.reason(name)
        let wayOut = known?.wayOut ?? "see its log"
        let finding = PlanFinding(
            reason: name,
            message: "pod \(pod.metadata.name), container \(container.name(world.request.profile)): \(wayOut) (kubectl "
                + "logs \(pod.metadata.name) -c \(container.name(world.request.profile)) --previous)")
        let limit = known.map { $0.mayPass ? 2 : 1 } ?? unknownLimit
        return status.failures >= limit ? .fatal(finding) : .passing(finding)
    }

    /// The image says in its log which base backup it took for `LATEST`. With a target another one than the plan's may
    /// lead to other rows without any error, so the attempt ends at once.
    private static func otherLatest(_ snapshot: RestoreRunSnapshot, _ world: Workplace) -> PlanFinding? {
        guard world.request.recovery.moment != .latest,
            let fetched = snapshot.lines[.server]?.value?.words[PostgresLog.Progress.latest],
            fetched != world.pinned.name
        else { return nil }
        return OtherBackup.finding("\(fetched)", world)
    }
}
