#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Holds the modules to what they may use. The compiler can't: a clock or a random number is one line away everywhere.
#
#   Resources, Catalog, Reconciler   values and pure functions: no waiting, no clock, no randomness, no log, and imports
#                                    from a short list
#   ControlLoop, KubeClient          run on the executor and the clock they are given: nothing that finds its own
#
# Besides: no source file over 400 lines, and every one begins with its licence.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

status=0
complain() {
  status=1
  printf '\n%s:\n' "$1" >&2
  sed 's/^/  /' >&2
}

# code DIRECTORY...: every line of code as file:number:text. Comments go; the text of the Job programs is not Swift.
code() {
  grep -rn '' --include='*.swift' --exclude='*Programs+*.swift' "$@" | sed -E 's#^([^:]*:[0-9]+:)(.*)$#\1 \2#; s#(^[^:]*:[0-9]+:.*[^:"])//.*$#\1#' |
    grep -vE '^[^:]*:[0-9]+: *///?'
}
forbid() { # WHAT PATTERN DIRECTORY...
  local what=$1 pattern=$2 found
  shift 2
  found=$(code "$@" | grep -E -- "$pattern" || true)
  if [ -n "$found" ]; then complain "$what" <<<"$found"; fi
}
only_imports() { # MODULE NAME...
  local module=$1 found
  shift
  found=$(code "Sources/$module" | grep -E '^[^:]*:[0-9]+: *(@[a-z]+ )*((package|public|internal|private|fileprivate) )?import ' |
    grep -vE "import ($(IFS='|' && printf '%s' "$*"))\$" || true)
  if [ -n "$found" ]; then complain "$module may import only: $*" <<<"$found"; fi
}

PURE=(Sources/Resources Sources/Catalog Sources/Reconciler)
CLOCKS='\b(Date|Timestamp|[A-Za-z]*Clock|[A-Za-z]*Instant)(\(\)|\.now\b)|[^])A-Za-z0-9_?!]\.now\b|\b(Continuous|Suspending)Clock\b'
forbid "pure modules wait for nothing" '\b(async|await|Task|TaskGroup)\b|\bactor [A-Z]' "${PURE[@]}"
forbid "pure modules have no clock: the moment is an argument" "$CLOCKS" "${PURE[@]}"
forbid "pure modules draw nothing at random" '\.random\(|RandomNumberGenerator|\.shuffled\(|\.randomElement\(' "${PURE[@]}"
forbid "pure modules do not log" '\b(Logger|print|debugPrint|NSLog)\b *\(|\bJournal\b' "${PURE[@]}"
only_imports Resources
only_imports Catalog JSON Resources
only_imports Reconciler Catalog Digest JSON Resources

LOOP=(Sources/ControlLoop Sources/KubeClient)
forbid "the loop is one tree of tasks on the executor it is given" '\bTask *(<[^>]*>)? *(\(|\{)|Task\.(detached|sleep|yield)|\bMainActor\b|\bDispatch' \
  "${LOOP[@]}"
forbid "the loop has no clock and no randomness but its surroundings'" "$CLOCKS|\.random\(|SystemRandomNumberGenerator" "${LOOP[@]}"
forbid "the loop does not reach around its surroundings" '\bimport (Foundation|Glibc|Dispatch)\b|\b(FileManager|ProcessInfo)\b' "${LOOP[@]}"

long=$(find Sources Tests hack programs \( -name '*.swift' -o -name '*.sh' -o -name '*.py' \) -exec wc -l {} + |
  awk '$2 != "total" && $1 > 400 { print $2 ": " $1 " lines" }')
if [ -n "$long" ]; then complain "files over 400 lines" <<<"$long"; fi

# The third line at the latest: a shebang and a tools version go first.
bare=$(find Sources Tests Benchmarks hack programs examples Package.swift Makefile .ci \
  \( -path '*/.build' -o -path '*/__pycache__' \) -prune -o -type f \
  \( -name '*.swift' -o -name '*.sh' -o -name '*.py' -o -name '*.yaml' -o -name '*.h' -o -name '*.cpp' -o -name Makefile \
  -o -path '.ci/*' \) ! -path 'Tests/Fixtures/*' -print |
  while IFS= read -r file; do head -n 3 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' || printf '%s\n' "$file"; done)
if [ -n "$bare" ]; then complain "without the licence line" <<<"$bare"; fi

[ $status != 0 ] || echo "purity: every module uses only what it may"
exit $status
