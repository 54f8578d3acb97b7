// SPDX-License-Identifier: Apache-2.0

import JSON
import KubeClient
import Reconciler
import Resources
import Seams
import Synchronization

extension FuzzDecoder {
    private static let words = [
        "metadata", "name", "namespace", "uid", "resourceVersion", "labels", "annotations", "ownerReferences",
        "finalizers",
        "creationTimestamp", "deletionTimestamp", "generation", "spec", "status", "conditions", "type", "object",
        "items",
        "ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR", "Status", "kind", "code", "reason", "details", "causes",
        "retryAfterSeconds", "message", "continue", "Expired", "NotFound", "metadata.uid", "AlreadyExists",
    ]

    private static let kubeconfigTokens = [
        "clusters:", "users:", "contexts:", "current-context:", "- name: ", "cluster:", "user:", "&a ", "*a", "<<: *a",
        "!!binary ",
        "|\n", ">-\n", "---\n", "...\n", "? ", ": ", "[", "]", "{", "}", "\"", "'", "#", "\t", "%YAML 9.9\n", "~", "- ",
        "  ",
        "https://", "insecure-skip-tls-verify: true", "token: ", "tokenFile: ", "exec:", "certificate-authority-data: ",
    ]

    private static let yamlGrowth = [
        Growth("", "- a\n"), Growth("", "k#: a\n"), Growth("", "a: "), Growth("", "- "), Growth("", "["),
        Growth("", "{"),
        Growth("[", "a,", "a]"), Growth("{", "k#: ,", "a: b}"), Growth("a: &a [x]\nb:\n", "- *a\n"),
        Growth("", "# a\n"),
        Growth("\"", "\\u00e9", "\""), Growth("'", "a ", "'"), Growth("a: |\n", "  a\n"), Growth("", "\n"),
        Growth("", "? "),
        Growth("", "&a "), Growth("", "!a "), Growth("\"", "\n", "\""), Growth("", "a "), Growth("", "&a# a\n"),
        Growth("clusters:\n", "- name: c#\n  cluster: {server: https://a}\n"), .nested("[", "]"), Growth("", "%A\n"),
        Growth("- &a a\n", "- &b# *a\n"),
    ]

    static let kube = [
        FuzzDecoder(
            "objects", .json, tokens: words, allowance: treeAllowance,
            growth: [Growth("{\"metadata\":{\"name\":\"a\",\"labels\":{", "\"k#\":\"v\",", "\"z\":\"\"}}}")],
            check: Kinds.check,
            decode: Kinds.decode),
        FuzzDecoder(
            // An item takes what its Swift type takes, up to 10 KiB while the arrays grow, however little it says: the
            // server is trusted to send no more than the 500 objects that were asked for.
            "list", .json, tokens: words, allowance: Allowance(base: 8 << 20, factor: 4_096),
            growth: [
                Growth(
                    "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[", "{\"metadata\":{\"name\":\"a#\"}},", "{}]}"
                ),
                Growth("{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[", "{\"metadata\":1},", "{}]}"),
            ]
        ) { bytes in
            _ = try? await StandInServer(200, bytes).client.list(RestoreRun.self)
            _ = try? await StandInServer(200, bytes).client.list(ConfigMap.self)
        },
        FuzzDecoder(
            "watch", .lines, tokens: words + ["\n", "{\"type\":\"ADDED\",\"object\":{}}\n"], allowance: treeAllowance,
            growth: [
                Growth("", "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a#\"}}}\n"), Growth("", "\n"),
                Growth("", "a"),
                Growth("", "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\"},\"data\":3}}\n"),
            ], check: Watching.check
        ) { bytes in _ = await Watching.events([bytes]) },
        FuzzDecoder(
            "status", .json, tokens: words, allowance: treeAllowance,
            growth: [Growth("409 5\n{\"kind\":\"Status\",\"details\":{\"causes\":[", "{\"field\":\"a\"},", "{}]}}")]
        ) { bytes in await Watching.status(bytes) },
        FuzzDecoder("yaml", .lines, tokens: kubeconfigTokens, allowance: Allowance(factor: 64), growth: yamlGrowth) {
            bytes in
            _ = try? YAMLNode.document(bytes)
        },
        FuzzDecoder(
            "kubeconfig", .lines, tokens: kubeconfigTokens, allowance: Allowance(factor: 64), growth: yamlGrowth
        ) { bytes in
            for path in ["/config", "/other"] {
                _ = try? ClusterAccess.find(kubeconfig: path, environment: [:]) {
                    $0 == path ? bytes : Array("-----BEGIN ".utf8)
                }
            }
            _ = try? ServerURL(text(bytes))
            _ = try? ClusterAccess.inCluster(environment: ["KUBERNETES_SERVICE_HOST": text(bytes)]) { _ in bytes }
        },
    ]
}

/// Every kind that is read, whatever the object says it is.
enum Kinds {
    @Sendable static func decode(_ bytes: [UInt8]) async {
        read(RestorePlan.self, bytes) { _ = validate($0.spec) }
        read(ManagedService.self, bytes) { _ = validate($0.spec) }
        read(ServiceClone.self, bytes) { _ = validate($0.spec) }
        read(ServiceBackup.self, bytes) { _ = validate($0.spec) }
        read(BackupRepository.self, bytes) { _ = validate($0.spec, allowLoopback: false) }
        read(RestoreRun.self, bytes) { _ = validate($0.spec) }
        read(StatefulSet.self, bytes)
        read(Pod.self, bytes)
        read(Job.self, bytes)
        read(PersistentVolumeClaim.self, bytes)
        read(ConfigMap.self, bytes)
        read(Lease.self, bytes)
        read(EventFact.self, bytes) { _ = PodRefusal.find(in: [$0], about: "orders") }
    }

    private static func read<R: Resource>(_ type: R.Type, _ bytes: [UInt8], _ use: (R) -> Void = { _ in }) {
        if let object = try? JSON.decode(R.self, from: bytes) { use(object) }
    }

    /// A status that was read must be written as something that can be read.
    @Sendable static func check(_ bytes: [UInt8]) async -> String? {
        same(RestorePlan.self, bytes) ?? same(ManagedService.self, bytes) ?? same(ServiceClone.self, bytes)
            ?? same(BackupRepository.self, bytes) ?? same(RestoreRun.self, bytes) ?? same(ServiceBackup.self, bytes)
    }

    private static func same<R: CustomResource>(_ type: R.Type, _ bytes: [UInt8]) -> String? {
        guard let status = (try? JSON.decode(R.self, from: bytes))?.status else { return nil }
        return roundTrip(status)
    }

    /// What is wrong with a value's way through JSON; `nil` when nothing is.
    static func roundTrip<Value: Codable & Equatable>(_ value: Value) -> String? {
        guard let text = try? JSON.encode(value) else { return "\(Value.self) can't be written" }
        guard let again = try? JSON.decode(Value.self, from: text) else { return "\(Value.self) can't be read again" }
        return again == value ? nil : "\(Value.self) reads as something else"
    }
}

/// Streams and answers of the API server, read by the production client.
enum Watching {
    /// What came of a watch: its events, and how it ended.
    struct Outcome: Equatable {
        var events: [WatchEvent<ConfigMap>] = []
        var error: APIError?
    }

    static func events(_ pieces: [[UInt8]]) async -> Outcome {
        var outcome = Outcome()
        do {
            var watch = try await StandInServer(200, [], pieces: pieces).client.watch(ConfigMap.self, from: "1")
            while let event = try await watch.next() { outcome.events.append(event) }
        } catch { outcome.error = error as? APIError }
        return outcome
    }

    /// Wherever the stream is cut, the same comes out.
    @Sendable static func check(_ bytes: [UInt8]) async -> String? {
        let whole = await events(bytes.isEmpty ? [] : [bytes])
        let step = max(1, bytes.count / (bytes.count < 4_096 ? 8 : 2))
        for cut in stride(from: 1, to: bytes.count, by: step) {
            guard await events([Array(bytes[..<cut]), Array(bytes[cut...])]) == whole else {
                return "depends on a cut at \(cut)"
            }
        }
        guard bytes.count <= 400 else { return nil }
        return await events(bytes.map { [$0] }) == whole ? nil : "depends on the cuts"
    }

    /// `<status> <Retry-After>`, a newline and the body.
    static func status(_ bytes: [UInt8]) async {
        let end = bytes.firstIndex(of: 0x0A) ?? 0
        let words = text(Array(bytes[..<end])).split(separator: " ", maxSplits: 1).map(String.init)
        let status = words.first.flatMap { Int($0) } ?? 500
        let headers = words.dropFirst().flatMap { [HTTPHeader("Retry-After", $0), HTTPHeader("Date", $0)] }
        let body = Array(bytes[min(bytes.count, end + 1)...])
        for code in Set([status, 404, 409, 422]) where !(200..<300).contains(code) {
            let server = StandInServer(code, body, headers: headers)
            do { _ = try await server.client.get(ConfigMap.self, "ns", "name") } catch {
                _ = (error as? APIError)?.disposition
            }
            do { _ = try await server.client.watch(ConfigMap.self, from: "1") } catch { _ = "\(error)" }
        }
    }
}

/// Stands in for the API server: one answer, to everything, once as a page.
struct StandInServer: Exchange {
    let response: HTTPResponse
    let pieces: [[UInt8]]

    init(_ status: Int, _ body: [UInt8], headers: [HTTPHeader] = [], pieces: [[UInt8]]? = nil) {
        response = HTTPResponse(status: status, headers: headers, body: body)
        self.pieces = pieces ?? (body.isEmpty ? [] : [body])
    }

    var client: APIClient { APIClient(self, maximumLine: 64 << 10) }

    func send(_ request: HTTPRequest) async throws -> HTTPResponse {
        if request.target.contains("continue=") { throw ExchangeError(.unreachable, "there is one page") }
        return response
    }

    func open(_ request: HTTPRequest) async throws -> any HTTPStream {
        StandInStream(head: HTTPResponse(status: response.status, headers: response.headers), pieces: pieces)
    }
}

final class StandInStream: HTTPStream {
    let head: HTTPResponse
    private let rest: Mutex<ArraySlice<[UInt8]>>

    init(head: HTTPResponse, pieces: [[UInt8]]) {
        self.head = head
        rest = Mutex(pieces[...])
    }

    func next() async throws -> [UInt8]? { rest.withLock { $0.popFirst() } }
    func close() {}
}
