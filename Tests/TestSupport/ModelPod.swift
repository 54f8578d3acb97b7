// SPDX-License-Identifier: Apache-2.0

import JSON

/// A pod as the kubelet of its node has it. It may outlive its object, on a node that nobody reaches.
final class ModelPod {
    /// What the server in a container answers to `pg_isready`.
    enum Answer: Int, Comparable {
        case nothing
        case rejecting
        case accepting

        static func < (left: Answer, right: Answer) -> Bool { left.rawValue < right.rawValue }
    }

    let key: ModelKey
    let uid: String
    /// Its containers are not started again.
    let isOnce: Bool
    /// As the kubelet would have it; what the API server has may be older.
    var status: JSONValue
    var node: String?
    var mounts: [ModelKubelet.Mount] = []
    /// How often the main container was started again.
    var restarts: Int64 = 0
    var initRestarts: Int64 = 0
    /// Grows with every container that is started.
    var instance = 0
    var isRunning = false
    var answer = Answer.nothing
    /// The running container does not heed SIGTERM.
    var isStubborn = false
    /// It is on its way out.
    var isEnding = false
    /// The object was to be removed, and the API server could not be reached.
    var owesRemoval = false
    /// It has ended for good: succeeded or failed.
    var isOver = false
    var lastState: JSONValue?
    var process: ModelKubelet.Process?
    /// By container; there from the moment when that has started.
    var logs: [String: ModelLog] = [:]

    init(_ key: ModelKey, _ uid: String, _ object: JSONValue) {
        self.key = key
        self.uid = uid
        isOnce = object.text("spec", "restartPolicy") == "Never"
        status = object["status"] ?? [:]
    }
}

extension ModelKubelet {
    struct Mount { var claim: String; var readOnly: Bool }

    /// One container that runs, or has run: `isAlive` says which.
    struct Process {
        var pod: ModelPod
        var instance = 0
        var container: JSONValue
        var environment: [String: String]
        var mounts: [Mount]

        var key: ModelKey { pod.key }
        var uid: String { pod.uid }
        var name: String { container.text("name") ?? "" }
        var arguments: [String] { container.items("args").compactMap(\.string) }
        var image: String { container.text("image") ?? "" }
        /// The claim that it writes to, or reads.
        var claim: String? { mounts.first?.claim }
    }
}
