# SPDX-License-Identifier: Apache-2.0
# uses: fetch server checks volume replace
# inplace: replaces the data of a service by restored data while it is at 0 replicas, or the other way round. Until the
# last rename nobody but this program has seen the new data, and any end before it gives the old data its name back.
# It may be killed anywhere and started again, and two of it may run at a time.
#
# Environment, beside the prologue's. Of the program `restore` those that name backup, source, target and expectations,
# of `checks` all; of `seal` REPRISE_USER, REPRISE_SUPERUSER, REPRISE_CREDENTIALS, REPRISE_CONFIG_FILE
#   REPRISE_ACTION            inspect   says what is there; the volume may be read-only and the service running
#                             restore   lock, check, hold, stage, recover, verify, stop, swap
#                             rollback  the same with what an earlier run has replaced
#                             undo      before the swap: the old data gets its name back
#                             tidy      removes what runs have left; beside the running server
#   REPRISE_RUN_UID           required here, of letters, digits and hyphens: what the workspace is named by
#   REPRISE_VOLUME            the mount point (/var/lib/postgresql)
#   REPRISE_STORE_VARIABLES   the names of the variables that say to it where archives are and who may read them, separated
#                             by blanks; where it is set, others that say so are unset
#   REPRISE_FENCE_SECONDS     how long to wait for another program on the volume (300), then TargetBusy
#  restore and rollback
#   REPRISE_STOPPED_AT        when the service was seen to be stopped, in seconds of the epoch: a server that started
#                             later is ReplicasChangedByOther, a postmaster.pid from before was left by a kill
#   REPRISE_EXPECT_SYSTEM_IDENTIFIER   what the restored data must be
#   REPRISE_EXPECT_SEGMENT    target latest: the newest segment the archive had when this was planned
#   REPRISE_OWN_TAIL          "true": what the archive lacks is taken from the replaced data, if it is the same cluster,
#                             and is archived once the service runs
#   REPRISE_CROSS_SERVICE     "true": another service's data: this one's settings, password and no subscriptions (false)
#   REPRISE_ROTATE_PASSWORDS  with it, "false" keeps the source's passwords
#   REPRISE_ROLLBACK_OF       rollback: the run whose replaced data comes back. REPRISE_SOURCE_PREFIX is the own archive
#   REPRISE_EXCHANGE          "false": two renames where one exchange would do
#  tidy
#   REPRISE_TIDY              the UIDs of runs, separated by blanks
#
# On the volume, in .reprise/<run> (see `volume` as well)
#   restore-tmp               what becomes the new data
#   pre-restore               restore: the placeholder, from the hold on the old data. It stays after the swap
#   failed-restore            rollback: the same
#   rollback-of               rollback: the run whose pre-restore was taken, or its failed-restore if it was a rollback
#   wal-fetch, from-tail      the restore command, and which segments only the old data had
#   ready                     rollback: what of its data was archived nowhere yet
#   facts                     of a swap: a repetition tells them again
# Held: PGDATA is our placeholder. Swapped: PGDATA is data, and pre-restore or failed-restore is data too.

# shellcheck shell=dash
ACTION=${REPRISE_ACTION:?}
ASIDE=$MINE
STAGING=$MINE/restore-tmp
KEEP_ASIDE=true
KEEP_STAGED=
RESTORED_BY=

# What the service's own environment says about archives (envFrom) is not for us.
if [ -n "${REPRISE_STORE_VARIABLES+set}" ]; then
  for name in $(env | sed -n 's/^\(\(AWS\|WALG\|WALE\)_[A-Za-z0-9_]*\)=.*/\1/p'); do
    case " $REPRISE_STORE_VARIABLES " in *" $name "*) continue ;; esac
    # An image may say what else there is, a certificate or a limit.
    case $name in
      WAL[EG]_*PREFIX | AWS_ENDPOINT* | AWS_*REGION | AWS_ACCESS_KEY* | AWS_SECRET* | AWS_SESSION_TOKEN | AWS_PROFILE) ;;
      AWS_ROLE* | AWS_WEB_IDENTITY* | AWS_SHARED_CREDENTIALS_FILE | AWS_CONFIG_FILE | AWS_S3_FORCE_PATH_STYLE) ;;
      *) continue ;;
    esac
    unset "$name"
  done
fi

# ---------------------------------------------------------------- ends

is_swapped() { [ ! -e "$MINE/moved" ] && holds_data "$PGDATA" && holds_data "$HELD"; }

make_ready() { # NAME of a file in pg_wal
  rm -f "$STAGING/pg_wal/archive_status/$1.done"
  $AS touch "$STAGING/pg_wal/archive_status/$1.ready"
}

put_ready_back() { # what `save_ready` has saved
  for file in "$MINE"/ready/*; do
    name=${file##*/}
    case $name in unfinished | '*') continue ;; esac
    if [ ! -e "$STAGING/pg_wal/$name" ]; then second_name "$file" "$STAGING/pg_wal" || return 1; fi
    make_ready "$name" || return 1
  done
}

# A rollback's data goes back to where it was taken from, as it was but for what recovery has done to it.
give_back() {
  kept=$(kept_by "$(cat "$MINE/rollback-of")")
  if [ -e "$kept" ]; then return 0; fi
  from=${kept%/*}
  rm -f "$STAGING/recovery.signal"
  if [ -e "$MINE/postgresql.auto.conf.source" ]; then
    $AS mv "$MINE/postgresql.auto.conf.source" "$STAGING/postgresql.auto.conf"
  fi
  put_ready_back && $AS mkdir -p "$from" && $AS mv -T "$STAGING" "$kept" && $AS sync "$MINE" "$from" &&
    note dropped && rm -rf "$MINE/ready"
}

# Nothing of it has been seen by anybody. Where it is a rollback's, it is all there is of that data.
drop_staged() {
  if [ -e "$MINE/rollback-of" ]; then
    if holds_data "$STAGING"; then give_back; fi
    return 0
  fi
  if [ -e "$STAGING" ]; then note dropped; fi
  rm -f "$MINE/from-tail" "$MINE/postgresql.auto.conf.source"
  rm -rf "$STAGING"
}

put_back() { # whether the data that was held has its name (again)
  if ! settle; then return 1; fi
  if is_mine "$PGDATA"; then
    if ! holds_data "$HELD" || ! exchange "$PGDATA" "$HELD"; then return 1; fi
  fi
  if ! holds_data "$PGDATA"; then return 1; fi
  note undone
  remove_placeholder "$HELD"
}

# The old data first: what else there is to do may take longer than a pod is given.
before_finish() {
  end_children
  if [ "$code" = ProgramFailed ] && [ ! -e "$WORK/too-late" ]; then code=$(telling_reason ProgramFailed); fi
  if [ -z "$RESTORED_BY" ]; then return 0; fi
  if is_swapped; then
    fact swapped true
    return 0
  fi
  fact swapped false
  undone=false
  if noted hold undone; then
    if put_back; then undone=true; else code=UndoFailed; fi
  fi
  fact undone "$undone"
  if [ "$code" = Interrupted ] && [ -n "$KEEP_STAGED" ]; then
    stop_server
  else
    stop_server "$(if [ "$ACTION" = rollback ]; then echo INT; else echo QUIT; fi)"
    if [ "$code" != UndoFailed ]; then drop_staged; fi
  fi
}
server_died() { finish "$(telling_reason ServerFailed)"; }

# ---------------------------------------------------------------- inspect

leftovers() {
  for folder in "$WORKSPACES"/*/; do
    run=$(basename "$folder")
    if [ ! -d "$folder" ] || [ "$folder" = "$MINE/" ] || ! plain_name "$run"; then continue; fi
    printf '%s{"run":%s,"bytes":%s' "${comma-}" "$(json_string "$run")" "$(du -sbx "$folder" 2>/dev/null | cut -f 1)"
    for name in pre-restore:hasPreRestore failed-restore:hasFailedRestore restore-tmp:hasStaged; do
      is_there=false
      if holds_data "$folder${name%:*}"; then is_there=true; fi
      printf ',"%s":%s' "${name#*:}" "$is_there"
    done
    printf '}'
    comma=,
  done
}

space_facts() {
  fact_number freeBytes "$(df -B1 --output=avail "$VOLUME" | tail -n 1 | tr -d ' ')"
  fact_number volumeBytes "$(df -B1 --output=size "$VOLUME" | tail -n 1 | tr -d ' ')"
}

inspect() {
  step inspect
  space_facts
  fact_string heldBy "$(holder "$PGDATA")"
  fact_string serverVersion "$(postgres --version 2>/dev/null | sed 's/^[^0-9]*\([0-9.a-z]*\).*/\1/')"
  fact_bool pgdataIsMountpoint cannot_be_renamed "$PGDATA"
  fact_bool hasOtherFileSystems below_mounted "$PGDATA"
  fact_bool hasTablespaces has_tablespaces "$PGDATA"
  fact_bool walIsLink [ -L "$PGDATA/pg_wal" ]
  fact leftovers "[$(leftovers)]"
  if ! holds_data "$PGDATA"; then finish "$(if is_placeholder "$PGDATA"; then echo OK; else echo NoData; fi)"; fi
  fact_string major "$(head -n 1 "$PGDATA/PG_VERSION")"
  read_control
  fact_string systemIdentifier "$(control 'Database system identifier')"
  fact_string controlState "$(control 'Database cluster state')"
  fact_number timeline "$(control "Latest checkpoint's TimeLineID")"
  fact_number notArchived "$(find "$PGDATA/pg_wal/" -name '*.ready' 2>/dev/null | wc -l)"
  # A running server removes files meanwhile.
  fact_number dataBytes "$({ du -sbx --exclude=pg_wal "$PGDATA" 2>/dev/null || true; } | cut -f 1)"
}

# ---------------------------------------------------------------- undo, tidy

undo() {
  lock_volume
  step undo
  if is_placeholder "$PGDATA" && ! is_mine "$PGDATA"; then
    fact_string heldBy "$(holder "$PGDATA")"
    fact_bool undone noted undone
    return 0
  fi
  if [ ! -e "$JOURNAL" ]; then
    fact undone false
    return 0
  fi
  settle || finish UndoFailed
  fact_bool swapped is_swapped
  if is_swapped || ! noted hold; then
    fact undone false
  else
    put_back || finish UndoFailed
    fact undone true
  fi
  if ! is_swapped; then drop_staged; fi
}

# What is removed has another name first: half of it must not pass for data.
tidy() {
  lock_volume
  step tidy
  for run in ${REPRISE_TIDY:-}; do
    folder=$WORKSPACES/$run
    if ! plain_name "$run"; then finish ProgramFailed; fi
    if [ "$(holder "$PGDATA")" = "$run" ] || [ -e "$folder/moved" ] ||
      { [ -e "$folder/rollback-of" ] && holds_data "$folder/restore-tmp"; }; then
      echo "$run" >>"$WORK/kept"
      continue
    fi
    if [ -e "$folder" ]; then
      if [ -e "$folder.removed" ]; then hold rm -rf "$folder.removed"; fi
      $AS mv -T "$folder" "$folder.removed"
      $AS sync "$WORKSPACES"
    fi
    hold rm -rf "$folder.removed"
    echo "$run" >>"$WORK/tidied"
  done
  touch "$WORK/kept" "$WORK/tidied"
  fact tidied "$(json_list <"$WORK/tidied")"
  fact kept "$(json_list <"$WORK/kept")"
  space_facts
}

# ---------------------------------------------------------------- restore, rollback

replace() {
  check_replacement
  lock_volume
  settle || finish ReplicasChangedByOther
  RESTORED_BY=$ACTION
  if is_swapped; then
    already_swapped
    return 0
  fi
  check_service
  take_hold
  stage
  recover
  check_recovered
  take_over
  verify
  stop
  settings
  keep_tail
  swap
}

PROGRAM=inplace
if ! plain_name "$REPRISE_RUN_UID" || [ "${PGDATA#"$VOLUME"/}" = "$PGDATA" ]; then finish ProgramFailed; fi
HELD=$MINE/pre-restore
if [ "$ACTION" = rollback ] || [ -e "$MINE/rollback-of" ]; then HELD=$MINE/failed-restore; fi
find_major
case $ACTION in
  inspect | undo | tidy) $ACTION ;;
  restore | rollback) replace ;;
  *) finish ProgramFailed ;;
esac
finish OK
