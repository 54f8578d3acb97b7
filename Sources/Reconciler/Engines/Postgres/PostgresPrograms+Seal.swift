// SPDX-License-Identifier: Apache-2.0
// Written by hack/embed-programs.sh from programs/postgres/seal.sh. Edit that.

// What follows is a program in another language:
// swift-format-ignore-file

extension PostgresPrograms {
    /// `programs/postgres/seal.sh`: its contract stands at its head.
    package static let seal = prologue + libServer + libChecks + #"""
        # SPDX-License-Identifier: Apache-2.0
        # uses: server checks
        # seal: makes a restored volume ready to be opened as a service of its own. The service is at 0 replicas. Afterwards the
        # volume has none of the source's passwords, no subscription that would consume the source's slots and none of the
        # source's ALTER SYSTEM settings; and the result says from the data itself what was restored.
        #
        # Environment, beside the prologue's
        #   REPRISE_EXPECT_SYSTEM_IDENTIFIER  refuse, and change nothing, when the cluster is another one
        #   REPRISE_USER                      the role that gets the new password (postgres)
        #   REPRISE_SUPERUSER                 the role to work as, if neither REPRISE_USER nor postgres is a superuser
        #   REPRISE_ROTATE_PASSWORDS          "false" keeps the source's passwords (true)
        #   REPRISE_CREDENTIALS               directory with the file `password` (/reprise/credentials)
        #   REPRISE_OWN_RECOVERY_SETTINGS     recovery_target* names that this restore wrote itself, separated by blanks
        #   REPRISE_PARAMETERS                settings of the server's command line without which the data may not be usable, one a line
        #   REPRISE_CONFIG_FILE               the image's config_file, if it is not the one in PGDATA
        #   REPRISE_VOLUME                    the mount point (/var/lib/postgresql). What is set aside: .reprise/<run> in it
        #   REPRISE_DATABASE, REPRISE_CHECK..., REPRISE_AMCHECK
        #                                     as `checks` says: what does not hold ends in DatabaseNotFound or VerificationFailed

        # shellcheck shell=dash
        ASIDE=${REPRISE_VOLUME:-/var/lib/postgresql}/.reprise/$REPRISE_RUN_UID

        # ---------------------------------------------------------------- what the volume says

        volume_facts() {
          identifier=$(control 'Database system identifier')
          fact_string systemIdentifier "$identifier"
          CONTROL_STATE=$(control 'Database cluster state')
          fact_string controlState "$CONTROL_STATE"
          IN_RECOVERY=false
          if [ -e "$PGDATA/recovery.signal" ] || [ -e "$PGDATA/standby.signal" ]; then IN_RECOVERY=true; fi
          case $CONTROL_STATE in *recovery*) IN_RECOVERY=true ;; esac
          fact inRecovery "$IN_RECOVERY"
          label_facts
        }

        inspect() {
          step inspect
          if [ ! -s "$PGDATA/PG_VERSION" ] || ! read_control; then
            fact_string systemIdentifier ''
            finish RestoreNotPerformed
          fi
          volume_facts
          if [ -n "${REPRISE_EXPECT_SYSTEM_IDENTIFIER:-}" ] && [ "$identifier" != "$REPRISE_EXPECT_SYSTEM_IDENTIFIER" ]; then
            timeline_facts
            finish RestoreNotPerformed
          fi
          if $IN_RECOVERY; then
            timeline_facts
            finish TargetNotReached
          fi
        }

        # Two pods on one node may have the volume at a time: whoever deletes the Job, or its pod, leaves that one behind until
        # it has ended, and the next one may be there before that.
        fence() {
          step fence
          mkdir -p "$ASIDE"
          chown "$OWNER:$OWNER_GROUP" "${ASIDE%/*}" "$ASIDE"
          exec 9>"$ASIDE/lock"
          if flock -n 9; then return 0; fi
          if ! flock -w "${REPRISE_FENCE_SECONDS:-300}" 9; then finish Interrupted; fi
          inspect # what it has made of the volume meanwhile
        }

        # ---------------------------------------------------------------- the source's settings

        # ALTER SYSTEM of the source has no say in this service: restore_command and recovery_* would cut its next restore,
        # archive_* write elsewhere, primary_conninfo hold a password. Two settings stay, since the data may not be usable
        # without them. Copied once per run: on a repetition the file in PGDATA is already ours. Where the program `restore`
        # ran, it has made the copy, of the file as it was in the backup.
        set_aside() {
          step settings
          mkdir -p "$ASIDE"
          chown "$OWNER:$OWNER_GROUP" "${ASIDE%/*}" "$ASIDE"
          if [ ! -e "$ASIDE/postgresql.auto.conf.source" ]; then
            if [ ! -e "$PGDATA/postgresql.auto.conf" ]; then : | $AS tee "$PGDATA/postgresql.auto.conf" >/dev/null; fi
            $AS cp "$PGDATA/postgresql.auto.conf" "$ASIDE/unfinished"
            sync "$ASIDE/unfinished"
            $AS mv "$ASIDE/unfinished" "$ASIDE/postgresql.auto.conf.source"
          fi
          {
            echo '# Do not edit this file manually!'
            echo '# It will be overwritten by the ALTER SYSTEM command.'
            grep -E "$KEPT_SETTINGS" "$ASIDE/postgresql.auto.conf.source" || true
          } | $AS tee "$PGDATA/postgresql.auto.conf.reprise" >/dev/null
          sync "$PGDATA/postgresql.auto.conf.reprise"
          $AS mv "$PGDATA/postgresql.auto.conf.reprise" "$PGDATA/postgresql.auto.conf"
          fact settingsSetAside "$(grep -Ev "$KEPT_SETTINGS" "$ASIDE/postgresql.auto.conf.source" >"$WORK/gone" || true
            setting_names "$WORK/gone" | sort -u | json_list)"
        }

        # A recovery target that the source left in its settings stops the clone at an old moment without an error. The ones
        # this restore wrote are taken off the list, each once: what remains was inherited. Nothing can be where the program
        # `restore` wrote every setting of recovery itself, over whatever the source had.
        inherited_settings() {
          if [ -e "$ASIDE/restored" ]; then
            fact inheritedRecoverySettings '[]'
            return 0
          fi
          setting_names "$ASIDE/postgresql.auto.conf.source" | grep '^recovery_target' >"$WORK/targets" || true
          for name in ${REPRISE_OWN_RECOVERY_SETTINGS:-}; do sed -i "0,/^$name\$/{/^$name\$/d}" "$WORK/targets"; done
          for name in recovery_target recovery_target_time recovery_target_xid recovery_target_lsn recovery_target_name; do
            # shellcheck disable=SC2046 # two words or none
            value=$($AS postgres -C "$name" -D "$PGDATA" $(config_file) 2>/dev/null) || value=
            if [ -n "$value" ]; then echo "$name"; fi
          done >>"$WORK/targets"
          fact inheritedRecoverySettings "$(sort -u "$WORK/targets" | json_list)"
        }

        # ---------------------------------------------------------------- the rest

        finish_sealed() {
          step stop
          stop_server
          read_control
          state=$(control 'Database cluster state')
          if [ "$state" != 'shut down' ]; then finish ServerFailed; fi
          timeline_facts
          # Without WAL: what was restored, not what was replayed.
          fact_number dataBytes "$(du -sbx --exclude=pg_wal "$PGDATA" | cut -f 1)"
          fact_number freeBytes "$(df -B1 --output=avail "$PGDATA" | tail -n 1 | tr -d ' ')"
          sync -f "$PGDATA"
          finish OK
        }

        PROGRAM=seal
        inspect
        fence
        set_aside
        inherited_settings
        start_server
        find_superuser
        cluster_facts
        disable_subscriptions
        set_passwords
        verify
        finish_sealed

        """#
}
