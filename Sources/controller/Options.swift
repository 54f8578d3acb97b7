// SPDX-License-Identifier: Apache-2.0

import Reconciler

/// What the controller is started with.
struct Options: Equatable {
    var kubeconfig: String?
    /// Where the controller's own objects live; the pod's namespace, or that of the kubeconfig's context, by default.
    var namespace: String?
    var agentImage = ""
    var agentImagePullPolicy: String?
    /// `host:port` of /healthz, /readyz and /metrics.
    var listen = "0.0.0.0:8080"
    var identity: String?
    var workers = 4
    var allowLoopbackEndpoints = false
    var isVerbose = false
    /// libpq connection string; from the environment, so that no password stands in a process list.
    var ledger = ""

    struct UsageError: Error, Equatable {
        var message: String
        var usage = Options.usage
    }

    static let usage = """
        usage: controller --agent-image IMAGE [options]
               controller ledger rebuild [--dry-run] [--kubeconfig FILE]
          --agent-image IMAGE           image of the agent, for Jobs that look into buckets (required)
          --agent-image-pull-policy P   Always, IfNotPresent or Never
          --kubeconfig FILE             default: KUBECONFIG, the pod's service account, ~/.kube/config
          --namespace NAME              where the leader's Lease and the spool live; default: the pod's own
          --listen HOST:PORT            /healthz, /readyz and /metrics (0.0.0.0:8080)
          --identity NAME               who this is in the Lease; default: HOSTNAME
          --workers N                   passes at the same time (4)
          --allow-loopback-endpoints    let repositories name loopback addresses (development)
          --verbose                     log every pass
        environment: REPRISE_LEDGER     libpq connection string of the ledger (required), such as
                                        host=ledger.db dbname=reprise user=reprise sslmode=verify-full
        """

    /// - Throws: `UsageError` that names the option and the way out.
    static func read(_ arguments: [String], _ environment: [String: String]) throws -> Options {
        var options = Options()
        var rest = arguments[...]
        while let flag = rest.popFirst() {
            switch flag {
            case "--allow-loopback-endpoints":
                options.allowLoopbackEndpoints = true
                continue
            case "--verbose":
                options.isVerbose = true
                continue
            default: break
            }
            guard let value = rest.popFirst() else { throw UsageError(message: "\(flag) needs a value") }
            try options.set(flag, value)
        }
        if options.agentImage.isEmpty { throw UsageError(message: "--agent-image is required") }
        guard let ledger = environment["REPRISE_LEDGER"], !ledger.isEmpty else {
            throw UsageError(message: "the environment variable REPRISE_LEDGER is required: where the ledger is")
        }
        options.ledger = ledger
        options.identity = options.identity ?? environment["HOSTNAME"]
        return options
    }

    private mutating func set(_ flag: String, _ value: String) throws {
        switch flag {
        case "--agent-image": agentImage = value
        case "--agent-image-pull-policy":
            guard ["Always", "IfNotPresent", "Never"].contains(value) else {
                throw UsageError(message: "\(flag) is Always, IfNotPresent or Never, not \(value)")
            }
            agentImagePullPolicy = value
        case "--kubeconfig": kubeconfig = value
        case "--namespace": namespace = value
        case "--listen": listen = value
        case "--identity": identity = value
        case "--workers":
            guard let number = Int(value), (1...64).contains(number) else {
                throw UsageError(message: "--workers is a number from 1 to 64, not \(value)")
            }
            workers = number
        default: throw UsageError(message: "unknown option \(flag)")
        }
    }
}
