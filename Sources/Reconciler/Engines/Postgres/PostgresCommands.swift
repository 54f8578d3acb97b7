// SPDX-License-Identifier: Apache-2.0

import Resources

/// The programs as commands of containers. Made once: they are long, and containers are described in every pass.
enum PostgresCommands {
    static let restore = Expansion.shell(PostgresPrograms.restore)
    static let seal = Expansion.shell(PostgresPrograms.seal)
    static let backup = Expansion.shell(PostgresPrograms.backup)
    static let inplace = Expansion.shell(PostgresPrograms.inplace)
}
