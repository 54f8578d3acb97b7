// SPDX-License-Identifier: Apache-2.0

import JSON
import Resources

/// One column of `restore_runs` that comes from the entry.
struct RunColumn: Sendable {
    /// What a later record may do to the column. The table's trigger enforces the same.
    enum Rule: Sendable {
        /// Must be the same.
        case fixed
        /// The first value stays; NULL may be filled in.
        case once
        /// As `once`, but free while the row is pending.
        case settled
        /// As `settled` for destructive runs, else `live`.
        case held
        /// As the entry says.
        case live
    }

    let name: String
    let type: String
    let rule: Rule
    let read: @Sendable (LedgerEntry) throws -> String?

    /// What an update makes of the column, from the row `r` and the entry's values `v`.
    var updated: String {
        switch rule {
        case .fixed, .live: "v.\(name)"
        case .once: "coalesce(r.\(name), v.\(name))"
        case .settled: "CASE WHEN r.status = 'pending' THEN v.\(name) ELSE coalesce(r.\(name), v.\(name)) END"
        case .held:
            "CASE WHEN r.status = 'pending' OR NOT r.destructive THEN v.\(name) ELSE coalesce(r.\(name), v.\(name)) END"
        }
    }
}

/// The columns of `restore_runs`, apart from `id`, `cluster_uid`, `epoch` and `updated_at`.
enum RunColumns {
    static let all: [RunColumn] = request + settled + planned + progress

    private static let request: [RunColumn] = [
        text("run_uid", .fixed) { $0.runUID },
        text("namespace", .fixed) { $0.namespace },
        text("name", .fixed) { $0.name },
        text("mode", .fixed) { $0.mode },
        text("spec_digest", .fixed) { $0.specDigest },
        text("engine", .once) { $0.engine },
        text("target_kind", .once) { $0.targetKind },
        text("target_service_name", .once) { $0.targetServiceName },
        json("recovery_target", .once) { $0.recoveryTarget },
        json("parameter_overrides", .once) { $0.parameterOverrides },
        text("request_id", .once) { $0.requestID },
        text("retry_of", .once) { $0.retryOf },
        text("rollback_of", .once) { $0.rollbackOf },
        text("requested_by", .once) { $0.requestedBy },
        time("created_at", .once) { $0.createdAt },
    ]

    private static let settled: [RunColumn] = [
        flag("destructive", .settled) { $0.destructive },
        flag("to_new_service", .settled) { $0.toNewService },
        text("source_backup", .settled) { $0.sourceBackup },
        text("source_location", .settled) { $0.sourceLocation },
        text("origin_service", .settled) { $0.originService },
        text("target_uid", .held) { $0.targetUID },
    ]

    private static let planned: [RunColumn] = [
        text("target_service", .live) { $0.targetService },
        text("strategy", .live) { $0.strategy },
        json("plan", .live) { $0.plan },
        text("plan_hash", .live) { $0.planHash },
        number("plan_version", .live) { Int64($0.planVersion) },
        text("approved_by", .live) { $0.approvedBy },
        text("log_id", .live) { $0.logID },
    ]

    private static let progress: [RunColumn] = [
        text("status", .live) { $0.status },
        text("phase", .live) { $0.phase },
        text("failed_phase", .live) { $0.failedPhase },
        flag("inferred", .live) { $0.inferred },
        json("resume_token", .live) { $0.resumeToken },
        number("attempt", .live) { Int64($0.attempt) },
        text("error_message", .live) { $0.errorMessage },
        number("bytes_total", .live) { $0.bytesTotal },
        number("bytes_restored", .live) { $0.bytesRestored },
        number("rto_seconds", .live) { $0.rtoSeconds },
        number("rpo_seconds", .live) { $0.rpoSeconds },
        json("verification", .live) { $0.verification },
        time("started_at", .live) { $0.startedAt },
        time("finished_at", .live) { $0.finishedAt },
    ]

    /// What `INSERT` and `UPDATE` are given: `$1` the cluster, `$2` the epoch, then the columns in order.
    static func values(of entry: LedgerEntry, cluster: String, epoch: Int64) throws -> [String?] {
        [storable(cluster), String(epoch)] + (try all.map { try $0.read(entry) })
    }

    /// PostgreSQL has no text with a NUL in it; a run must be recorded all the same.
    static func storable(_ text: String) -> String {
        guard text.utf8.contains(0) else { return text }
        return String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value == 0 ? "\u{FFFD}" : $0 }))
    }

    private typealias Read<Value> = @Sendable (LedgerEntry) -> Value?

    private static func text(_ name: String, _ rule: RunColumn.Rule, _ read: @escaping Read<String>) -> RunColumn {
        RunColumn(name: name, type: "text", rule: rule) { read($0).map(storable) }
    }

    private static func number(_ name: String, _ rule: RunColumn.Rule, _ read: @escaping Read<Int64>) -> RunColumn {
        RunColumn(name: name, type: "bigint", rule: rule) { read($0).map { String($0) } }
    }

    private static func flag(_ name: String, _ rule: RunColumn.Rule, _ read: @escaping Read<Bool>) -> RunColumn {
        RunColumn(name: name, type: "boolean", rule: rule) { read($0).map { $0 ? "t" : "f" } }
    }

    private static func time(_ name: String, _ rule: RunColumn.Rule, _ read: @escaping Read<Timestamp>) -> RunColumn {
        RunColumn(name: name, type: "timestamptz", rule: rule) { read($0)?.rfc3339 }
    }

    private static func json<Value: Encodable & SendableMetatype>(
        _ name: String, _ rule: RunColumn.Rule, _ read: @escaping Read<Value>
    ) -> RunColumn {
        RunColumn(name: name, type: "jsonb", rule: rule) { entry in
            try read(entry).map { String(decoding: withoutNUL(try JSON.encode($0)), as: UTF8.self) }
        }
    }

    /// JSON with every `\u0000` replaced: `jsonb` refuses it.
    static func withoutNUL(_ json: [UInt8]) -> [UInt8] {
        let escape = Array("u0000".utf8)
        var result = json
        var index = 0
        while index < result.count {
            guard result[index] == UInt8(ascii: "\\") else {
                index += 1
                continue
            }
            let end = index + 1 + escape.count
            if end <= result.count, result[(index + 1)..<end].elementsEqual(escape) {
                result.replaceSubrange((index + 1)..<end, with: "ufffd".utf8)
            }
            index += 2
        }
        return result
    }
}
