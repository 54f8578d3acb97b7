# shellcheck shell=bash disable=SC2034 # what is set here is used by those who source this
# SPDX-License-Identifier: Apache-2.0
# Sourced by every script in hack/. Everything the scripts start or build goes through here, so that one place
# knows where things are kept, what was started, and therefore what may be ended.

HACK_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
REPO_DIR=$(dirname "$HACK_DIR")

# Built things (Kubernetes, images, the Python environment) cost minutes and are the same for every checkout:
# they live outside of it. The state of one running environment lives in REPRISE_RUN: another value, another
# environment beside the first.
: "${REPRISE_CACHE:=${XDG_CACHE_HOME:-$HOME/.cache}/reprise}"
: "${REPRISE_RUN:=$REPO_DIR/.run}"
mkdir -p "$REPRISE_CACHE" "$REPRISE_RUN"
REPRISE_CACHE=$(cd "$REPRISE_CACHE" && pwd)
REPRISE_RUN=$(cd "$REPRISE_RUN" && pwd)
export REPRISE_CACHE REPRISE_RUN
[ -e "$REPRISE_RUN/.gitignore" ] || printf '*\n' >"$REPRISE_RUN/.gitignore" # it holds keys: never commit it

KUBE_VERSION=1.20.2
KUBE_BIN_CACHE=$REPRISE_CACHE/kubernetes-$KUBE_VERSION/bin
IMAGE_DIR=$REPRISE_CACHE/images
VENV_DIR=$REPRISE_CACHE/venv
KUBECONFIG_FILE=$REPRISE_RUN/kubeconfig
PID_DIR=$REPRISE_RUN/pids
PORT_DIR=$REPRISE_RUN/ports
LOG_DIR=$REPRISE_RUN/log

# ---------------------------------------------------------------- talking

_started_us=${EPOCHREALTIME/[.,]/}
elapsed() {
  local us=$((${EPOCHREALTIME/[.,]/} - _started_us))
  printf '%d.%d s' $((us / 1000000)) $((us % 1000000 / 100000))
}
say() { printf '%s\n' "$*"; }
step() { printf '%8s  %s\n' "$(elapsed)" "$*"; }
warn() { printf '%8s  note: %s\n' "$(elapsed)" "$*" >&2; }
fail() {
  printf '\n%s: %s\n' "${0##*/}" "$1" >&2
  shift
  if [ $# -gt 0 ]; then printf '  %s\n' "$@" >&2; fi
  exit 1
}
need_root() { [ "$(id -u)" = 0 ] || fail "this needs root: $1"; }
need_command() { command -v "$1" >/dev/null || fail "'$1' is missing" "hack/setup.sh installs what is needed"; }

# Root in a container often may not mount. What can do without a private mount namespace then does.
can_mount() { unshare --mount --propagation private true 2>/dev/null; }

# ---------------------------------------------------------------- processes
# A record is "name pid start-time executable". A PID alone may have been given to somebody else's process in the
# meantime; PID, start time and executable together may not.

_start_time() { # the 22nd field of stat; the command name before it may hold spaces, so count from its ')'
  local stat
  { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
  # shellcheck disable=SC2086 # splitting into fields is the point
  set -- ${stat##*) }
  printf '%s' "${20}"
}
_is_ours() { # pid start exe
  # -ef, the same file: the path alone reads differently from outside a private mount namespace
  [ "/proc/$1/exe" -ef "$3" ] && [ "$(_start_time "$1")" = "$2" ]
}

# spawn GROUP NAME EXE COMMAND...: in a session of its own, output to $LOG_DIR/NAME.log. EXE is what runs in the
# end, also when COMMAND gets there through nsenter or setpriv.
spawn() {
  local group=$1 name=$2 exe pid try
  exe=$(readlink -f "$(command -v "$3")") || fail "spawn: no such program: $3"
  shift 3
  mkdir -p "$PID_DIR" "$LOG_DIR"
  setsid "$@" >"$LOG_DIR/$name.log" 2>&1 </dev/null &
  pid=$!
  disown "$pid"
  printf '%s %s %s %s\n' "$name" "$pid" "$(_start_time "$pid" || true)" "$exe" >>"$PID_DIR/$group"
  for try in {1..600}; do # until the chain of exec has arrived: before that, no one could end it
    [ "/proc/$pid/exe" -ef "$exe" ] && return 0
    [ -d "/proc/$pid" ] || break
    sleep 0.05
  done
  tail -n 20 "$LOG_DIR/$name.log" >&2 || true
  fail "$name did not start (try $try); its log is $LOG_DIR/$name.log"
}
running() { # GROUP [NAME]: is any recorded process of it still there?
  local name pid start exe
  [ -s "$PID_DIR/$1" ] || return 1
  while read -r name pid start exe; do
    if [ -n "${2:-}" ] && [ "$name" != "$2" ]; then continue; fi
    if _is_ours "$pid" "$start" "$exe"; then return 0; fi
  done <"$PID_DIR/$1"
  return 1
}
pid_of() { # GROUP NAME
  local name pid start exe
  [ -s "$PID_DIR/$1" ] || return 1
  while read -r name pid start exe; do
    if [ "$name" = "$2" ] && _is_ours "$pid" "$start" "$exe"; then printf '%s' "$pid" && return 0; fi
  done <"$PID_DIR/$1"
  return 1
}
_signal_group() { # SIGNAL GROUP NAME, last started first
  local name pid start exe
  while read -r name pid start exe; do
    if [ -n "$3" ] && [ "$name" != "$3" ]; then continue; fi
    if _is_ours "$pid" "$start" "$exe"; then kill "-$1" "$pid" 2>/dev/null || true; fi
  done < <(tac "$PID_DIR/$2")
}
# A dead process keeps its PID until init takes note, and its successor may trip over that (PostgreSQL's lock file
# does). Where PID 1 is no init that never happens, so this does not wait for long.
_await_reaping() { # GROUP NAME
  local name pid start exe try
  while read -r name pid start exe; do
    if [ -n "$2" ] && [ "$name" != "$2" ]; then continue; fi
    for try in {1..40}; do
      [ "$(_start_time "$pid" || true)" = "$start" ] || break
      sleep 0.05
    done
  done <"$PID_DIR/$1"
}
# end_group GROUP [NAME] [SIGNAL] [SECONDS]: ask, wait, then insist. Without NAME the record goes away as well.
end_group() {
  local group=$1 only=${2:-} signal=${3:-TERM} seconds=${4:-10} try
  [ -s "$PID_DIR/$group" ] || return 0
  _signal_group "$signal" "$group" "$only"
  for ((try = 0; try < seconds * 20; try++)); do
    running "$group" "$only" || break
    sleep 0.05
  done
  _signal_group KILL "$group" "$only"
  if [ "$signal" = KILL ]; then _await_reaping "$group" "$only"; fi
  if [ -z "$only" ]; then rm -f "$PID_DIR/$group"; fi
}

# wait_for SECONDS WHAT GROUP/NAME COMMAND...: until COMMAND succeeds. Gives up early if the process is gone, and
# then shows the end of its log: "not ready" without the reason helps nobody.
wait_for() {
  local seconds=$1 what=$2 group=${3%%/*} name=${3##*/} deadline
  shift 3
  deadline=$((SECONDS + seconds))
  until "$@" >/dev/null 2>&1; do
    if ! running "$group" "$name"; then
      _show_log "$name"
      fail "$name ended while waiting for: $what" "its log is $LOG_DIR/$name.log"
    elif [ "$SECONDS" -ge "$deadline" ]; then
      _show_log "$name"
      fail "gave up after $seconds s waiting for: $what" "the log of $name is $LOG_DIR/$name.log"
    fi
    sleep 0.1
  done
}
_show_log() {
  say "--- the last lines of $LOG_DIR/$1.log" >&2
  tail -n 25 "$LOG_DIR/$1.log" >&2 || true
}

# ---------------------------------------------------------------- ports
# A port is picked once per environment and name and kept in $PORT_DIR/NAME, so that a restart finds it again.
# Between picking and listening another environment could pick the same one; hence the claims, which belong to the
# file that names the port and are void once that file is gone.

_listening() { # is somebody on this TCP port, on any address?
  local hex
  printf -v hex ':%04X' "$1"
  awk -v h="$hex" '$4 == "0A" && substr($2, length($2) - 4) == h { found = 1 } END { exit !found }' \
    /proc/net/tcp /proc/net/tcp6 2>/dev/null
}
# claim KIND VALUE FILE: true if no other environment holds VALUE; FILE will name it. Between lock_claims and
# unlock_claims only.
claim() {
  local record=$REPRISE_CACHE/claims/$1-$2 holder
  if [ -s "$record" ]; then
    holder=$(<"$record")
    if [ "$holder" != "$3" ] && [ "$(cat "$holder" 2>/dev/null)" = "$2" ]; then return 1; fi
  fi
  printf '%s' "$3" >"$record"
}
lock_claims() {
  local record
  mkdir -p "$REPRISE_CACHE/claims"
  exec 8>"$REPRISE_CACHE/claims/lock"
  flock 8
  for record in "$REPRISE_CACHE/claims"/*-*; do # those of environments that are gone
    if [ -s "$record" ] && [ ! -e "$(<"$record")" ]; then rm -f "$record"; fi
  done
}
unlock_claims() { exec 8>&-; }

port() { # NAME: the port picked for it in this environment
  [ -s "$PORT_DIR/$1" ] || fail "no port was picked for $1 in $REPRISE_RUN"
  cat "$PORT_DIR/$1"
}
need_etcd() { need_command etcdctl && { running kube etcd || fail "no etcd is running in $REPRISE_RUN"; }; }
etcd_here() { ETCDCTL_API=3 etcdctl --endpoints "127.0.0.1:$(port etcd)" "$@"; }
pick_port() { # NAME: makes sure that `port NAME` has an answer
  local file=$PORT_DIR/$1 candidate try
  mkdir -p "$PORT_DIR"
  if [ -s "$file" ] && ! _listening "$(<"$file")"; then return 0; fi
  lock_claims
  for try in {1..500}; do
    candidate=$((20000 + RANDOM % 10000)) # below the range the kernel hands out for outgoing connections
    if _listening "$candidate" || ! claim port "$candidate" "$file"; then continue; fi
    printf '%s' "$candidate" >"$file"
    unlock_claims
    return 0
  done
  fail "no free port found in 20000-29999 after $try tries"
}
free_ports() { # NAME...
  local name
  for name in "$@"; do rm -f "$PORT_DIR/$name"; done
}

# ---------------------------------------------------------------- Kubernetes

# How `simulate` is built: it has one thread, so reference counts need no locks. For no other program.
# shellcheck disable=SC2034 # used by the scripts that source this
SIMULATE_FLAGS=(-c release --product simulate --static-swift-stdlib -Xswiftc -enforce-exclusivity=unchecked
  -Xswiftc -Xfrontend -Xswiftc -assume-single-threaded)

# The directory with the control plane: the caller's, or what kube-build.sh made.
kube_bin() { printf '%s' "${KUBEBUILDER_ASSETS:-$KUBE_BIN_CACHE}"; }
kube_minor() { "$(kube_bin)/kube-apiserver" --version | sed -n 's/^Kubernetes v1\.\([0-9]*\).*/\1/p'; }
kubectl_here() { kubectl --kubeconfig "$KUBECONFIG_FILE" --request-timeout=20s "$@"; }

# The API server asks a kubelet for logs over TLS, so the stand-in for one needs a certificate as a node has it.
certify_node() {
  # shellcheck disable=SC2016 # expanded by the inner shell
  bash -c '. "$1/lib.sh" && . "$1/pki.sh" && make_certificate node "/O=system:nodes/CN=system:node:stand-in" IP:127.0.0.1' \
    certify "$HACK_DIR"
}

# api PATH [curl option...]: the API as cluster administrator, a tenth of the time a kubectl needs.
api() {
  local path=$1 pki=$REPRISE_RUN/pki
  shift
  curl -fsS --max-time 20 --cacert "$pki/ca.crt" --cert "$pki/admin.crt" --key "$pki/admin.key" \
    "$@" "https://127.0.0.1:$(port kube-apiserver)$path"
}
