// SPDX-License-Identifier: Apache-2.0

/// How one family of images is told to restore itself and to archive: values, so that no image is an `if` in the loop.
package struct ImageProfile: Equatable, Sendable {
    package var name: String
    /// Takes the full, version-scoped prefix to restore from.
    package var cloneFrom: String
    /// Takes the moment to recover to, `YYYY-MM-DD HH:MM:SS UTC`.
    package var cloneTargetTime: String
    /// Takes the service's own prefix, to which the image appends the major version.
    package var ownPrefix: String
    /// Takes the cron expression of the image's own base backups; mandatory for it once a prefix is set.
    package var backupSchedule: String
    package var passwordVariable: String
    package var container: String
    /// Where the data volume is mounted.
    package var mountPath: String
    /// PGDATA, with `{major}` for the major version.
    package var dataDirectoryPattern: String
    /// The server's configuration outside PGDATA; programs pass over it where an image has none.
    package var configFile: String
    package var superuser: String
    package var port: Int

    /// PGDATA for a major version, below the mount.
    package func dataDirectory(major: Int) -> String {
        dataDirectoryPattern.replacing("{major}", with: String(major))
    }

    /// The contract of the reference image: `WALG_CLONE_FROM` on an empty volume.
    package static let walgClone = ImageProfile(
        name: "walg-clone", cloneFrom: "WALG_CLONE_FROM", cloneTargetTime: "WALG_CLONE_TARGET_TIME",
        ownPrefix: "WALG_S3_PREFIX", backupSchedule: "BACKUP_SCHEDULE", passwordVariable: "POSTGRES_PASSWORD",
        container: "postgres", mountPath: "/var/lib/postgresql",
        dataDirectoryPattern: "/var/lib/postgresql/{major}/docker", configFile: "/etc/postgresql/postgresql.conf",
        superuser: "postgres", port: 5432)

    package static let all: [ImageProfile] = [.walgClone]

    /// The profile of this name; the default one for none.
    package static func named(_ name: String?) -> ImageProfile? {
        guard let name else { return .walgClone }
        return all.first { $0.name == name }
    }
}
