# SPDX-License-Identifier: Apache-2.0
# server: what a cluster's files say, and its server in quarantine: private, archiving nothing, running nothing of what
# came with the data. A program sets DATA, the directory of the cluster, and ASIDE, where it keeps what it found.

# shellcheck shell=dash
DATA=$PGDATA
REPRISE_USER=${REPRISE_USER:-postgres}
CREDENTIALS=${REPRISE_CREDENTIALS:-/reprise/credentials}
SOCKET=$WORK/socket
SERVER=
# The source's settings that stay, since the data may not be usable without them.
KEPT_SETTINGS='^[[:space:]]*(shared_preload_libraries|max_prepared_transactions)[[:space:]]*[= ]'

# ---------------------------------------------------------------- what the files say

control() { sed -n "s/^$1: *//p" "$WORK/control"; } # a value of pg_controldata
read_control() { $AS pg_controldata -D "$DATA" >"$WORK/control"; }
label() { if [ -r "$DATA/backup_label.old" ]; then sed -n "s/^$1: *//p" "$DATA/backup_label.old"; fi; }

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
  history=$DATA/pg_wal/$(printf '%08X' "$1").history
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
  if [ ! -e "$DATA/pg_wal/$segment" ] || [ $((low % size)) = 0 ]; then return 0; fi
  $AS timeout 20 pg_waldump -p "$DATA/pg_wal" -t "$1" -r Transaction \
    -s "$(printf '%X/%X' "$high" $((low / size * size)))" -e "$2" 2>/dev/null |
    sed -n 's/.* COMMIT \([0-9-]*\) \([0-9:.]*\) UTC.*/\1T\2Z/p' | tail -n 1
}

timeline_facts() {
  timeline=$(control "Latest checkpoint's TimeLineID")
  fact_number timeline "$timeline"
  history_facts "$timeline"
  moment=
  if [ -n "$SWITCH" ]; then moment=$(last_commit "$timeline" "$SWITCH") || moment=; fi
  fact_string lastReplay "$moment"
}

setting_names() { sed -n 's/^[[:space:]]*\([A-Za-z_][A-Za-z0-9_.]*\)[[:space:]]*[= ].*/\1/p' "$1"; }

config_file() { if [ -f "${REPRISE_CONFIG_FILE:-}" ]; then printf -- '-c config_file=%s' "$REPRISE_CONFIG_FILE"; fi; }

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

# The roles that may be a superuser to work as, and the one for checks, each once and quoted for pg_ident.conf.
candidates() {
  printf '"%s"\n' "${REPRISE_SUPERUSER:-$REPRISE_USER}" "$REPRISE_USER" postgres "${CHECKER:-postgres}" | sort -u
}

server_died() { finish ServerFailed; } # a program may know more about it
while_starting() { :; }

start_server() { # RECOVERS=true: with the recovery settings of the data
  step start
  private_access
  set --
  while IFS= read -r setting; do
    if [ -n "$setting" ]; then set -- "$@" -c "$setting"; fi
  done <<SETTINGS
${REPRISE_PARAMETERS:-}
SETTINGS
  # The quarantine: nobody can connect, nothing is archived, nothing consumes or runs what came with the data. The log
  # comes here, in English, without statements. A synchronous standby of the source would block every commit.
  # An empty archive_command keeps segments for later, as /bin/false does, which would be tried three times at stop.
  # shellcheck disable=SC2046
  set -- "$@" -D "$DATA" $(config_file) -c "data_directory=$DATA" -c listen_addresses= \
    -c "unix_socket_directories=$SOCKET" -c port=5432 \
    -c unix_socket_permissions=0700 -c unix_socket_group= -c "hba_file=$SOCKET/hba" -c "ident_file=$SOCKET/ident" \
    -c ssl=off -c hot_standby=off -c archive_mode=on -c archive_command= \
    -c logging_collector=off -c log_destination=stderr -c lc_messages=C -c log_timezone=UTC -c log_statement=none \
    -c log_min_duration_statement=-1 -c log_duration=off -c log_min_error_statement=panic \
    -c max_logical_replication_workers=0 -c cron.launch_active_jobs=off -c synchronous_standby_names= \
    -c session_preload_libraries= -c local_preload_libraries= -c password_encryption=scram-sha-256 -c autovacuum=off
  # What is removed in recovery must not be overwritten: it may have another name elsewhere.
  if ${RECOVERS:-false}; then set -- "$@" -c wal_recycle=off; else set -- "$@" -c restore_command=; fi
  if [ "$MAJOR" -ge 13 ]; then set -- "$@" -c log_min_duration_sample=-1; fi
  if [ "$MAJOR" -ge 15 ]; then set -- "$@" -c archive_library=; fi
  $AS postgres "$@" </dev/null >>"$SERVER_LOG" 2>&1 3>&- &
  SERVER=$!
  # Polled, because with hot_standby=off `pg_ctl start -w` is content as soon as recovery has begun.
  until $AS pg_isready -q -h "$SOCKET" -p 5432; do
    if ! server_lives; then server_died; fi
    while_starting
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

stop_server() { # [SIGNAL]: a clean stop leaves "shut down" behind; the second signal is for a server that would not
  if [ -z "$SERVER" ]; then return 0; fi
  kill "-${1:-INT}" "$SERVER" 2>/dev/null || true
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

cluster_facts() {
  fact_number serverVersionNum "$(value 'show server_version_num')"
  fact_number databaseCount "$(value 'select count(*) from pg_database')"
  fact_number databaseBytes "$(value 'select sum(pg_database_size(oid)) from pg_database')"
}
