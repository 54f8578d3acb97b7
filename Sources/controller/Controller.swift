// SPDX-License-Identifier: Apache-2.0

import ControlLoop
import Curl
import Foundation
import KubeClient
import Ledger
import Reconciler
import Resources
import Seams
import Wiring

/// The controller's process: reads what it is started with, wires the parts, and runs the loop until a signal ends it.
@main
enum Controller {
    static func main() async {
        let journal: LogJournal
        do {
            let arguments = Array(CommandLine.arguments.dropFirst())
            let environment = ProcessInfo.processInfo.environment
            if arguments.contains("--help") || arguments.contains("-h") {
                print(arguments.first == "ledger" ? LedgerCommand.usage : Options.usage)
                exit(0)
            }
            if arguments.first == "ledger" {
                let command = try LedgerCommand.read(Array(arguments.dropFirst()), environment)
                let isWhole = try await rebuild(command)
                fflush(nil)
                leave(isWhole ? 0 : 1)
            }
            let options = try Options.read(arguments, environment)
            journal = LogJournal(isVerbose: options.isVerbose)
            try await run(options, journal)
            leave(0)
        } catch let error as Options.UsageError {
            fail("\(error.message)\n\(error.usage)", status: 2)
        } catch let error as ProbeServer.ListenError {
            fail(error.message, status: 2)
        } catch let error as ClusterAccessError {
            fail("\(error)", status: 2)
        } catch let error as LedgerError {
            fail("the ledger: \(error.message)", status: 2)
        } catch {
            fail("\(error)", status: 1)
        }
    }

    private static func run(_ options: Options, _ journal: LogJournal) async throws {
        let (loop, time, exchange, own) = try reach(options.kubeconfig)
        let namespace = options.namespace ?? own
        let stop = StopSignal()
        let signals = Signals { stop.stop() }
        defer { signals.end() }
        var settings = Settings(agentImage: options.agentImage, controllerNamespace: namespace)
        settings.agentImagePullPolicy = options.agentImagePullPolicy
        settings.allowLoopbackEndpoints = options.allowLoopbackEndpoints
        settings.ledgerHosts = PostgresLedger.hosts(of: options.ledger)
        var configuration = LoopConfiguration(
            settings: settings, identity: options.identity ?? "controller", stop: stop)
        configuration.workers = options.workers
        let pulse = Pulse(time)
        let heart = Task(executorPreference: loop) { try await pulse.beat(time) }
        defer { heart.cancel() }
        let probes = Probes(state: configuration.state, journal: journal, time: time, pulse: pulse)
        let server = try ProbeServer(listen: options.listen) { probes.answer($0) }
        defer { server.stop() }
        let ready = configuration
        try await Task(executorPreference: loop) {
            guard let cluster = try await clusterUID(APIClient(exchange), time, journal, stop) else { return }
            let ledger = try PostgresLedger(conninfo: options.ledger, clusterUID: cluster, journal: journal)
            let surroundings = Surroundings(
                executor: loop, exchange: exchange, ledger: ledger, time: time, entropy: SystemEntropy(),
                journal: journal)
            try await runControlLoop(.reprise(in: namespace), configuration: ready, in: surroundings)
            ledger.close()
        }.value
    }

    /// What it takes to speak with the API server, and the namespace that is one's own there.
    static func reach(
        _ kubeconfig: String?
    ) throws -> (EventLoop, SystemTimekeeper, any Exchange, namespace: String) {
        let loop = try EventLoop()
        let time = SystemTimekeeper(loop)
        let access = try ClusterAccess.find(
            kubeconfig: kubeconfig, environment: ProcessInfo.processInfo.environment, readFile: readFile)
        return (loop, time, try exchange(access, loop, time), access.namespace)
    }

    /// The cluster's name for the ledger: the UID of kube-system. `nil` when there is no such namespace.
    static func clusterUID(_ client: APIClient) async throws -> String? {
        try await client.get(Namespace.self, "", "kube-system")?.metadata.uid
    }

    private static func exchange(
        _ access: ClusterAccess, _ loop: EventLoop, _ time: SystemTimekeeper
    ) throws -> any Exchange {
        var settings = CurlExchange.Settings()
        settings.tls = CurlExchange.TLS(
            authorities: access.caPEM, certificate: access.clientCertificatePEM, key: access.clientKeyPEM)
        let base = try CurlExchange(loop: loop, origin: access.server.origin, settings: settings)
        return AuthorizingExchange(
            base, token: access.token, pathPrefix: access.server.pathPrefix, time: time,
            readFile: { try readFile($0) })
    }

    /// As the other, once the API server answers. `nil` when a signal came first.
    private static func clusterUID(
        _ client: APIClient, _ time: SystemTimekeeper, _ journal: LogJournal, _ stop: StopSignal
    ) async throws -> String? {
        while !stop.isStopped {
            do {
                if let uid = try await clusterUID(client) { return uid }
                journal.note(LoopEvent(.error, "namespace kube-system does not exist"))
            } catch {
                journal.note(LoopEvent(.warning, "API server can't be asked", ["message": "\(error)"]))
            }
            try await time.sleep(until: time.uptime.adding(1_000), for: .retry)
        }
        return nil
    }

    @Sendable private static func readFile(_ path: String) throws -> [UInt8]? {
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        return [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    }

    private static func fail(_ text: String, status: Int32) -> Never {
        FileHandle.standardError.write(Data("controller: \(text)\n".utf8))
        leave(status)
    }

    /// Ends the process at once. `exit` would run the C libraries' clean-up (OpenSSL's above all) under the feet of the
    /// loop's thread, which may still be closing its connections; and nothing here is buffered.
    private static func leave(_ status: Int32) -> Never { _exit(status) }
}

/// SIGTERM and SIGINT as one call. A second signal does nothing more: stopping is bounded already.
struct Signals {
    private let sources: [any DispatchSourceSignal]

    init(_ handler: @escaping @Sendable () -> Void) {
        sources = [SIGTERM, SIGINT].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { @Sendable in handler() }
            source.resume()
            return source
        }
        signal(SIGPIPE, SIG_IGN)
    }

    func end() { sources.forEach { $0.cancel() } }
}
