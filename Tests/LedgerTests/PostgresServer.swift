// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// A private PostgreSQL in a temporary folder, on a unix socket only.
///
/// It is removed when this process ends, however it ends: a shell beside it waits for the end of a pipe that only this
/// process holds open.
final class PostgresServer: Sendable {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    let directory: String
    private let binaries: String

    /// The one that tests share; `nil` when there are no server binaries.
    static let shared: PostgresServer? = try? PostgresServer()

    /// Whether a server of our own can be started.
    static var isAvailable: Bool { folder != nil }

    private static var folder: String? {
        let asked = ProcessInfo.processInfo.environment["REPRISE_TEST_POSTGRES"].map { [$0] } ?? []
        let debian = [18, 17, 16, 15, 14, 13].map { "/usr/lib/postgresql/\($0)/bin" }
        return (asked + debian + ["/usr/bin", "/usr/local/bin"]).first {
            access("\($0)/initdb", X_OK) == 0 && access("\($0)/postgres", X_OK) == 0
        }
    }

    init() throws {
        guard let folder = Self.folder else { throw Failure(description: "no PostgreSQL server binaries") }
        binaries = folder
        var template = Array("/tmp/reprise-pg-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw Failure(description: "no temporary folder") }
        directory = String(cString: made)
        if getuid() == 0 { chown(directory, 65_534, 65_534) }
        try startReaper()
        try run("initdb -D \(directory)/data -U postgres -A trust -E UTF8 --locale=C --no-sync")
        try start()
    }

    /// A connection string for a database of this server.
    func conninfo(_ database: String = "postgres", user: String = "postgres") -> String {
        "host=\(directory) user=\(user) dbname=\(database)"
    }

    func start() throws {
        try run(
            "pg_ctl -D \(directory)/data -w -t 60 -l \(directory)/log -o \"-c listen_addresses='' -k \(directory)"
                + " -c fsync=off -c shared_buffers=16MB -c max_connections=100\" start")
    }

    func stop() throws { try run("pg_ctl -D \(directory)/data -w -t 60 -m immediate stop") }

    /// Runs a program of PostgreSQL as the server's user.
    func run(_ command: String) throws {
        try Self.shell("\(asUser)\(binaries)/\(command)", in: directory)
    }

    private var asUser: String {
        getuid() == 0 ? "setpriv --reuid=65534 --regid=65534 --clear-groups -- " : ""
    }

    private func startReaper() throws {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw Failure(description: "no pipe") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        _ = try Self.spawn(
            "trap '' INT TERM HUP; cat >/dev/null;"
                + " \(asUser)\(binaries)/pg_ctl -D \(directory)/data -m immediate stop; rm -rf \(directory)",
            input: ends[0])
        close(ends[0])
        // The other end stays open until this process is gone.
    }

    /// Starts a shell. Not by Foundation's `Process`: that waits for every descendant that kept its descriptors, and
    /// a PostgreSQL server is one that stays.
    private static func spawn(_ command: String, input: Int32?) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if let input {
            posix_spawn_file_actions_adddup2(&actions, input, 0)
        } else {
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        }
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
        let words: [String] = ["/bin/sh", "-c", command]
        let arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var pid = pid_t()
        guard posix_spawn(&pid, "/bin/sh", &actions, nil, arguments, environ) == 0 else {
            throw Failure(description: "no shell could be started")
        }
        return pid
    }

    static func shell(_ command: String, in directory: String) throws {
        let pid = try spawn("cd /tmp; (\(command)) >>\(directory)/commands.log 2>&1", input: nil)
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        guard status == 0 else {
            let log = (try? String(contentsOfFile: "\(directory)/commands.log", encoding: .utf8)) ?? ""
            throw Failure(description: "\(command): \(status): \(log.suffix(800))")
        }
    }
}
