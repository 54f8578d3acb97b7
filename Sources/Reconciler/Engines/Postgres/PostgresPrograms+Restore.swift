// SPDX-License-Identifier: Apache-2.0
// Written by hack/embed-programs.sh from programs/postgres/restore.sh. Edit that.

// What follows is a program in another language:
// swift-format-ignore-file

extension PostgresPrograms {
    /// `programs/postgres/restore.sh`: its contract stands at its head.
    package static let restore = prologue + #"""
        # SPDX-License-Identifier: Apache-2.0
        # restore: fetches a named base backup into an empty volume and writes the settings with which the server, started
        # normally afterwards, recovers to the target and promotes. It runs as an init container of the service's own image,
        # which Kubernetes starts again whenever it likes: after a restart of the pod, a drained node, a crash at any command.
        #
        # Environment, beside the prologue's
        #   REPRISE_BACKUP            the base backup's name
        #   REPRISE_SOURCE_PREFIX     the archive, s3://... with the major version
        #   REPRISE_TARGET_KIND       latest, immediate, time, lsn, xid or name
        #   REPRISE_TARGET            what a target of the last four kinds is, as PostgreSQL reads it
        #   REPRISE_TARGET_INCLUSIVE  "false" stops before a target of time, lsn or xid (true)
        #   REPRISE_TIMELINE          the timeline to recover along, in decimal, or `current`: the backup's own
        #   REPRISE_EXPECT_MAJOR      what PG_VERSION must say
        #   REPRISE_EXPECT_START_LSN  where the backup must start
        #   REPRISE_BACKUP_BYTES      how much it takes on the volume; not checked when empty
        #   REPRISE_VOLUME            the mount point (/var/lib/postgresql). .reprise/<run> in it has the marker
        #   AWS_*, WALG_*             as for WAL-G, to read the archive
        #
        # What the volume says, and what follows from it. The marker is written before PGDATA gets its name, so that there is
        # no moment at which PGDATA is ours and nothing says so.
        #   marker, no staging directory, data in PGDATA   done, by an earlier start: nothing is touched, ever again
        #   data in PGDATA otherwise                       somebody else's: TargetNotEmpty, and nothing is touched
        #   anything else                                  unfinished or new: the marker goes, the staging directory goes, fetch

        # shellcheck shell=dash
        PARENT=${PGDATA%/*}
        STAGING=$PARENT/.reprise-$REPRISE_RUN_UID
        ASIDE=${REPRISE_VOLUME:-/var/lib/postgresql}/.reprise/$REPRISE_RUN_UID
        MARKER=$ASIDE/restored # read by seal as well
        BUSY=
        waiting=
        progress=

        # ---------------------------------------------------------------- ends

        # The one code that tells most. A refused key makes an archive look empty, and a full disk a backup look broken: the
        # cause stands before what follows from it.
        telling_reason() { # CODE: what to say when nothing is known
          found=$(reasons)
          for reason in DiskFull StorageAccessDenied EncryptionKeyMissing StorageUnreachable BackupUnusable NoBackupsFound \
            OutOfMemory; do
            case $found in *"\"$reason\""*) echo "$reason" && return 0 ;; esac
          done
          echo "$1"
        }

        before_finish() {
          if [ -n "$BUSY" ]; then # nothing may write to the volume after our end, nor a line into the result
            exec >>"$WORK/out" 2>>"$TOOL_LOG"
            for child in $waiting $progress; do
              kill "$child"
              wait "$child"
            done
          fi
          if [ "$code" = ProgramFailed ] && [ ! -e "$WORK/too-late" ]; then code=$(telling_reason ProgramFailed); fi
        }

        hold() { # COMMAND...: `within`, and our end ends it
          BUSY=1
          held=0
          within "$@" || held=$?
          BUSY=
          return "$held"
        }

        # ---------------------------------------------------------------- before anything is changed

        check_input() {
          : "${REPRISE_BACKUP:?}" "${REPRISE_SOURCE_PREFIX:?}" "${REPRISE_TARGET_KIND:?}" "${REPRISE_TIMELINE:?}"
          : "${REPRISE_EXPECT_MAJOR:?}" "${REPRISE_EXPECT_START_LSN:?}"
          target=${REPRISE_TARGET:-}
          case $REPRISE_BACKUP$REPRISE_SOURCE_PREFIX$target in *[[:cntrl:]]*) finish ProgramFailed ;; esac
          case $REPRISE_TIMELINE in current) ;; *[!0-9]*) finish ProgramFailed ;; esac
          case ${REPRISE_TARGET_INCLUSIVE:=true} in true | false) ;; *) finish ProgramFailed ;; esac
          case $REPRISE_TARGET_KIND:$target in # what the server would refuse to start with
            latest: | immediate:) ;;
            time:?* | name:?*) ;;
            xid:*[!0-9]* | lsn:*[!0-9A-Fa-f/]* | lsn:*/*/*) finish ProgramFailed ;;
            xid:?* | lsn:?*/?*) ;;
            *) finish ProgramFailed ;;
          esac
          if ! command -v wal-g >/dev/null; then finish ToolMissing; fi
        }

        occupied() { # whether there is anything in PGDATA, or anything but a directory in its place
          if [ ! -e "$PGDATA" ] && [ ! -L "$PGDATA" ]; then return 1; fi
          if [ -L "$PGDATA" ] || [ ! -d "$PGDATA" ]; then return 0; fi
          ! content=$(ls -A "$PGDATA") || [ -n "$content" ]
        }

        inspect() {
          if ! occupied; then return 0; fi
          if [ ! -e "$MARKER" ] || [ -e "$STAGING" ]; then finish TargetNotEmpty; fi
          fact already true
          finish OK
        }

        prepare() {
          # Some provisioners make volumes that only root may enter. The image's own entrypoint would take it over as well.
          volume=${ASIDE%/*/*}
          if [ "$(id -u)" = 0 ] && ! $AS test -x "$volume"; then chown "$OWNER:$OWNER_GROUP" "$volume"; fi
          (umask 022 && mkdir -p "$PARENT")
          mkdir -p "$ASIDE"
          if [ "$(id -u)" = 0 ]; then chown "$OWNER:$OWNER_GROUP" "$PARENT" "${ASIDE%/*}" "$ASIDE"; fi
          # Two pods on one node may have the volume at a time, when one was deleted by force.
          exec 9>"$ASIDE/lock"
          locked=0
          flock -n -E 75 9 || locked=$?
          if [ "$locked" = 75 ]; then finish TargetBusy; fi
        }

        # The marker first: with it and without a staging directory, an empty PGDATA that somebody fills would pass for ours.
        clean() {
          step clean
          rm -f "$MARKER"
          $AS sync "$ASIDE"
          hold rm -rf "$STAGING"
        }

        check_space() {
          step space
          free=$(df -B1 --output=avail "$PARENT" | tail -n 1 | tr -d ' ')
          fact_number freeBytes "$free"
          fact_number backupBytes "${REPRISE_BACKUP_BYTES:-}"
          case ${REPRISE_BACKUP_BYTES:-0} in *[!0-9]*) finish ProgramFailed ;; esac
          if [ "${REPRISE_BACKUP_BYTES:-0}" -gt "$free" ]; then finish DiskFull; fi
        }

        # ---------------------------------------------------------------- the base backup

        # What of WAL-G's lines leaves the pod: names of parts, and that all are there. A loop of the shell, because mawk waits
        # for a full buffer.
        pass_progress() {
          while IFS= read -r line; do
            printf '%s\n' "$line" >>"$TOOL_LOG" || true
            case $line in
              *'Finished extraction of '*)
                part=${line##*Finished extraction of }
                part=${part##*/}
                if printf '%s\n' "$part" | grep -Eqx '(part_[0-9]{1,9}|pg_control)\.tar(\.[a-z0-9]{1,8})?'; then
                  printf 'reprise-progress part %s\n' "$part" >&3
                fi
                ;;
              *'Backup extraction complete.') printf 'reprise-progress fetched\n' >&3 ;;
            esac
          done
        }

        fetch() {
          step fetch
          WALG_S3_PREFIX=$REPRISE_SOURCE_PREFIX
          export WALG_S3_PREFIX
          $AS mkdir -m 700 "$STAGING"
          mkfifo "$WORK/lines"
          pass_progress <"$WORK/lines" &
          progress=$!
          fetched=0
          hold $AS wal-g backup-fetch "$STAGING" "$REPRISE_BACKUP" >"$WORK/lines" 2>&1 || fetched=$?
          wait "$progress" || true
          progress=
          if [ "$fetched" = 0 ]; then return 0; fi
          if [ -e "$WORK/too-late" ]; then finish DeadlineExceeded; fi
          finish "$(telling_reason FetchFailed)"
        }

        position() { # X/X as PostgreSQL's older versions print it, without leading zeros
          case $1 in
            *[!0-9A-Fa-f/]* | */*/* | /* | */ | '') ;;
            */*) printf '%X/%X' "$((0x${1%/*}))" "$((0x${1#*/}))" ;;
          esac
        }

        check_data() {
          step check
          major=$(head -n 1 "$STAGING/PG_VERSION" 2>>"$TOOL_LOG") || major=
          fact_string major "$major"
          if [ -z "$major" ] || [ ! -s "$STAGING/global/pg_control" ]; then finish BackupUnusable; fi
          if [ "$major" != "$REPRISE_EXPECT_MAJOR" ]; then finish MajorMismatch; fi
          start=$(sed -n 's/^START WAL LOCATION: \([0-9A-Fa-f/]*\) .*/\1/p' "$STAGING/backup_label" 2>>"$TOOL_LOG") || start=
          fact_string startLsn "$start"
          # Without the label the server would take the latest checkpoint for a consistent state.
          if [ -z "$(position "$start")" ]; then finish BackupUnusable; fi
          if [ "$(position "$start")" != "$(position "$REPRISE_EXPECT_START_LSN")" ]; then finish OtherBaseBackup; fi
          # They lie outside the volume, and end with this container.
          if [ -n "$(ls -A "$STAGING/pg_tblspc" 2>>"$TOOL_LOG")" ]; then finish TablespacesUnsupported; fi
          $AS chmod u=rwx,g-w,o-rwx "$STAGING"
        }

        # ---------------------------------------------------------------- the settings

        for_shell() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }
        for_setting() { printf "'%s'" "$(printf '%s' "$1" | sed "s/\\\\/\\\\\\\\/g; s/'/''/g")"; }

        # Every setting that has a say in recovery, whatever the data's own postgresql.conf says: this file is read last. The
        # one target comes after the empty ones, because emptying another is an error while one is set.
        recovery_settings() {
          prefix=$(for_shell "$REPRISE_SOURCE_PREFIX" | sed 's/%/%%/g')
          command="WALG_S3_PREFIX=$prefix wal-g wal-fetch \"%f\" \"%p\""
          printf 'restore_command = %s\n' "$(for_setting "$command")"
          printf "archive_cleanup_command = ''\nrecovery_end_command = ''\nrecovery_min_apply_delay = 0\n"
          printf "recovery_target = ''\n"
          printf "recovery_target_%s = ''\n" time lsn xid name
          printf "recovery_target_timeline = '%s'\n" "$REPRISE_TIMELINE"
          printf "recovery_target_inclusive = %s\n" "$REPRISE_TARGET_INCLUSIVE"
          printf "recovery_target_action = 'promote'\n"
          case $REPRISE_TARGET_KIND in
            latest) ;;
            immediate) printf "recovery_target = 'immediate'\n" ;;
            *) printf 'recovery_target_%s = %s\n' "$REPRISE_TARGET_KIND" "$(for_setting "$target")" ;;
          esac
        }

        # What the source left of an earlier recovery, of its archiving and its primary is taken out; what it had altogether is
        # kept for seal. The text is complete before a byte of it is written: half of it would recover to another target.
        write_settings() {
          step settings
          auto=$STAGING/postgresql.auto.conf
          if [ ! -e "$auto" ]; then : | $AS tee "$auto" >/dev/null; fi
          $AS cp "$auto" "$ASIDE/unfinished"
          $AS mv "$ASIDE/unfinished" "$ASIDE/postgresql.auto.conf.source"
          grep -aEiv '^[[:space:]]*(restore_command|(recovery|archive|primary)_)' "$auto" >"$WORK/auto.conf" || true
          recovery_settings >"$WORK/recovery.conf"
          cat "$WORK/recovery.conf" >>"$WORK/auto.conf"
          $AS tee "$auto" <"$WORK/auto.conf" >/dev/null
          $AS rm -f "$STAGING/standby.signal" "$STAGING/recovery.conf"
          $AS touch "$STAGING/recovery.signal"
        }

        # ---------------------------------------------------------------- the data gets its name

        # Each step is on disk before the next begins: the data, the marker, the name. Until the rename the staging directory is
        # there and says that it has not happened.
        place() {
          step place
          hold $AS sync -f "$STAGING"
          printf '%s\n' "$REPRISE_BACKUP" >"$WORK/marker"
          $AS tee "$ASIDE/unfinished" <"$WORK/marker" >/dev/null
          $AS sync "$ASIDE/unfinished"
          $AS mv "$ASIDE/unfinished" "$MARKER"
          $AS sync "$ASIDE"
          $AS mv -T "$STAGING" "$PGDATA"
          $AS sync "$PARENT"
        }

        PROGRAM=restore
        step inspect
        check_input
        fact_string backup "$REPRISE_BACKUP"
        inspect
        prepare
        inspect # again, now that nobody else is at it
        clean
        check_space
        fetch
        check_data
        write_settings
        place
        fact already false
        finish OK

        """#
}
