// SPDX-License-Identifier: Apache-2.0
// Written by hack/embed-programs.sh from programs/postgres/seal.sh. Edit that.

// What follows is a program in another language:
// swift-format-ignore-file

extension PostgresPrograms {
    /// `programs/postgres/seal.sh`: its contract stands at its head.
    package static let seal = prologue + #"""
        # SPDX-License-Identifier: Apache-2.0
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
        #   REPRISE_CONFIG_FILE               the image's config_file, if it is not the one in PGDATA
        #   REPRISE_VOLUME                    the mount point (/var/lib/postgresql). What is set aside: .reprise/<run> in it

        # shellcheck shell=dash
        REPRISE_USER=${REPRISE_USER:-postgres}
        CREDENTIALS=${REPRISE_CREDENTIALS:-/reprise/credentials}
        ASIDE=${REPRISE_VOLUME:-/var/lib/postgresql}/.reprise/$REPRISE_RUN_UID
        SOCKET=$WORK/socket
        SERVER=

        # ---------------------------------------------------------------- what the volume says

        control() { sed -n "s/^$1: *//p" "$WORK/control"; } # a value of pg_controldata
        read_control() { $AS pg_controldata -D "$PGDATA" >"$WORK/control"; }
        label() { if [ -r "$PGDATA/backup_label.old" ]; then sed -n "s/^$1: *//p" "$PGDATA/backup_label.old"; fi; }

        label_facts() { # no backup_label.old: nothing was restored here, the image ran initdb
          location=$(label 'START WAL LOCATION')
          if [ -z "$location" ]; then
            fact backupLabel null
            return 0
          fi
          file=${location#*(file }
          fact backupLabel "$(printf '{"startWalLocation":%s,"startWalFile":%s,"startTime":%s,"checkpointLocation":%s,' \
            "$(json_string "${location%% *}")" "$(json_string "${file%)*}")" "$(json_string "$(label 'START TIME')")" \
            "$(json_string "$(label 'CHECKPOINT LOCATION')")")$(printf '"startTimeline":%s,"label":%s}' \
            "$(json_string "$(label 'START TIMELINE')")" "$(json_string "$(label LABEL)")")"
        }

        # The last row of the timeline's history file tells where recovery ended and why. It survives every restart, as
        # neither the log nor pg_last_xact_replay_timestamp() does.
        history_facts() { # TIMELINE
          history=$PGDATA/pg_wal/$(printf '%08X' "$1").history
          row=
          if [ -s "$history" ]; then row=$(grep -E '^[[:space:]]*[0-9]' "$history" | tail -n 1); fi
          fact_number parentTimeline "$(printf '%s' "$row" | cut -f 1)"
          SWITCH=$(printf '%s' "$row" | cut -s -f 2)
          fact_string switchLsn "$SWITCH"
          fact_string historyReason "$(printf '%s' "$row" | cut -s -f 3-)"
        }

        # The last commit that was replayed, if it is in the segment of the switch: recovery copies that one onto the new
        # timeline, and removes the ones before it. Prints nothing when it is not; historyReason is what is always there.
        last_commit() { # TIMELINE SWITCH_LSN
          size=$(control 'Bytes per WAL segment')
          high=$((0x${2%/*})) low=$((0x${2#*/}))
          segment=$(printf '%08X%08X%08X' "$1" "$high" $((low / size)))
          # pg_waldump waits five seconds for a file that is not there
          if [ ! -e "$PGDATA/pg_wal/$segment" ] || [ $((low % size)) = 0 ]; then return 0; fi
          $AS timeout 20 pg_waldump -p "$PGDATA/pg_wal" -t "$1" -r Transaction \
            -s "$(printf '%X/%X' "$high" $((low / size * size)))" -e "$2" 2>/dev/null |
            sed -n 's/.* COMMIT \([0-9-]*\) \([0-9:.]*\) UTC.*/\1T\2Z/p' | tail -n 1
        }

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

        timeline_facts() {
          timeline=$(control "Latest checkpoint's TimeLineID")
          fact_number timeline "$timeline"
          history_facts "$timeline"
          moment=
          if [ -n "$SWITCH" ]; then moment=$(last_commit "$timeline" "$SWITCH") || moment=; fi
          fact_string lastReplay "$moment"
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

        setting_names() { sed -n 's/^[[:space:]]*\([A-Za-z_][A-Za-z0-9_.]*\)[[:space:]]*[= ].*/\1/p' "$1"; }

        # ALTER SYSTEM of the source has no say in this service: restore_command and recovery_* would cut its next restore,
        # archive_* write elsewhere, primary_conninfo hold a password. Two settings stay, since the data may not be usable
        # without them. Copied once per run: on a repetition the file in PGDATA is already ours. Where the program `restore`
        # ran, it has made the copy, of the file as it was in the backup.
        set_aside() {
          step settings
          kept='^[[:space:]]*(shared_preload_libraries|max_prepared_transactions)[[:space:]]*[= ]'
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
            grep -E "$kept" "$ASIDE/postgresql.auto.conf.source" || true
          } | $AS tee "$PGDATA/postgresql.auto.conf.reprise" >/dev/null
          sync "$PGDATA/postgresql.auto.conf.reprise"
          $AS mv "$PGDATA/postgresql.auto.conf.reprise" "$PGDATA/postgresql.auto.conf"
          fact settingsSetAside "$(grep -Ev "$kept" "$ASIDE/postgresql.auto.conf.source" >"$WORK/gone" || true
            setting_names "$WORK/gone" | sort -u | json_list)"
        }

        config_file() { if [ -f "${REPRISE_CONFIG_FILE:-}" ]; then printf -- '-c config_file=%s' "$REPRISE_CONFIG_FILE"; fi; }

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

        # ---------------------------------------------------------------- the server

        server_lives() { # a dead child stays visible as a zombie until it is waited for
          { read -r _ _ state _ <"/proc/$SERVER/stat"; } 2>/dev/null && [ "$state" != Z ]
        }

        private_access() { # a socket and access rules of our own: nobody else gets in, and no restored password is needed
          mkdir -m 700 "$SOCKET"
          system_user=$(getent passwd "$OWNER" | cut -d : -f 1)
          if [ -n "$system_user" ]; then
            echo 'local all all peer map=reprise' >"$SOCKET/hba"
            candidates | while IFS= read -r role; do echo "reprise $system_user $role"; done >"$SOCKET/ident"
          else
            echo 'local all all trust' >"$SOCKET/hba" # peer needs a name; the directory's mode keeps others out all the same
            : >"$SOCKET/ident"
          fi
          chown -R "$OWNER:$OWNER_GROUP" "$SOCKET"
        }

        # The roles that may be a superuser to work as, each once and quoted for pg_ident.conf.
        candidates() { printf '"%s"\n' "${REPRISE_SUPERUSER:-$REPRISE_USER}" "$REPRISE_USER" postgres | sort -u; }

        start_server() {
          step start
          private_access
          # The quarantine: nobody can connect, nothing is archived, nothing consumes or runs what came with the data. The log
          # comes here, in English, without statements. A synchronous standby of the source would block every commit.
          # An empty archive_command keeps segments for later, as /bin/false does, which would be tried three times at stop.
          # shellcheck disable=SC2046
          set -- -D "$PGDATA" $(config_file) -c listen_addresses= -c "unix_socket_directories=$SOCKET" -c port=5432 \
            -c unix_socket_permissions=0700 -c unix_socket_group= -c "hba_file=$SOCKET/hba" -c "ident_file=$SOCKET/ident" \
            -c ssl=off -c hot_standby=off -c restore_command= -c archive_mode=on -c archive_command= \
            -c logging_collector=off -c log_destination=stderr -c lc_messages=C -c log_timezone=UTC -c log_statement=none \
            -c log_min_duration_statement=-1 -c log_duration=off -c log_min_error_statement=panic \
            -c max_logical_replication_workers=0 -c cron.launch_active_jobs=off -c synchronous_standby_names= \
            -c session_preload_libraries= -c local_preload_libraries= -c password_encryption=scram-sha-256 -c autovacuum=off
          if [ "$MAJOR" -ge 13 ]; then set -- "$@" -c log_min_duration_sample=-1; fi
          if [ "$MAJOR" -ge 15 ]; then set -- "$@" -c archive_library=; fi
          $AS postgres "$@" </dev/null >>"$SERVER_LOG" 2>&1 3>&- &
          SERVER=$!
          # Polled, because with hot_standby=off `pg_ctl start -w` is content as soon as recovery has begun.
          until $AS pg_isready -q -h "$SOCKET" -p 5432; do
            if ! server_lives; then finish ServerFailed; fi
            check_deadline
            sleep 0.1
          done
          # Role and database settings win over the server's command line, but not over what a connection asks for itself.
          # With session_replication_role=replica no event trigger of the source gets to refuse what follows.
          PGOPTIONS="-c log_statement=none -c log_min_duration_statement=-1 -c log_duration=off \
        -c log_min_error_statement=panic -c password_encryption=scram-sha-256 -c search_path=pg_catalog \
        -c synchronous_commit=local -c session_replication_role=replica -c default_transaction_read_only=off \
        -c statement_timeout=${DEADLINE_SECONDS}s -c lock_timeout=0 -c role=none"
          export PGOPTIONS
        }

        stop_server() { # a clean stop leaves "shut down" behind; the second signal is for a server that would not
          if [ -z "$SERVER" ]; then return 0; fi
          kill -INT "$SERVER" 2>/dev/null || true
          tries=0
          while server_lives && [ "$tries" -lt 600 ]; do
            if [ "$tries" = 300 ]; then kill -QUIT "$SERVER" 2>/dev/null || true; fi
            tries=$((tries + 1))
            sleep 0.1
          done
          wait "$SERVER" 2>/dev/null || true
          SERVER=
        }
        before_finish() { stop_server; }

        conninfo() { # a database name of any characters, as a connection string
          printf "dbname='%s'" "$(printf '%s' "$1" | sed "s/[\\\\']/\\\\&/g")"
        }
        sql() { # DATABASE [PSQL ARGUMENT...], statements on standard input
          database=$1
          shift
          within setsid $AS psql -XAtq -v ON_ERROR_STOP=1 -h "$SOCKET" -p 5432 -U "$SUPERUSER" -d "$(conninfo "$database")" "$@"
        }
        value() { printf '%s;\n' "$1" | sql "$HOME_DATABASE" -v "user=$REPRISE_USER"; }

        find_superuser() {
          for SUPERUSER in "${REPRISE_SUPERUSER:-$REPRISE_USER}" "$REPRISE_USER" postgres; do
            for HOME_DATABASE in postgres template1; do
              if [ "$(value "select rolsuper from pg_roles where rolname = current_user" 2>/dev/null)" = t ]; then return 0; fi
            done
          done
          finish RoleMissing
        }

        # ---------------------------------------------------------------- what changes in the cluster

        # What was found is written down before it is changed: a repetition reports the same numbers.
        found_once() { # NAME QUERY
          if [ ! -s "$ASIDE/$1" ]; then
            found=$(value "$2")
            echo "$found" | $AS tee "$ASIDE/$1.unfinished" >/dev/null
            $AS mv "$ASIDE/$1.unfinished" "$ASIDE/$1"
          fi
          fact_number "$1" "$(cat "$ASIDE/$1")"
        }

        # Without its slot name a subscription can be dropped later without a word to the publisher, which is production.
        disable_subscriptions() {
          step subscriptions
          found_once subscriptionsDisabled 'select count(*) from pg_subscription where subenabled or subslotname is not null'
          value "select distinct datname from pg_subscription join pg_database d on d.oid = subdbid" >"$WORK/databases"
          while IFS= read -r database_name; do
            sql "$database_name" <<'SQL'
        select format('alter subscription %I disable', subname)
          from pg_subscription join pg_database d on d.oid = subdbid
          where datname = current_database() and subenabled \gexec
        select format('alter subscription %I set (slot_name = none)', subname)
          from pg_subscription join pg_database d on d.oid = subdbid
          where datname = current_database() and subslotname is not null \gexec
        SQL
          done <"$WORK/databases"
          if [ "$(value 'select count(*) from pg_subscription where subenabled or subslotname is not null')" != 0 ]; then
            finish SubscriptionsRemain
          fi
        }

        # \password makes a SCRAM verifier on this side, so the server never sees the password. setsid takes a terminal away,
        # should there be one: psql would ask there. A role whose password has expired in the source must not stay shut out.
        set_passwords() {
          if [ "${REPRISE_ROTATE_PASSWORDS:-true}" = false ]; then return 0; fi
          step passwords
          # one line, and not an empty one
          if [ "$(awk 'length { n++ } END { print NR, n }' "$CREDENTIALS/password")" != '1 1' ]; then
            finish CredentialsInvalid
          fi
          if [ "$(value "select count(*) from pg_roles where rolname = :'user'")" != 1 ]; then finish RoleMissing; fi
          found_once rolesReset "select count(*) from pg_authid where rolpassword is not null and rolname <> :'user'"
          value "select format('alter role %I password null', rolname) from pg_authid
            where rolpassword is not null and rolname <> :'user' \\gexec
            select format('alter role %I valid until ''infinity''', rolname) from pg_authid
            where rolvaliduntil < 'infinity' and rolname = :'user' \\gexec
            select 1" >/dev/null
          before=$(value "select coalesce(md5(rolpassword), '') from pg_authid where rolname = :'user'")
          awk 'NR == 1 { print; print }' "$CREDENTIALS/password" |
            sql "$HOME_DATABASE" -c "\\password \"$(printf '%s' "$REPRISE_USER" | sed 's/"/""/g')\""
          changed=$(value "select count(*) from pg_authid where rolname = :'user' and rolpassword like 'SCRAM-SHA-256\$%'
            and md5(rolpassword) <> '$before'")
          if [ "$changed" != 1 ]; then finish PasswordNotSet; fi
          fact_bool userCanLogin [ "$(value "select rolcanlogin from pg_roles where rolname = :'user'")" = t ]
        }

        # ---------------------------------------------------------------- the rest

        cluster_facts() {
          fact_number serverVersionNum "$(value 'show server_version_num')"
          fact_number databaseCount "$(value 'select count(*) from pg_database')"
          fact_number databaseBytes "$(value 'select sum(pg_database_size(oid)) from pg_database')"
          if [ "$MAJOR" -ge 15 ]; then
            fact_bool collationMismatch [ "$(value 'select count(*) from pg_database where datcollversion is not null
              and datcollversion is distinct from pg_database_collation_actual_version(oid)')" != 0 ]
          fi
        }

        # The named checks of a verification come here: read-only, as a role made for them, on the server that is still
        # private. Reported are name, passed and milliseconds, never values.
        verify() {
          step verify
          fact checks '[]'
        }

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
