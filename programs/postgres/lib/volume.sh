# SPDX-License-Identifier: Apache-2.0
# volume: what stands where on a service's volume while its data is replaced, and how it changes places. For programs
# that use `fetch`. All that this knows is derived from the directories; the journal says what they can't.
#
#   <volume>/.reprise/lock             held by the one program that may change anything
#   <volume>/.reprise/<run>/journal    words, the later wins: hold, undone; staged-*, recovered-*, dropped; swapped
#   <volume>/.reprise/<run>/moved      only in the middle of two renames; `moving` names the other place
#
# A placeholder is a directory that no server accepts and no entrypoint takes for empty. The file `held-by-reprise` in
# it names the run.

# shellcheck shell=dash
VOLUME=${REPRISE_VOLUME:-/var/lib/postgresql}
WORKSPACES=$VOLUME/.reprise
MINE=$WORKSPACES/$REPRISE_RUN_UID
JOURNAL=$MINE/journal
PARENT=${PGDATA%/*}
METHOD=

plain_name() { case $1 in '' | *[!A-Za-z0-9-]*) return 1 ;; esac }
kept_by() { # RUN: where its workspace keeps what it has replaced
  if [ -e "$WORKSPACES/$1/rollback-of" ]; then echo "$WORKSPACES/$1/failed-restore"; else echo "$WORKSPACES/$1/pre-restore"; fi
}
holds_data() { [ -s "$1/global/pg_control" ]; }
is_placeholder() { [ -f "$1/held-by-reprise" ] && ! holds_data "$1"; }
holder() { if is_placeholder "$1"; then head -n 1 "$1/held-by-reprise"; fi; }
is_mine() { [ "$(holder "$1")" = "$REPRISE_RUN_UID" ]; }

note() { # WORD: on disk before anything follows from it. After a torn line it still is a line of its own
  printf '\n%s\n' "$1" | $AS tee -a "$JOURNAL" >/dev/null
  $AS sync "$JOURNAL"
}
noted() { # WORD [WORD THAT UNDOES IT]
  [ -e "$JOURNAL" ] && awk -v word="$1" -v undone="${2:-}" '
    $0 == word { found = 1 } undone != "" && $0 == undone { found = 0 } END { exit !found }' "$JOURNAL"
}

lock_volume() {
  step lock
  if [ "$(id -u)" = 0 ]; then # some provisioners make volumes that only root may enter
    if ! $AS test -x "$VOLUME"; then chown "$OWNER:$OWNER_GROUP" "$VOLUME"; fi
    if ! $AS test -w "$PARENT"; then chown "$OWNER:$OWNER_GROUP" "$PARENT"; fi
  fi
  mkdir -p "$WORKSPACES"
  if [ "$(id -u)" = 0 ]; then chown "$OWNER:$OWNER_GROUP" "$WORKSPACES"; fi
  $AS touch "$WORKSPACES/lock"
  exec 9>"$WORKSPACES/lock" # our children have it as well: a server that outlives us keeps everybody out
  if ! hold flock -w "${REPRISE_FENCE_SECONDS:-300}" 9; then finish TargetBusy; fi
}

# Both places have something all the time, if perl is there and the file system can: renameat2(RENAME_EXCHANGE).
swap_names() { # PLACE PLACE
  # shellcheck disable=SC2016 # perl's variables
  [ "${REPRISE_EXCHANGE:-true}" = true ] && $AS perl -e 'use strict; my ($machine, $one, $other) = @ARGV;
    my %number = (x86_64 => 316, aarch64 => 276, ppc64le => 357, riscv64 => 276, s390x => 347);
    exit 38 unless $number{$machine};
    exit(syscall($number{$machine}, -100, $one, -100, $other, 2) == 0 ? 0 : $! + 0);' "$(uname -m)" "$1" "$2"
}

# Otherwise the first place is empty for the time between two renames, and `settle` sees it.
exchange() { # PLACE PLACE
  if swap_names "$1" "$2"; then
    METHOD=exchange
  else
    METHOD=renames
    echo "$2" | $AS tee "$MINE/moving" >/dev/null && $AS sync "$MINE/moving" && $AS mv -T "$1" "$MINE/moved" &&
      $AS mv -T "$2" "$1" && $AS mv -T "$MINE/moved" "$2" || return 1
  fi
  $AS sync "${1%/*}" "${2%/*}"
}

# An exchange that ended in its middle is taken back, or brought to its end if both renames that matter are done.
settle() {
  if [ ! -e "$MINE/moved" ]; then return 0; fi
  place=$(cat "$MINE/moving")
  if [ -e "$place" ]; then rmdir "$PGDATA" 2>/dev/null || true; fi # a pod that mounts it may have made an empty one
  if [ ! -e "$PGDATA" ]; then
    place=$PGDATA
  elif [ -z "$place" ] || [ -e "$place" ]; then
    return 1 # somebody has put something there
  fi
  $AS mv -T "$MINE/moved" "$place" && $AS sync "$MINE" "${place%/*}"
}

make_placeholder() { # PLACE: there is no data of ours in it
  if holds_data "$1"; then finish ProgramFailed; fi
  rm -rf "$1"
  $AS mkdir -m 700 "$1"
  echo "$REPRISE_RUN_UID" | $AS tee "$1/held-by-reprise" >/dev/null
  echo "held by reprise, run $REPRISE_RUN_UID" | $AS tee "$1/PG_VERSION" >/dev/null
  $AS sync "$1/held-by-reprise" "$1/PG_VERSION" "$1"
}

remove_placeholder() { if is_mine "$1"; then rm -rf "$1"; fi; }

cannot_be_renamed() { [ -L "$1" ] || is_mountpoint "$1"; } # the link would be, and not what it leads to
is_mountpoint() { awk -v place="$1" '$5 == place { found = 1 } END { exit !found }' /proc/self/mountinfo; }
below_mounted() { awk -v place="$1/" 'index($5, place) == 1 { found = 1 } END { exit !found }' /proc/self/mountinfo; }
has_tablespaces() { [ -n "$(ls -A "$1/pg_tblspc" 2>/dev/null)" ]; }

find_major() { # what the data says, wherever it is
  for place in "$PGDATA" "$HELD" "$MINE/restore-tmp"; do
    MAJOR=$(head -n 1 "$place/PG_VERSION" 2>/dev/null) || MAJOR=
    case $MAJOR in '' | *[!0-9]*) ;; *) break ;; esac
  done
  case $MAJOR in '' | *[!0-9]*) MAJOR=${REPRISE_EXPECT_MAJOR:-0} ;; esac
  PATH=/usr/lib/postgresql/$MAJOR/bin:$PATH
}
