#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Everything that needs no cluster: formatting, what modules may use, generated files, documents, a build in which every
# warning is an error, and the unit and simulation tests. `make check` is this; run hack/setup.sh once before.
#   hack/check.sh [STEP...]     lint, purity, generated, docs, shell, build, swift, python, simulate; all by default; sweep
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$REPO_DIR"

lint() {
  # The file that `make format` formats with: a lint of another one would be a lint of nothing.
  swift format lint --strict --recursive --parallel --configuration .swift-format Package.swift Sources Tests Benchmarks
}

purity() { "$HACK_DIR/purity.sh"; }

generated() { # what was written by a program is what that program writes
  "$HACK_DIR/embed-programs.sh" --check
  "$VENV_DIR/bin/python" "$HACK_DIR/crds/generate.py" --check
}

docs() { # the README shows examples/clone.yaml as it is, and no link of a document leads nowhere
  local file target broken=0
  diff <(awk '/^This is .*examples\/clone\.yaml/ { found = 1 }
    shown && /^```$/ { exit }
    shown { print }
    found && /^```yaml$/ { shown = 1 }' README.md) examples/clone.yaml ||
    fail "README.md does not show examples/clone.yaml as it is" "'<' is the README, '>' is the example"
  while IFS= read -r file; do
    while IFS= read -r target; do
      case $target in '' | *://* | mailto:*) continue ;; esac
      [ -e "$(dirname "$file")/$target" ] || { warn "$file: no such file: $target" && broken=1; }
    done < <(grep -oE '\]\([^() ]*\)' "$file" | sed -e 's/^](//' -e 's/)$//' -e 's/#.*//')
  done < <(find . -name '.?*' -prune -o -name '*.md' -print)
  [ $broken = 0 ] || fail "a document links to what is not there"
}

shell() {
  local file
  while IFS= read -r file; do
    case $(head -n 1 "$file") in
      *bash*) bash -n "$file" ;;
      *) if command -v dash >/dev/null; then dash -n "$file"; else sh -n "$file"; fi ;;
    esac
  done < <(find hack programs Tests .ci -type f \( -name '*.sh' -o -path '.ci/*' \))
}

# Imports that only happen to compile, because some other target pulled the module in, are errors here.
build() { swift build --build-tests --explicit-target-dependency-import-check error; }

# One process after the other: a simulation keeps the threads of its process busy for minutes, and tests that wait for a
# socket or for PostgreSQL beside it would measure that and not the code.
swift_tests() {
  local group
  for group in 'Resources|JSON|Frames|Catalog|Reconciler|KubeClient|ControlLoop|ObjectStore' Curl Ledger Simulation Fuzz; do
    step "check: swift tests of $group"
    swift test --skip-build --filter "^(${group})Tests\\."
  done
}

python_tests() {
  local python=$VENV_DIR/bin/python
  PYTHONDONTWRITEBYTECODE=1 "$python" -m unittest discover -s Tests/CRD -p 'test_*.py'
  PYTHONDONTWRITEBYTECODE=1 "$python" -m unittest discover -s Tests/Mutants -p 'test_*.py'
  PYTHONDONTWRITEBYTECODE=1 "$python" -m unittest discover -s Benchmarks/clones -p 'test_*.py'
  PATH=$VENV_DIR/bin:$PATH PYTHONDONTWRITEBYTECODE=1 REPRISE_AGENT="$(swift build --show-bin-path)/agent" \
    "$python" -m unittest discover -s Tests/Agent -p 'test_*.py'
  if [ "$(id -u)" = 0 ]; then # they start PostgreSQL as its own user
    PATH=$VENV_DIR/bin:$PATH PYTHONDONTWRITEBYTECODE=1 "$python" -m unittest discover -s Tests/Programs -p 'test_*.py'
    PATH=$VENV_DIR/bin:$PATH PYTHONDONTWRITEBYTECODE=1 "$python" -m unittest discover -s Tests/EndToEnd/image -p 'test_*.py'
  else
    warn "not root: the tests of the Job programs and of the image are left out"
  fi
}

# The program that replaces data, killed before each of its commands; the tests of the programs try some of them.
sweep() {
  [ "$(id -u)" = 0 ] || fail "not root: PostgreSQL is started as its own user" "run it as root"
  PATH=$VENV_DIR/bin:$PATH PYTHONDONTWRITEBYTECODE=1 REPRISE_SWEEP=all "$VENV_DIR/bin/python" -m unittest -v \
    Tests/Programs/test_inplace_kills.py
}

# A tenth of what `make simulate` plays: some of these come to no fault, so that 2,000 are left.
simulate() { "$HACK_DIR/simulate.sh" --schedules 2600 --processes "$(nproc)" --keep .build/simulate/failed; }

if [ $# -eq 0 ]; then set -- lint purity generated docs shell build swift python simulate; fi
for name in "$@"; do
  case $name in
    lint | purity | generated | docs | shell | build | simulate | sweep) run=$name ;;
    swift | python) run=${name}_tests ;;
    *) fail "unknown step: $name" "known: lint, purity, generated, docs, shell, build, swift, python, simulate, sweep" ;;
  esac
  step "check: $name"
  # Not in a condition: there `set -e` would be off, and only the last command of a step would count.
  "$run"
done
step "check: all of it passed"
