#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Makes Swift constants of the shell programs that Jobs run: programs/<engine>/*.sh becomes
# Sources/Reconciler/Engines/<Engine>/<Engine>Programs.swift and one extension for each program, with the prologue in
# front. The programs stay files, so that they can be read, linted and tested as what they are; the controller needs
# them as text.
#
#   hack/embed-programs.sh            writes the files
#   hack/embed-programs.sh --check    fails if they are not what would be written
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

out=Sources/Reconciler/Engines
mode=${1:-write}
case $mode in write | --check) ;; *) echo "usage: $0 [--check]" >&2 && exit 2 ;; esac

banner() {
  printf '// SPDX-License-Identifier: Apache-2.0\n'
  printf '// Written by hack/embed-programs.sh from %s. Edit that.\n\n' "$1"
}

type_name() { printf '%sPrograms' "${1^}"; } # postgres -> PostgresPrograms

enum_of() { # ENGINE
  banner "programs/$1"
  printf '/// The shell programs that Jobs of this engine run with the service'\''s own image.\n'
  printf '///\n/// Each is the whole text for `sh -c`: the prologue, which they share, stands before every one.\n'
  printf 'package enum %s {}\n' "$(type_name "$1")"
}

extension_of() { # ENGINE FILE
  local name=${2##*/} access='package ' front='prologue + '
  name=${name%.sh}
  if [ "$name" = prologue ]; then access='' front=''; fi
  # The end of the literal, or an interpolation in it, would be read by Swift.
  if grep -nE '"""#|\\#' "$2" >&2; then echo "$2: cannot be put between #\"\"\" and \"\"\"#" >&2 && return 1; fi
  banner "$2"
  printf '// What follows is a program in another language:\n// swift-format-ignore-file\n\n'
  printf 'extension %s {\n' "$(type_name "$1")"
  printf '    /// `%s`: its contract stands at its head.\n' "$2"
  printf '    %sstatic let %s = %s#"""\n' "$access" "$name" "$front"
  sed 's/^\(..*\)$/        \1/' "$2"
  printf '\n        """#\n}\n' # an empty line: the text ends with a newline
}

generate() { # DIRECTORY: everything, below it
  local folder engine file target name
  for folder in programs/*/; do
    engine=$(basename "$folder")
    target=$1/${engine^}
    mkdir -p "$target"
    enum_of "$engine" >"$target/$(type_name "$engine").swift"
    for file in "$folder"*.sh; do
      name=$(basename "$file" .sh)
      extension_of "$engine" "${file/\/\//\/}" >"$target/$(type_name "$engine")+${name^}.swift"
    done
  done
}

made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
generate "$made"
status=0
while IFS= read -r file; do
  if cmp -s "$made/$file" "$out/$file"; then continue; fi
  if [ "$mode" = --check ]; then
    echo "$out/$file is not what programs/ says; run hack/embed-programs.sh" >&2
    status=1
  else
    mkdir -p "$(dirname "$out/$file")"
    cp "$made/$file" "$out/$file"
    echo "wrote $out/$file"
  fi
done < <(cd "$made" && find . -name '*.swift' | sed 's#^\./##' | sort)
exit $status
