# SPDX-License-Identifier: Apache-2.0
# uses: fetch
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

# ---------------------------------------------------------------- before anything is changed

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
