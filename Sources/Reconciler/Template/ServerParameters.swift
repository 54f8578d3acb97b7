// SPDX-License-Identifier: Apache-2.0

import Resources

/// What the command line of a PostgreSQL container sets, as far as a copy of the service takes it over.
struct ServerParameters: Equatable {
    /// Each `name=value`, literally: nothing in them is a variable of Kubernetes. In the order of the command line.
    var settings: [String] = []
    /// What is not taken over, in words.
    var omitted: [String] = []

    /// Where a server is, who may reach it, whom it follows, where it archives to and what it restores from: all that makes
    /// it this server and not another one. Files that only its own volumes have are among it.
    private static let own: Set<String> = [
        "listen_addresses", "port", "data_directory", "config_file", "hba_file", "ident_file", "external_pid_file",
        "unix_socket_directories", "unix_socket_group", "unix_socket_permissions", "cluster_name", "bonjour",
        "bonjour_name", "log_directory", "krb_server_keyfile", "stats_temp_directory", "archive_mode",
        "archive_command", "archive_library", "archive_cleanup_command", "restore_command", "recovery_end_command",
        "recovery_min_apply_delay", "primary_conninfo", "primary_slot_name", "promote_trigger_file",
        "synchronous_standby_names", "synchronized_standby_slots", "hot_standby", "ssl",
    ]
    private static let ownPrefixes = ["ssl_", "recovery_target"]

    /// Reads `-c name=value` and `--name=value` behind an entrypoint script and `postgres`, if they are named.
    static func read(_ container: ServiceWorkload.Container) -> ServerParameters {
        var words = ((container.command ?? []) + (container.args ?? []))[...]
        var parameters = ServerParameters()
        if let first = words.first, first.hasSuffix("entrypoint.sh") { words = words.dropFirst() }
        if let first = words.first, ["postgres", "postmaster"].contains(first.split(separator: "/").last ?? "") {
            words = words.dropFirst()
        }
        // A shell's `-c` is none of the server's.
        guard let first = words.first else { return parameters }
        guard first.hasPrefix("-") else {
            parameters.omitted.append("its command line")
            return parameters
        }
        while let word = words.popFirst() {
            if word == "-c" {
                parameters.take(words.popFirst() ?? "", from: word)
            } else if word.hasPrefix("--") {
                parameters.take(String(word.dropFirst(2)), from: word)
            } else if word.hasPrefix("-c") {
                parameters.take(String(word.dropFirst(2)), from: word)
            } else {
                parameters.omitted.append("argument \(quoted(word))")
                if let next = words.first, !next.hasPrefix("-") { words = words.dropFirst() }
            }
        }
        return parameters
    }

    private mutating func take(_ setting: String, from word: String) {
        let parts = setting.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        // As the server reads it: it takes `max-connections` as well.
        let name = parts[0].lowercased().replacing("-", with: "_")
        guard parts.count == 2, name.utf8.count <= 63, name.utf8.allSatisfy({ isWord($0) || "_.".utf8.contains($0) }),
            !name.isEmpty
        else {
            omitted.append("argument \(quoted(word))")
            return
        }
        guard !Self.own.contains(name), !Self.ownPrefixes.contains(where: name.hasPrefix),
            !name.hasSuffix("conninfo"), name == "password_encryption" || !ServiceTemplate.mayBeSecret(name),
            let value = Expansion.literal(String(parts[1])), value.utf8.count <= 1_024, !value.contains("\n"),
            settings.count < 128
        else {
            omitted.append("parameter \(name)")
            return
        }
        settings.removeAll { $0.hasPrefix("\(name)=") }
        settings.append("\(name)=\(value)")
    }
}
