#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds the images that the tests and `make demo` import into their node, as docker-archives in $REPRISE_CACHE/images:
#
#   hack/images.sh postgres         postgres-walg.tar: docker.io/reprise/postgres-walg:15, :15-initdb, :15-other-backup
#   hack/images.sh agent BINARY...  agent.tar: docker.io/reprise/agent:dev, with each BINARY in /usr/local/bin
#
# Neither a registry nor a daemon is needed: the base is made by debootstrap, PostgreSQL is unpacked from Debian's
# packages. Needs root. Everything is cached under a hash of what it is made from; a second run takes a second.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

SUITE=bookworm
POSTGRES_MAJOR=15
LAYERS=$IMAGE_DIR/layers
SOURCE=$REPO_DIR/Tests/EndToEnd/image

# What both images stand on. The libraries are those that the agent links against.
BASE_PACKAGES=(ca-certificates libcurl4 libpq5 libxml2 libyaml-0-2 zlib1g liblz4-1 libzstd1 libstdc++6 libsimdjson14)

# Unpacked over the base, without their maintainer scripts: postgresql-15 depends on perl, all locales and LLVM, 200 MB
# of which a test image uses nothing. What is missing is found by ldd below, not by the first pod that crashes.
POSTGRES_PACKAGES=(postgresql-15 postgresql-client-15 libicu72 libxml2 libxslt1.1 libedit2 libreadline8 libbsd0 libmd0
  libexpat1 lz4 tzdata python3-minimal python3.11-minimal libpython3.11-minimal libpython3.11-stdlib)

key_of() { sha256sum | cut -c1-16; } # stdin -> the name of a cached thing

# ---------------------------------------------------------------- layers

# Documentation, translations and package lists: a third of the bytes, and each byte is unpacked at each import.
prune() {
  local root=$1
  rm -rf "$root"/usr/share/{doc,man,info,locale,lintian,linda,bug,pixmaps,applications,perl5} \
    "$root"/var/cache/{apt,debconf}/* "$root"/var/lib/apt/lists/* "$root"/var/log/* "$root"/usr/share/zoneinfo/right \
    "$root"/usr/share/zoneinfo/posix "$root"/usr/lib/x86_64-linux-gnu/gconv "$root"/usr/lib/aarch64-linux-gnu/gconv
  find "$root" -name '*.pyc' -delete
}

base_layer() { # prints the path of the base layer
  local names key out root
  names=$(printf '%s\n' "${BASE_PACKAGES[@]}" | sed '/^$/d' | sort | paste -sd,)
  key=$(printf '%s %s %s' "$SUITE" "$names" "$(declare -f prune base_layer)" | key_of)
  out=$LAYERS/base-$key.tar
  if [ ! -s "$out" ]; then
    step "debootstrap ($names)" >&2
    root=$(mktemp -d "$LAYERS/.base-XXXXXX")
    chmod 755 "$root" # it becomes the / of the images
    debootstrap --variant=minbase --include="$names" "$SUITE" "$root" >"$LAYERS/debootstrap.log" 2>&1 ||
      fail "debootstrap failed" "its output is $LAYERS/debootstrap.log"
    prune "$root"
    rm -rf "$root"/dev/* "$root"/proc/* "$root"/sys/* "$root"/run/* "$root"/tmp/*
    tar --numeric-owner --sort=name --format=gnu -C "$root" -cf "$out.part" .
    mv "$out.part" "$out"
    rm -rf "$root"
    step "base layer: $(du -m "$out" | cut -f1) MB" >&2
  fi
  printf '%s' "$out"
}

unpack_packages() { # ROOT PACKAGE...
  local root=$1 debs=$LAYERS/debs deb top
  shift
  mkdir -p "$debs"
  rm -f "$debs"/*.deb
  (cd "$debs" && apt-get -qq -o APT::Sandbox::User=root download "$@") || fail "apt-get download failed for: $*"
  for deb in "$debs"/*.deb; do dpkg-deb -x "$deb" "$root"; done
  # Debian's base has /lib as a link to usr/lib. A directory of that name in a higher layer would hide the C library.
  for top in bin sbin lib lib64; do
    if [ -d "$root/$top" ] && [ ! -L "$root/$top" ]; then
      mkdir -p "$root/usr/$top"
      cp -a "$root/$top/." "$root/usr/$top/"
      rm -rf "${root:?}/$top"
    fi
  done
}

# What is ours, in a thin layer of its own: it changes every day, the packages do not. Prints the path of the layer.
files_layer() { # BASE
  local base=$1 root out=$LAYERS/files.tar file walg
  root=$(mktemp -d "$LAYERS/.files-XXXXXX")
  chmod 755 "$root" # it becomes the / of the image
  for file in passwd group shadow; do
    mkdir -p "$root/etc"
    tar -xOf "$base" "./etc/$file" >"$root/etc/$file"
  done
  echo 'postgres:x:999:999:PostgreSQL:/var/lib/postgresql:/bin/sh' >>"$root/etc/passwd"
  echo 'postgres:x:999:' >>"$root/etc/group"
  echo 'postgres:*:19000:0:99999:7:::' >>"$root/etc/shadow"
  chmod 644 "$root"/etc/{passwd,group}
  chmod 640 "$root/etc/shadow"
  install -d "$root/usr/local/bin"
  install -d -o 999 -g 999 "$root"/etc/postgresql{,/conf.d} "$root/var/lib/postgresql" "$root/run/postgresql"
  install -o 999 -g 999 -m 644 "$SOURCE/postgresql.conf" "$SOURCE/pg_hba.conf" "$root/etc/postgresql/"
  install -m 755 "$SOURCE/entrypoint.sh" "$root/usr/local/bin/entrypoint.sh"
  if walg=$(command -v wal-g); then
    install -m 755 "$walg" "$root/usr/local/bin/wal-g"
  else
    install -m 755 "$SOURCE/wal-g-stand-in" "$root/usr/local/bin/"
    install -m 644 "$SOURCE/wal_g_stand_in_backups.py" "$root/usr/local/bin/"
    ln -s wal-g-stand-in "$root/usr/local/bin/wal-g"
  fi
  tar --numeric-owner --sort=name --format=gnu --mtime=@1767225600 -C "$root" -cf "$out" .
  rm -rf "$root"
  printf '%s' "$out"
}

check_libraries() { # BASE LAYER PROGRAM...: does every program find its libraries?
  local base=$1 layer=$2 root missing program
  shift 2
  root=$(mktemp -d "$LAYERS/.check-XXXXXX")
  tar -C "$root" -xf "$base"
  cp -a "$layer/." "$root/"
  missing=$(for program in "$@"; do
    chroot "$root" ldd "$program" 2>&1 | awk -v p="$program" '/not found/ { print p ": " $1 }'
  done)
  rm -rf "$root"
  if [ -n "$missing" ]; then fail "libraries are missing in the image" "$missing"; fi
}

postgres_layer() { # BASE: prints the path of the PostgreSQL layer
  local base=$1 key out root bin=usr/lib/postgresql/$POSTGRES_MAJOR
  key=$({
    printf '%s\n' "$base" "${POSTGRES_PACKAGES[@]}"
    declare -f unpack_packages prune postgres_layer
  } | key_of)
  out=$LAYERS/postgres-$key.tar
  if [ ! -s "$out" ]; then
    step "unpacking PostgreSQL $POSTGRES_MAJOR" >&2
    root=$(mktemp -d "$LAYERS/.postgres-XXXXXX")
    chmod 755 "$root" # it becomes the / of the image
    unpack_packages "$root" "${POSTGRES_PACKAGES[@]}"
    prune "$root"
    # Bitcode and the LLVM glue are for JIT, which PostgreSQL does without when the library is absent.
    rm -rf "$root/$bin"/lib/{bitcode,llvmjit*} "$root/usr/share/postgresql/$POSTGRES_MAJOR/man" \
      "$root"/usr/lib/python3.11/{lib2to3,distutils,idlelib,pydoc_data,unittest,ensurepip,turtledemo,tkinter} \
      "$root"/usr/lib/systemd "$root"/etc/{init.d,logrotate.d}
    rm -rf "$root/etc/postgresql" "$root/var/lib/postgresql" "$root/var/run" # the last one is a link in the base
    # What the packages' maintainer scripts would do: without it the stand-in's start takes twice as long.
    /usr/bin/python3 -m compileall -q "$root"/usr/lib/python3.11 -s "$root" || true
    check_libraries "$base" "$root" "/$bin"/bin/{postgres,psql,pg_ctl,pg_controldata,pg_waldump,initdb,pg_isready} \
      "/$bin"/lib/{pg_stat_statements,pgoutput,plpgsql}.so /usr/bin/{python3.11,lz4}
    tar --numeric-owner --sort=name --format=gnu -C "$root" -cf "$out.part" .
    mv "$out.part" "$out"
    rm -rf "$root"
    step "PostgreSQL layer: $(du -m "$out" | cut -f1) MB" >&2
  fi
  printf '%s' "$out"
}

# ---------------------------------------------------------------- archives

# The variants differ in their configuration alone. In one archive the layers are stored, hashed and imported once.
merge_archives() { # OUT ARCHIVE...
  python3 - "$@" <<'PYTHON'
import io, json, os, sys, tarfile
out, *archives = sys.argv[1:]
images, seen = [], set()
with tarfile.open(out + ".part", "w", format=tarfile.GNU_FORMAT) as merged:
    for path in archives:
        with tarfile.open(path) as archive:
            for member in archive:
                if member.name == "manifest.json":
                    images += json.load(archive.extractfile(member))
                elif member.name not in seen:
                    seen.add(member.name)
                    merged.addfile(member, archive.extractfile(member))
    manifest = json.dumps(images).encode()
    entry = tarfile.TarInfo("manifest.json")
    entry.size = len(manifest)
    merged.addfile(entry, io.BytesIO(manifest))
os.replace(out + ".part", out)
PYTHON
}

postgres_config() { # ENV_ENTRY...: the image configuration; the contract of the image is in entrypoint.sh
  local walg=stand-in entry env
  command -v wal-g >/dev/null && walg=real
  env="\"PATH=/usr/lib/postgresql/$POSTGRES_MAJOR/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\""
  for entry in "PGDATA=/var/lib/postgresql/$POSTGRES_MAJOR/docker" "PG_MAJOR=$POSTGRES_MAJOR" LANG=C.UTF-8 "$@"; do
    env="$env,\"$entry\""
  done
  # No StopSignal: like the image it stands for, it gets SIGTERM, which PostgreSQL takes as "smart shutdown".
  printf '{"Entrypoint":["/usr/local/bin/entrypoint.sh"],"Cmd":["postgres"],"ExposedPorts":{"5432/tcp":{}},'
  printf '"Env":[%s],"Labels":{"reprise.dev/wal-g":"%s"}}' "$env" "$walg"
}

build_postgres() {
  local base layer files key name=docker.io/reprise/postgres-walg:$POSTGRES_MAJOR out=$IMAGE_DIR/postgres-walg.tar parts
  base=$(base_layer)
  layer=$(postgres_layer "$base")
  files=$(files_layer "$base")
  key=$({
    printf '%s\n' "$base" "$layer"
    cat "$files" "$HACK_DIR/mkimage.py"
    declare -f postgres_config build_postgres merge_archives
  } | key_of)
  if [ -s "$out" ] && [ "$(cat "$LAYERS/postgres-walg.key" 2>/dev/null)" = "$key" ]; then
    step "$out is up to date"
    return 0
  fi
  parts=$(mktemp -d "$LAYERS/.parts-XXXXXX")
  variant() { # FILE NAME ENV_ENTRY...
    local file=$1 tag=$2
    shift 2
    "$HACK_DIR/mkimage.py" "$parts/$file" "$tag" --config "$(postgres_config "$@")" "$base" "$layer" "$files" >/dev/null
  }
  variant plain.tar "$name"
  variant initdb.tar "$name-initdb" REPRISE_TEST_IGNORE_CLONE=1
  variant other.tar "$name-other-backup" REPRISE_TEST_FETCH=OLDEST
  merge_archives "$out" "$parts"/{plain,initdb,other}.tar
  rm -rf "$parts"
  find "$LAYERS" -maxdepth 1 -name '*-*.tar' -mtime +7 -not -path "$base" -not -path "$layer" -delete
  echo "$key" >"$LAYERS/postgres-walg.key"
  step "$out: $(du -m "$out" | cut -f1) MB, $name and its variants -initdb, -other-backup"
}

# agent BINARY...: the first one is the entrypoint. Debugging symbols stay behind: they are most of a Swift binary.
build_agent() {
  local base layer binary out=$IMAGE_DIR/agent.tar config programs=()
  [ $# -gt 0 ] || fail "which binary?" "usage: hack/images.sh agent BINARY..."
  base=$(base_layer)
  layer=$(mktemp -d "$LAYERS/.agent-XXXXXX")
  chmod 755 "$layer"
  for binary in "$@"; do
    [ -x "$binary" ] || fail "not an executable: $binary"
    install -D -m 755 "$binary" "$layer/usr/local/bin/${binary##*/}"
    if command -v strip >/dev/null; then strip --strip-debug "$layer/usr/local/bin/${binary##*/}" || true; fi
    programs+=("/usr/local/bin/${binary##*/}")
  done
  check_libraries "$base" "$layer" "${programs[@]}"
  config="{\"Entrypoint\":[\"${programs[0]}\"],\"User\":\"65532:65532\"}"
  "$HACK_DIR/mkimage.py" "$out" docker.io/reprise/agent:dev --config "$config" "$base" "$layer" >/dev/null
  rm -rf "$layer"
  step "$out: $(du -m "$out" | cut -f1) MB, docker.io/reprise/agent:dev"
}

main() {
  need_root "debootstrap makes device nodes and owners"
  need_command debootstrap
  need_command python3
  mkdir -p "$LAYERS"
  exec 9>"$LAYERS/lock" # two builds at once would write the same files
  flock 9
  case ${1:-postgres} in
    postgres) build_postgres ;;
    agent) shift && build_agent "$@" ;;
    *) fail "unknown image: $1" "usage: hack/images.sh postgres | agent BINARY..." ;;
  esac
}

main "$@"
