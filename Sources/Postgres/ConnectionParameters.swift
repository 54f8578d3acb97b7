// SPDX-License-Identifier: Apache-2.0

import CPostgres

/// A connection string taken apart by libpq, with our defaults added.
///
/// libpq repeats parts of a connection string in its errors. With a password that was not percent-encoded these can be
/// parts of the password (`postgres://u:a/b@host` names a host `u` and a port `a`), so anything that looks like a
/// mistake of that kind is refused here, with a constant message, before libpq can print it.
struct ConnectionParameters: Sendable {
    /// Keywords and values in libpq's order.
    let options: [(keyword: String, value: String)]
    /// Texts that must not be shown.
    let secrets: [String]

    init(conninfo: String, settings: PostgresSettings) throws(PostgresError) {
        guard !conninfo.utf8.contains(0), var given = Self.parse(conninfo) else {
            throw PostgresError(.malformedConninfo, "the connection string is malformed")
        }
        try Self.refuseMisparsed(given)
        if let database = settings.database { given["dbname"] = database }
        secrets = ["password", "sslpassword"].compactMap { given[$0] }.filter { !$0.isEmpty }
        var all = [
            "application_name": settings.applicationName,
            "client_encoding": "UTF8",
            "connect_timeout": String(max(2, settings.connectTimeoutSeconds)),
            "tcp_user_timeout": "10000",
            "keepalives_idle": "30",
            "keepalives_interval": "10",
            "keepalives_count": "3",
        ]
        let hosts = given["host"] ?? given["hostaddr"] ?? ""
        if hosts.contains(",") { all["target_session_attrs"] = "read-write" }
        all.merge(given) { _, asked in asked }
        all["client_encoding"] = "UTF8"
        options = all.sorted { $0.key < $1.key }.map { (keyword: $0.key, value: $0.value) }
    }

    /// The names and addresses of its servers, in order, without sockets; none if it is malformed.
    static func hosts(of conninfo: String) -> [String] {
        guard !conninfo.utf8.contains(0), let given = parse(conninfo) else { return [] }
        let all = [given["host"], given["hostaddr"]].compactMap { $0 }.flatMap { $0.split(separator: ",") }
        return all.map(String.init).filter { !$0.hasPrefix("/") && !$0.hasPrefix("@") }
    }

    /// A text from libpq without our secrets.
    func redacted(_ text: String, alsoHiding password: String?) -> String {
        var result = text
        for secret in secrets + [password].compactMap({ $0 }) where !secret.isEmpty {
            result = result.split(separator: secret, omittingEmptySubsequences: false).joined(separator: "***")
        }
        return result
    }

    private static func parse(_ conninfo: String) -> [String: String]? {
        var complaint: UnsafeMutablePointer<CChar>?
        guard let first = PQconninfoParse(conninfo, &complaint) else {
            PQfreemem(complaint)
            return nil
        }
        defer { PQconninfoFree(first) }
        var result: [String: String] = [:]
        var option = first
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val { result[String(cString: keyword)] = String(cString: value) }
            option += 1
        }
        return result
    }

    private static func refuseMisparsed(_ given: [String: String]) throws(PostgresError) {
        let ports = (given["port"] ?? "").split(separator: ",")
        let hosts = (given["host"] ?? "").split(separator: ",")
        let database = given["dbname"] ?? ""
        guard ports.allSatisfy({ UInt16($0) != nil }),
            hosts.allSatisfy({ !$0.dropFirst().contains("@") || $0.hasPrefix("/") }),
            !database.contains("@"), !database.contains("/")
        else {
            throw PostgresError(
                .malformedConninfo,
                "the connection string is malformed: a password in a URI must be percent-encoded")
        }
    }
}

extension ConnectionParameters: CustomStringConvertible, CustomReflectable {
    var description: String { "ConnectionParameters(not shown)" }
    var customMirror: Mirror { Mirror(self, children: [:]) }
}
