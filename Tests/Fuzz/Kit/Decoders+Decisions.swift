// SPDX-License-Identifier: Apache-2.0

import JSON
import Reconciler
import Resources

extension FuzzDecoder {
    static let decisions = [
        FuzzDecoder(
            "decisions", .json,
            tokens: ["status", "spec", "lastScan", "sequence", "attempts", "record", "retry", "limit", "deadlines"],
            allowance: treeAllowance, check: Deciding.check
        ) { bytes in
            for reader in [BlankReader(isUnknown: true), BlankReader(isUnknown: false)] {
                _ = Deciding.problem(bytes, reader)
            }
        }
    ]
}

/// One pass over an object that anybody may have edited, its status included.
enum Deciding {
    @Sendable static func check(_ bytes: [UInt8]) async -> String? {
        problem(bytes, BlankReader(isUnknown: true)) ?? problem(bytes, BlankReader(isUnknown: false))
    }

    static func problem(_ bytes: [UInt8], _ reader: BlankReader) -> String? {
        pass(RestoreRunBehavior.self, bytes, reader) ?? pass(RestorePlanBehavior.self, bytes, reader)
            ?? pass(ServiceCloneBehavior.self, bytes, reader) ?? pass(BackupRepositoryBehavior.self, bytes, reader)
            ?? pass(ManagedServiceBehavior.self, bytes, reader) ?? pass(SpoolBehavior.self, bytes, reader)
            ?? pass(ServiceBackupBehavior.self, bytes, reader)
    }

    /// - Returns: what is wrong with the status that was decided.
    private static func pass<B: Behavior>(_ behavior: B.Type, _ bytes: [UInt8], _ reader: BlankReader) -> String? {
        guard let object = try? JSON.decode(B.Object.self, from: bytes) else { return nil }
        var reader = reader
        let snapshot = B.observe(object, through: &reader)
        let decision = B.decide(snapshot, at: Timestamp(seconds: 1_800_000_000))
        guard let status = decision.status else { return nil }
        _ = B.notices(from: B.status(of: object), to: status)
        return Kinds.roundTrip(status)
    }
}

/// Stands in for a world of which nothing is known, or in which nothing is.
struct BlankReader: Reader {
    var isUnknown: Bool
    var settings: Settings { Settings(agentImage: "agent", controllerNamespace: "db") }

    private func nothing<Value>() -> Observed<Value> { isUnknown ? .unknown : .absent(confirmed: true) }

    mutating func object<R: Resource>(_ type: R.Type, _ namespace: String, _ name: String) -> Observed<R> { nothing() }
    mutating func objects<R: Resource>(
        _ type: R.Type, _ namespace: String, labelled label: String, _ value: String
    ) -> Observed<[R]> { isUnknown ? .unknown : .present([]) }
    mutating func watched<R: Resource>(_ type: R.Type, _ namespace: String, _ name: String) -> Observed<R> {
        isUnknown ? .unknown : .absent(confirmed: false)
    }
    mutating func confirmed<R: Resource>(_ type: R.Type, _ namespace: String, _ name: String) -> Observed<R> {
        nothing()
    }
    mutating func confirmedObjects<R: Resource>(
        _ type: R.Type, _ namespace: String, labelled label: String, _ value: String
    ) -> Observed<[R]> { isUnknown ? .unknown : .present([]) }

    mutating func log(of pod: Seen, container: String, as format: LogFormat) -> Observed<LogFacts> { nothing() }
    mutating func lines(of pod: Seen, container: String, as format: LineFormat) -> Observed<LineFacts> { nothing() }
    mutating func podRefusal(of owner: Seen) -> Observed<PodRefusal> { nothing() }
    mutating func ledger(_ question: LedgerQuestion) -> Observed<LedgerAnswer> { nothing() }
    mutating func lastFailure() -> Failure? { nil }
}
