# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Sourced. Debian source packages without touching the machine's own apt settings: a private list of sources and a
# private index in the cache. Many machines carry no deb-src line, and adding one to /etc/apt would be a change that
# outlives us.

APT_DIR=$REPRISE_CACHE/apt

# Only the Debian archive's own suites: a third-party repository rarely has sources, and one failing mirror would
# fail the whole update.
_own_sources_with_deb_src() {
  local codename
  codename=$(. /etc/os-release && printf '%s' "$VERSION_CODENAME")
  awk -v code="$codename" '
    function wanted(suite) { return suite == code || suite == code "-updates" || suite == code "-security" }
    function flush(   i, n, w, ok) {
      n = split(suites, w, " ")
      for (i = 1; i <= n; i++) if (wanted(w[i])) ok = 1
      if (ok && enabled != "no") printf "%s\n", stanza
      stanza = ""; suites = ""; enabled = ""
    }
    FILENAME ~ /\.sources$/ {
      if (FNR == 1) flush()
      if ($0 ~ /^[ \t]*$/) { flush(); next }
      if ($0 ~ /^#/) next
      if ($1 == "Types:") $0 = "Types: deb deb-src"
      if ($1 == "Suites:") { suites = $0; sub(/^Suites:/, "", suites) }
      if ($1 == "Enabled:") enabled = $2
      stanza = stanza $0 "\n"
      next
    }
    $1 == "deb" {
      line = $0; options = ""
      sub(/^deb[ \t]+/, "", line)
      if (match(line, /^\[[^]]*\][ \t]*/)) {
        options = substr(line, 2, RLENGTH - 1); sub(/\].*/, "", options)
        line = substr(line, RLENGTH + 1)
      }
      split(line, part, /[ \t]+/)
      if (!wanted(part[2])) next
      components = line; sub(/^[^ \t]+[ \t]+[^ \t]+[ \t]*/, "", components); sub(/#.*/, "", components)
      printf "deb-src %s%s %s %s\n", (options == "" ? "" : "[" options "] "), part[1], part[2], components > one_line
      printf "deb %s%s %s %s\n", (options == "" ? "" : "[" options "] "), part[1], part[2], components > one_line
    }
    END { flush() }
  ' one_line="$APT_DIR/sources.list" "$@"
}

private_apt_prepare() {
  local files=()
  mkdir -p "$APT_DIR"/{lists/partial,cache/archives/partial,sources.list.d}
  : >"$APT_DIR/sources.list"
  shopt -s nullglob
  files=(/etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources)
  shopt -u nullglob
  local existing=() file
  for file in "${files[@]}"; do [ -r "$file" ] && existing+=("$file"); done
  _own_sources_with_deb_src "${existing[@]}" >"$APT_DIR/sources.list.d/debian.sources"
  if [ ! -s "$APT_DIR/sources.list" ] && [ ! -s "$APT_DIR/sources.list.d/debian.sources" ]; then
    fail "no Debian archive among this machine's apt sources" "Kubernetes is built from Debian's source package"
  fi
}

# apt-get with our own lists; everything else (proxies, credentials, keyrings) stays the machine's.
private_apt() {
  apt-get -qq \
    -o Dir::Etc::sourcelist="$APT_DIR/sources.list" -o Dir::Etc::sourceparts="$APT_DIR/sources.list.d" \
    -o Dir::State::lists="$APT_DIR/lists" -o Dir::Cache="$APT_DIR/cache" \
    -o APT::Sandbox::User=root -o Acquire::Retries=3 "$@"
}
