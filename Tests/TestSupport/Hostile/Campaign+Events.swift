// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources

extension WorldEvent {
    /// Nothing is taken apart by it: in the end all is as it should be.
    package var isHarmless: Bool {
        switch self {
        case .edit(_, .annotate), .edit(_, .removeLabel(Label.managedBy)), .newBackup, .newWAL, .bucketUnreachable,
            .revoke, .storeClock, .imageGone, .podsRefused:
            true
        default: false
        }
    }

    /// How long it lasts, in seconds; 0 for what is over at once.
    package var seconds: Int64 {
        switch self {
        case .loseNode(_, _, let seconds), .bucketUnreachable(_, let seconds), .revoke(_, let seconds),
            .imageGone(_, let seconds), .podsRefused(_, let seconds):
            seconds
        // Whoever scales to 0 again and again wins; the run says so, and waits for him.
        case .scaler(_, _, 0, let seconds): seconds + 900
        case .scaler(_, _, _, let seconds): seconds
        // A repository that is not there is waited for: it may be applied a little later than what names it.
        // It is made again when the old one is seen gone.
        case .recreate: 20
        case .deleteNamespace: 660
        // Nobody hears of an object without the label; only the step's deadline comes round.
        case .edit(_, .removeLabel): 2_000
        // The image may refuse to start like that; the run waits, and says so.
        case .edit(_, .setVariable): 2_000
        // Whoever scales to 0 again and again wins; the run says so, and waits for him.
        default: 0
        }
    }
}

extension Campaign {
    private static func key(_ kind: ModelKind, _ name: String) -> ModelKey { ModelKey(kind, Story.space, name) }

    /// What people, nodes and stores do to a story's objects.
    static func events(of profile: Profile) -> [WorldEvent] {
        profile.places.contains { $0.place.subject == UserService.name } ? inPlace : forNew
    }

    private static let forNew =
        pods("orders-a-0") + workloads + objects + stores("prod/\(Story.sourcePath)/15")
        + [.newWAL("prod/\(Story.sourcePath)/15")]

    /// Who takes away the user's data itself is told of in stories of their own.
    private static let inPlace = pods("\(UserService.name)-0") + user + stores("staging/\(UserService.name)/15")

    private static let user: [WorldEvent] = [
        .edit(key(.statefulSets, UserService.name), .annotate("example.com/note", "seen")),
        .edit(key(.statefulSets, UserService.name), .scale(0)), .edit(key(.statefulSets, UserService.name), .scale(1)),
        .scaler(key(.statefulSets, UserService.name), every: 2, to: 1, until: 20),
        .recreate(key(.statefulSets, UserService.name)), .recreate(key(.managedServices, UserService.name)),
        .recreate(key(.repositories, "staging-backups")), .recreate(key(.secrets, "staging-backups")),
        .delete(key(.runs, "monday")), .recreate(key(.runs, "monday")),
        .edit(key(.runs, "monday"), .annotate("example.com/note", "seen")),
    ]

    private static func pods(_ server: String) -> [WorldEvent] {
        [
            .deletePod(key(.pods, server)), .evict(key(.pods, server)), .killContainer(key(.pods, server)),
            .forceDeletePod(key(.pods, server)), .loseNode("node-1", crashed: true, seconds: 20),
            .loseNode("node-1", crashed: false, seconds: 20), .imageGone(Story.image, seconds: 15),
            .podsRefused(Story.space, seconds: 15),
        ]
    }

    private static let workloads: [WorldEvent] = [
        .delete(key(.statefulSets, "orders-a")), .recreate(key(.statefulSets, "orders-a")),
        .edit(key(.statefulSets, "orders-a"), .removeLabel(Label.managedBy)),
        .edit(key(.statefulSets, "orders-a"), .annotate("example.com/note", "seen")),
        .edit(key(.statefulSets, "orders-a"), .scale(0)), .edit(key(.statefulSets, "orders-a"), .scale(1)),
        .edit(key(.statefulSets, "orders-a"), .setVariable("WALG_CLONE_FROM", "s3://prod/elsewhere/15")),
        .scaler(key(.statefulSets, "orders-a"), every: 2, to: 1, until: 20),
        .delete(key(.claims, "data-orders-a-0")), .recreate(key(.claims, "data-orders-a-0")),
        .edit(key(.claims, "data-orders-a-0"), .removeLabel(Label.runUID)),
    ]

    private static let objects: [WorldEvent] = [
        .delete(key(.services, "orders-a")), .delete(key(.services, "orders-a-pods")),
        .recreate(key(.secrets, "prod-readonly")), .recreate(key(.repositories, "prod-readonly")),
        .delete(key(.runs, "monday")), .recreate(key(.runs, "monday")), .delete(key(.clones, "orders-a")),
        .recreate(key(.clones, "orders-a")), .edit(key(.runs, "monday"), .annotate("example.com/note", "seen")),
        .edit(key(.clones, "orders-a"), .annotate("example.com/note", "seen")), .deleteNamespace(Story.space),
    ]

    private static func stores(_ source: String) -> [WorldEvent] {
        [
            .newBackup(source), .deleteBackup(source), .bucketUnreachable("prod", seconds: 15),
            .bucketUnreachable("staging", seconds: 15), .revoke("reader", seconds: 15), .revoke("writer", seconds: 15),
            .storeClock(-600), .storeClock(600),
        ]
    }
}
