#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Makes Swift constants of the shell programs that Jobs run: programs/<engine>/*.sh becomes
# Sources/Reconciler/Engines/<Engine>/<Engine>Programs.swift and one extension for each program, with the prologue in
# front, and between them the files of programs/<engine>/lib that the program's line `# uses: NAME...` names. The
# programs stay files, so that they can be read, linted and tested as what they are; the controller needs them as text.
#
#   hack/embed-programs.sh                       writes the files
#   hack/embed-programs.sh --check               fails if they are not what would be written
#   hack/embed-programs.sh --text ENGINE NAME    prints the whole text of one program
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

out=Sources/Reconciler/Engines
mode=${1:-write}
case $mode in write | --check | --text) ;; *) echo "usage: $0 [--check | --text ENGINE NAME]" >&2 && exit 2 ;; esac

uses() { sed -n '1,3s/^# uses: *//p' "$1"; } # FILE: the names of what it wants in front of it, in their order

if [ "$mode" = --text ]; then
  folder=programs/$2 parts=()
  for part in $(uses "$folder/$3.sh"); do parts+=("$folder/lib/$part.sh"); done
  cat "$folder/prologue.sh" "${parts[@]}" "$folder/$3.sh"
  exit 0
fi

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
  local name=${2##*/} access='package ' front='prologue + ' part
  name=${name%.sh}
  for part in $(uses "$2"); do front+="lib${part^} + "; done
  case $2 in */prologue.sh | */lib/*) access='' front='' ;; esac
  case $2 in */lib/*) name=lib${name^} ;; esac
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
    for file in "$folder"*.sh "$folder"lib/*.sh; do
      if [ ! -e "$file" ]; then continue; fi
      name=$(basename "$file" .sh)
      case $file in */lib/*) name=lib${name^} ;; esac
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
