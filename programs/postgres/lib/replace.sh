# SPDX-License-Identifier: Apache-2.0
# replace: the steps in which `inplace` replaces a service's data, from the hold to the swap. It uses `fetch`, `server`,
# `checks` and `volume`.

# shellcheck shell=dash

# ---------------------------------------------------------------- before anything is changed

check_replacement() {
  step input
  case ${REPRISE_STOPPED_AT:-} in '' | *[!0-9]*) finish ProgramFailed ;; esac
  case ${REPRISE_EXPECT_SEGMENT:-} in *[!0-9A-F]*) finish ProgramFailed ;; esac
  if [ "$ACTION" = rollback ]; then
    if ! plain_name "${REPRISE_ROLLBACK_OF:-}"; then finish ProgramFailed; fi
    REPRISE_TARGET_KIND=latest REPRISE_TARGET='' REPRISE_TIMELINE=current
    REPRISE_BACKUP=$REPRISE_ROLLBACK_OF REPRISE_EXPECT_MAJOR=$MAJOR REPRISE_EXPECT_START_LSN=0/0
    REPRISE_OWN_TAIL=false REPRISE_CROSS_SERVICE=false
  fi
  case ${REPRISE_CROSS_SERVICE:=false} in true | false) ;; *) finish ProgramFailed ;; esac
  check_input
  fact_string backup "$REPRISE_BACKUP"
  # What was staged for other words than these is of no use.
  WORDS=$(printf '%s\n' "$ACTION" "$REPRISE_BACKUP" "$REPRISE_SOURCE_PREFIX" "$REPRISE_TARGET_KIND" "$target" \
    "$REPRISE_TARGET_INCLUSIVE" "$REPRISE_TIMELINE" "$REPRISE_CROSS_SERVICE" | sha256sum | cut -c 1-16)
}

# Whether a server has started since the service was stopped. The file is empty for a moment when one starts.
somebody_started() { # DIRECTORY
  if [ ! -e "$1/postmaster.pid" ]; then return 1; fi
  since=$(sed -n 3p "$1/postmaster.pid")
  case $since in '' | *[!0-9]*) since=$(stat -c %Y "$1/postmaster.pid") ;; esac
  [ "$since" -gt "$REPRISE_STOPPED_AT" ]
}

check_service() {
  step check
  if is_placeholder "$PGDATA" && ! is_mine "$PGDATA"; then
    fact_string heldBy "$(holder "$PGDATA")"
    finish HeldByOther
  fi
  place=$PGDATA
  if is_mine "$PGDATA"; then place=$HELD; fi
  if ! holds_data "$place"; then finish NoData; fi
  if cannot_be_renamed "$PGDATA" || [ "$(stat -c %d "$place")" != "$(stat -c %d "$WORKSPACES")" ]; then
    finish PgdataIsMountpoint
  fi
  if has_tablespaces "$place"; then finish TablespacesUnsupported; fi
  if [ -L "$place/pg_wal" ] || is_mountpoint "$PGDATA/pg_wal"; then finish WalVolumeUnsupported; fi
  if below_mounted "$PGDATA"; then finish PgdataIsMountpoint; fi
  if [ "$ACTION" = rollback ] && ! holds_data "$(kept_by "$REPRISE_ROLLBACK_OF")" &&
    ! holds_data "$STAGING"; then finish NothingToRollBack; fi
  if [ "$place" = "$PGDATA" ] && somebody_started "$PGDATA"; then finish ReplicasChangedByOther; fi
  DATA=$place
  read_control
  HELD_IDENTIFIER=$(control 'Database system identifier')
  HELD_STATE=$(control 'Database cluster state')
  HELD_TIMELINE=$(control "Latest checkpoint's TimeLineID")
  HELD_CHECKPOINT=$(control 'Latest checkpoint location')
  fact_string heldSystemIdentifier "$HELD_IDENTIFIER"
  fact_string heldState "$HELD_STATE"
  fact_number heldTimeline "$HELD_TIMELINE"
}

# ---------------------------------------------------------------- hold

take_hold() {
  step hold
  if is_mine "$PGDATA"; then return 0; fi # by an earlier start
  $AS mkdir -p "$MINE"
  if [ "$ACTION" = rollback ]; then echo "$REPRISE_ROLLBACK_OF" | $AS tee "$MINE/rollback-of" >/dev/null; fi
  make_placeholder "$HELD"
  note hold
  if ! exchange "$PGDATA" "$HELD"; then finish HoldFailed; fi
  if somebody_started "$HELD"; then finish ReplicasChangedByOther; fi
}

# ---------------------------------------------------------------- stage

# In archive recovery PostgreSQL takes all segments for archived, whatever archive_status says, and removes them. Those
# of data that was in use may have been archived nowhere: they get a second name, and their first one back afterwards.
save_ready() {
  $AS mkdir -p "$MINE/ready"
  for file in "$STAGING"/pg_wal/archive_status/*.ready; do
    name=$(basename "$file" .ready)
    if [ ! -e "$STAGING/pg_wal/$name" ] || [ -e "$MINE/ready/$name" ]; then continue; fi
    second_name "$STAGING/pg_wal/$name" "$MINE/ready"
  done
  $AS sync "$MINE/ready"
}
second_name() { # FILE DIRECTORY
  if $AS ln "$1" "$2/" 2>/dev/null; then return 0; fi
  $AS cp "$1" "$2/unfinished" && $AS mv "$2/unfinished" "$2/${1##*/}"
}

stage() {
  if noted "staged-$WORDS" dropped && holds_data "$STAGING" &&
    { noted "recovered-$WORDS" dropped || [ -e "$STAGING/recovery.signal" ]; }; then
    # Without the signal and without the word a promotion may be half done, and would go on along the old timeline.
    KEEP_STAGED=true
    fact resumed true
    return 0
  fi
  fact resumed false
  if [ "$ACTION" = rollback ]; then
    step stage
    if ! holds_data "$STAGING"; then
      rm -rf "$STAGING"
      $AS mv -T "$(kept_by "$REPRISE_ROLLBACK_OF")" "$STAGING"
      $AS sync "$MINE" "$WORKSPACES/$REPRISE_ROLLBACK_OF"
    fi
    save_ready
  else
    drop_staged
    check_space
    fetch
    check_data
  fi
  write_settings
  hold $AS sync -f "$STAGING"
  note "staged-$WORDS"
  KEEP_STAGED=true
}

# ---------------------------------------------------------------- recover

restore_command() { printf 'sh %s "%%f" "%%p"' "$(for_shell "$MINE/wal-fetch" | sed 's/%/%%/g')"; }

# History files that were never archived count as well: the new timeline's number must not be theirs.
write_restore_command() {
  {
    printf 'WALG_S3_PREFIX=%s wal-g wal-fetch "$1" "$2" && exit 0\n' "$(for_shell "$REPRISE_SOURCE_PREFIX")"
    read_control
    if [ "$(control 'Database system identifier')" = "$HELD_IDENTIFIER" ] && [ "$REPRISE_CROSS_SERVICE" = false ]; then
      printf 'held=%s\n' "$(for_shell "$HELD/pg_wal")"
      if [ "${REPRISE_OWN_TAIL:-false}" != true ]; then printf 'case $1 in *.history) ;; *) exit 1 ;; esac\n'; fi
      printf 'list=%s\n' "$(for_shell "$MINE/from-tail")"
      printf 'cp "$held/$1" "$2" 2>/dev/null && echo "$1" >>"$list" && sync "$list"\n'
    else
      echo 'exit 1'
    fi
  } >"$WORK/wal-fetch"
  $AS tee "$MINE/wal-fetch" <"$WORK/wal-fetch" >/dev/null
}

while_starting() { # at most one line a second
  if [ "$(date +%s)" = "${told_at:-}" ]; then return 0; fi
  told_at=$(date +%s)
  segment=$(tail -c 65536 "$SERVER_LOG" |
    sed -n 's/.*restored log file "\([0-9A-F]\{24\}\)" from archive.*/\1/p' | tail -n 1)
  if [ -n "$segment" ] && [ "$segment" != "${told:-}" ]; then
    told=$segment
    printf 'reprise-progress segment %s\n' "$segment" >&3
  fi
}

# A history that was never archived, of an attempt to roll back that was undone, must not meet another of its name.
check_histories() {
  export WALG_S3_PREFIX="$REPRISE_SOURCE_PREFIX"
  for file in "$STAGING"/pg_wal/archive_status/*.history.ready; do
    if [ ! -e "$file" ]; then continue; fi
    name=$(basename "$file" .ready)
    rm -f "$WORK/home/history"
    if hold $AS wal-g wal-fetch "$name" "$WORK/home/history" &&
      ! cmp -s "$WORK/home/history" "$STAGING/pg_wal/$name"; then finish TimelineTaken; fi
  done
}

recover() {
  DATA=$STAGING
  if [ "$ACTION" = rollback ]; then check_histories; fi
  rm -f "$DATA/postmaster.pid" # we have the lock: who wrote it is dead
  RECOVERS=true
  if noted "recovered-$WORDS" dropped; then RECOVERS=false; fi
  write_restore_command
  step recover
  start_server
  told_at=
  while_starting
  if $RECOVERS; then note "recovered-$WORDS"; fi
}

# ---------------------------------------------------------------- what has come of it

position_number() { echo $((0x${1%/*} * 4294967296 + 0x${1#*/})); } # X/X

recovered_to_target() { # REASON: in PostgreSQL's words. Up to version 12 a target that was missed is no error
  case $REPRISE_TARGET_KIND:$1 in
    latest:'no recovery target specified'*) ;;
    immediate:'reached consistency'*) ;;
    time:'before '[0-9]* | time:'after '[0-9]*) ;;
    lsn:'before LSN 0/0' | lsn:'after LSN 0/0' | lsn:'before LSN 0/00000000' | lsn:'after LSN 0/00000000') return 1 ;;
    lsn:'before LSN '* | lsn:'after LSN '*) ;;
    xid:"before transaction $target" | xid:"after transaction $target") ;;
    name:"at restore point \"$target\"") ;;
    *) return 1 ;;
  esac
}

# PostgreSQL takes what could not be fetched for the archive's end, and promotes without a word.
check_reach() { # PARENT TIMELINE: what was there when this was planned, and what the service itself had
  size=$(control 'Bytes per WAL segment')
  ended=$(position_number "$SWITCH")
  segment=${REPRISE_EXPECT_SEGMENT:-}
  if [ ${#segment} = 24 ]; then
    log=${segment#????????}
    start=$((0x${log%????????} * 4294967296 + 0x${log#????????} * size))
    if [ "$1" -lt $((0x${segment%????????????????})) ] || [ "$ended" -le "$start" ]; then finish WALGap; fi
  fi
  if [ "${REPRISE_OWN_TAIL:-false}" != true ] || [ "$identifier" != "$HELD_IDENTIFIER" ] ||
    [ "$1" != "$HELD_TIMELINE" ]; then return 0; fi
  start=$(position_number "$HELD_CHECKPOINT")
  if [ "$ended" -lt $((start / size * size)) ]; then finish WALGap; fi
}

check_recovered() {
  step check-recovered
  read_control
  identifier=$(control 'Database system identifier')
  fact_string systemIdentifier "$identifier"
  label_facts
  timeline_facts
  if [ "$identifier" != "${REPRISE_EXPECT_SYSTEM_IDENTIFIER:-$identifier}" ]; then finish RestoreNotPerformed; fi
  if [ -z "$SWITCH" ]; then finish RestoreNotPerformed; fi
  parent=$(printf '%s' "$row" | cut -f 1) # history_facts has read it
  reason=$(printf '%s' "$row" | cut -s -f 3-)
  if ! recovered_to_target "$reason"; then
    if [ "$REPRISE_TARGET_KIND" = latest ]; then finish InheritedRecoveryTarget; fi
    finish TargetNotReached
  fi
  if [ "$REPRISE_TIMELINE" != current ] && [ "$parent" != "$REPRISE_TIMELINE" ]; then finish OtherTimeline; fi
  # The archive could not be asked which timelines there are. A clone's numbers are another archive's, though.
  if [ "$REPRISE_CROSS_SERVICE" = false ] && [ "$identifier" = "$HELD_IDENTIFIER" ] &&
    [ "$timeline" -le "$HELD_TIMELINE" ]; then finish TimelineTaken; fi
  if [ "$REPRISE_TARGET_KIND" = latest ]; then check_reach "$parent"; fi
}

take_over() {
  find_superuser
  cluster_facts
  if [ "$REPRISE_CROSS_SERVICE" = true ]; then
    disable_subscriptions
    set_passwords
  fi
}

# ---------------------------------------------------------------- stop

stop() {
  step stop
  stop_server
  read_control
  if [ "$(control 'Database cluster state')" != 'shut down' ]; then finish ServerFailed; fi
}

# Nothing of a recovery stays in the settings, be it this one's or one that the source had been through.
settings() {
  step settings
  passing='^[[:space:]]*(restore_command|(recovery|primary)_)'
  source=$MINE/postgresql.auto.conf.source
  if [ "$REPRISE_CROSS_SERVICE" = true ]; then
    {
      if [ -e "$HELD/postgresql.auto.conf" ]; then
        grep -aEiv "$passing" "$HELD/postgresql.auto.conf" | grep -aEv "$KEPT_SETTINGS"
      fi
      grep -aE "$KEPT_SETTINGS" "$source"
    } >"$WORK/auto.conf" || true
  else
    grep -aEiv "$passing" "$source" >"$WORK/auto.conf" || true
  fi
  $AS tee "$STAGING/postgresql.auto.conf.reprise" <"$WORK/auto.conf" >/dev/null
  $AS sync "$STAGING/postgresql.auto.conf.reprise"
  $AS mv "$STAGING/postgresql.auto.conf.reprise" "$STAGING/postgresql.auto.conf"
}

# What only the old data had is archived as soon as the service runs: recovery has marked it as done, and without it
# no later restore from an older base backup would get past it. The last, unfinished segment is on the new timeline.
keep_tail() {
  if [ "$ACTION" = rollback ]; then
    step tail
    put_ready_back
    return 0
  fi
  if [ ! -s "$MINE/from-tail" ]; then return 0; fi
  step tail
  size=$(control 'Bytes per WAL segment')
  last=$(($(position_number "$SWITCH") / size))
  sort -u "$MINE/from-tail" >"$WORK/tail"
  while IFS= read -r name; do
    log=${name#????????}
    case $name in
      *.history) ;;
      *) if [ $((0x${log%????????} * (4294967296 / size) + 0x${log#????????})) -ge "$last" ]; then continue; fi ;;
    esac
    if [ ! -e "$STAGING/pg_wal/$name" ]; then
      $AS cp "$HELD/pg_wal/$name" "$STAGING/pg_wal/unfinished"
      $AS mv "$STAGING/pg_wal/unfinished" "$STAGING/pg_wal/$name"
    fi
    make_ready "$name"
  done <"$WORK/tail"
  fact tailSegments "$(json_list <"$WORK/tail")"
}

# ---------------------------------------------------------------- swap

swap() {
  step swap
  fact_number dataBytes "$(du -sbx --exclude=pg_wal "$STAGING" | cut -f 1)"
  hold $AS sync -f "$STAGING"
  $AS tee "$MINE/facts" <"$FACTS" >/dev/null
  $AS sync "$MINE/facts"
  if ! is_mine "$PGDATA" || [ -e "$PGDATA/postmaster.pid" ]; then finish ReplicasChangedByOther; fi
  if ! exchange "$PGDATA" "$STAGING"; then finish SwapFailed; fi
  note swapped
  fact already false
  fact_string renamed "$METHOD"
  remove_placeholder "$STAGING"
  rm -rf "$MINE/ready"
}

already_swapped() {
  step already
  if [ -e "$MINE/facts" ]; then cat "$MINE/facts" >"$FACTS"; fi
  fact already true
  if ! noted swapped; then note swapped; fi
  remove_placeholder "$STAGING"
  rm -rf "$MINE/ready"
}
