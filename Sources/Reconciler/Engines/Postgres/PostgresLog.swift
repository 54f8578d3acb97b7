// SPDX-License-Identifier: Apache-2.0

import Resources

/// What may be told of the log of a container that restores PostgreSQL: a closed list of progress and of reasons.
///
/// Bare `FATAL` and `ERROR` are not in it: probes and missing history files write those as well. The lines are those of
/// WAL-G and PostgreSQL 12 to 18 (`internal/extract.go`, `xlogrecovery.c`).
package enum PostgresLog {
    /// Names of the patterns that show progress.
    package enum Progress {
        /// A file of the base backup was unpacked.
        package static let part = "part"
        /// The base backup is there.
        package static let fetched = "fetched"
        /// A segment was replayed; the word is its name.
        package static let segment = "segment"
        /// What `LATEST` meant to the image; the word is the backup's name.
        package static let latest = "latest"
    }

    package static let patterns: [LinePattern] =
        progress
        + reasons.flatMap { reason in
            reason.lines.map { LinePattern(reason.name, $0) }
        }

    private static let progress = [
        LinePattern(Progress.part, ["Finished extraction of part_"]),
        LinePattern(Progress.part, ["reprise-progress part "]),
        LinePattern(Progress.fetched, ["Backup extraction complete."]),
        LinePattern(Progress.fetched, ["reprise-progress fetched"]),
        LinePattern(Progress.segment, ["restored log file \""], keepsWord: true),
        LinePattern(Progress.segment, ["reprise-progress segment "], keepsWord: true),
        LinePattern(Progress.latest, ["LATEST backup is: '"], keepsWord: true),
    ]

    /// Why a restore ended, as its log tells it.
    package struct Reason: Sendable {
        package var name: String
        package var lines: [[String]]
        /// What to do about it.
        package var wayOut: String
        /// It may pass by itself: only a second time in a row ends the run.
        package var mayPass: Bool

        init(_ name: String, _ lines: [[String]], mayPass: Bool = false, _ wayOut: String) {
            self.name = name
            self.lines = lines
            self.wayOut = wayOut
            self.mayPass = mayPass
        }
    }

    /// The first one that matches is the one to tell.
    package static let reasons: [Reason] =
        [
            Reason(
                "DiskFull",
                [
                    ["No space left on device"], ["no space left on device"], ["Disk quota exceeded"],
                    ["disk quota exceeded"],
                ],
                "the volume is full: ask for more in spec.target.newService.storage.size"),
            Reason(
                "NoBackupsFound", [["No backups found"]],
                "the source has no base backup where the image looks: check the archive's path and major version"),
            Reason(
                "StorageAccessDenied",
                [["AccessDenied"], ["InvalidAccessKeyId"], ["SignatureDoesNotMatch"], ["ExpiredToken"]],
                "the source repository's credentials are not accepted: check its Secret"),
            Reason(
                "EncryptionKeyMissing", [["failed to decrypt"], ["libsodium"], ["openpgp:"]],
                "the archive is encrypted and its key is missing or wrong: set spec.encryption of the BackupRepository"),
            Reason(
                "MajorMismatch",
                [
                    ["database files are incompatible with server"],
                    ["data directory was initialized by PostgreSQL version"],
                ],
                "use an image of the archive's major version"),
            Reason(
                "LibraryMissing", [["could not load library \""], ["could not access file \""]],
                "the image lacks a library that the source loads (shared_preload_libraries): use an image that has it"),
            Reason(
                "ParameterTooSmall", [["insufficient parameter settings"]],
                "a setting of the image is smaller than in the source (see the pod's log): give the image the source's "
                    + "max_connections, max_worker_processes, max_wal_senders, max_prepared_transactions, "
                    + "max_locks_per_transaction"),
            Reason(
                "InheritedRecoveryTarget", [["multiple recovery targets specified"]],
                "the backup carries recovery settings of its source: reset them there (ALTER SYSTEM RESET), take a base "
                    + "backup and try again"),
            Reason(
                "SourceExpired",
                [["Backup '", "' does not exist"], ["object ", "tar_partitions/", "not found in storage"]],
                "the base backup was deleted from the source's archive after the run was planned: make a new run, which takes "
                    + "another one if one leads to the target; and keep backups for longer than a restore takes"),
            Reason(
                "BackupUnusable", [["invalid data in file \"backup_label\""], ["invalid page in block"]],
                "the base backup is damaged: restore from another one"),
            Reason(
                "WALGap",
                [
                    ["could not locate a valid checkpoint record"], ["could not locate required checkpoint record"],
                    ["WAL ends before end of online backup"], ["WAL ends before consistent recovery point"],
                ], mayPass: true,
                "WAL that the base backup needs is missing, or could not be fetched: look for the gap in the source's archive"
            ),
            Reason(
                "TargetNotReached",
                [
                    ["recovery ended before configured recovery target was reached"],
                    ["requested recovery stop point is before consistent recovery point"],
                    ["requested timeline ", " is not a child of this server's history"],
                ], mayPass: true,
                "the archive has no commit at or after the target that could be replayed: choose an earlier moment, or Latest"
            ),
            Reason(
                // What `pause` means too while a server takes no queries (hot_standby=off).
                "PromotionPending", [["shutdown at recovery target"]],
                "the server reached its target and was told not to open: the image, or a ConfigMap, sets "
                    + "recovery_target_action; take it out, or set it to promote"),
            Reason(
                "StorageUnreachable", [["no such host"], ["connection refused"], ["i/o timeout"]], mayPass: true,
                "the source repository's endpoint could not be reached from the pod"),
            Reason(
                "OutOfMemory",
                [
                    ["could not map anonymous shared memory"], ["Cannot allocate memory"], ["cannot allocate memory"],
                ], mayPass: true,
                "the container has too little memory: raise spec.target.newService.resources"),
            Reason(
                "StagingLeftOver", [["restore-tmp already exists"]],
                "a fetch was interrupted, and the image does not clean up after itself: try again, on a fresh volume"),
        ] + codes

    /// Codes of our own program, which no line tells.
    private static let codes: [Reason] = [
        Reason("TargetNotEmpty", [], "the volume holds data that this run did not put there"),
        Reason(
            "OtherBaseBackup", [],
            "what was fetched under the base backup's name begins somewhere else: the backup was replaced"),
        Reason("TablespacesUnsupported", [], "the base backup has tablespaces, which this version can't restore"),
        Reason("ToolMissing", [], "the image lacks wal-g: use an image of the contract"),
        Reason("TargetBusy", [], mayPass: true, "another pod works on the volume"),
        Reason("FetchFailed", [], mayPass: true, "the base backup could not be fetched"),
        Reason(
            "DeadlineExceeded", [], mayPass: true,
            "the fetch was not done in its time: raise spec.deadlines.restore"),
        Reason("ProgramFailed", [], mayPass: true, "a command of the program failed in a way that has no name"),
    ]

    package static func reason(_ name: String) -> Reason? { reasons.first { $0.name == name } }
}
