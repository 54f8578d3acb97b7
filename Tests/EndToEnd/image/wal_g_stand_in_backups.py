# SPDX-License-Identifier: Apache-2.0
"""backup-push, backup-fetch and backup-list of the WAL-G stand-in (wal-g-stand-in beside this file)."""
import io
import json
import os
import re
import subprocess
import tarfile
import time

from __main__ import Failure, log, lz4, setting

SENTINEL = "_backup_stop_sentinel.json"
DATE_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"

# Directories whose content WAL-G leaves out (the directory itself is kept), and files that it leaves out.
HOLLOW = {"log", "pg_log", "pg_xlog", "pg_wal", "pgsql_tmp", "pg_dynshmem", "pg_notify", "pg_replslot", "pg_serial",
          "pg_stat_tmp", "pg_snapshots", "pg_subtrans"}
LEFT_OUT = {"postgresql.auto.conf.tmp", "postmaster.pid", "postmaster.opts", "recovery.conf", "standby.signal"}


def go_time(seconds):
    """As Go prints a time: no fraction when it is zero, no trailing zeros in it."""
    whole, nanos = divmod(int(seconds * 1e9), 10**9)
    fraction = f".{nanos:09d}".rstrip("0").rstrip(".")
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + fraction + "Z"


def backups(bucket, detail=False):
    """Complete backups, oldest first by the sentinel's LastModified, which is also what LATEST goes by."""
    found = []
    for name, modified, _ in bucket.list("basebackups_005/", "/"):
        if not name.endswith(SENTINEL):
            continue
        backup = name[:-len(SENTINEL)]
        entry = {"backup_name": backup, "time": re.sub(r"\.?0*Z$", "Z", modified) if "." in modified else modified,
                 "wal_file_name": backup[5:29], "storage_name": "default"}
        if detail:
            entry.update(json.loads(bucket.get(f"basebackups_005/{backup}/metadata.json") or "{}"))
        found.append((modified, backup, entry))
    return [entry for _, _, entry in sorted(found, key=lambda item: item[:2])]


def backup_list(bucket, *options):
    unknown = set(options) - {"--json", "--detail", "--pretty"}
    if unknown:
        raise Failure(f"unknown flag: {sorted(unknown)[0]}")
    found = backups(bucket, "--detail" in options)
    if not found:
        log("INFO", "No backups found")
    elif "--json" in options:
        print(json.dumps(found, separators=(",", ":")))
    else:
        print(f"{'backup_name':<30}{'modified':<21}{'wal_file_name':<25}storage_name")
        for entry in found:
            print(f"{entry['backup_name']:<30}{entry['time']:<21}{entry['wal_file_name']:<25}{entry['storage_name']}")


def backup_fetch(bucket, destination, name):
    names = [entry["backup_name"] for entry in backups(bucket)]
    if name == "LATEST":
        if not names:
            raise Failure("No backups found")
        name = names[-1]
        log("INFO", f"LATEST backup is: '{name}'")
    elif name not in names:
        raise Failure(f"Backup '{name}' does not exist.")
    if os.path.isdir(destination) and os.listdir(destination):
        raise Failure(f"Directory {destination} must be empty")
    os.makedirs(destination, mode=0o700, exist_ok=True)
    folder = f"basebackups_005/{name}/tar_partitions/"
    parts = sorted((part for part, _, _ in bucket.list(folder)), key=lambda part: (part.startswith("pg_control"), part))
    if not parts or not parts[-1].startswith("pg_control"):
        raise Failure(f"Backup '{name}' has no pg_control")
    for part in parts:
        time.sleep(float(setting("WALG_STAND_IN_DELAY", default="0")))  # lets a test act while a fetch is going on
        with tarfile.open(fileobj=io.BytesIO(lz4(bucket.get(folder + part), "-d"))) as archive:
            archive.extractall(destination, numeric_owner=True)
        log("INFO", f"Finished extraction of {part}")
    os.chmod(destination, 0o700)
    log("INFO", "\nBackup extraction complete.")


class Session:
    """A psql that stays open: start and stop of a backup must come from one session."""

    def __init__(self):
        command = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", setting("PGDATABASE", default="postgres")]
        self.psql = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.row("set statement_timeout = 0; select 1")

    def row(self, statement):
        try:
            self.psql.stdin.write(statement + ";\n")
            self.psql.stdin.flush()
            line = self.psql.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise Failure("Connect to postgres failed, or a statement in it")
        return line.rstrip("\n").split("|")


class Parts:
    """tar_partitions/part_001.tar.lz4 and so on, uploaded when they are full."""

    def __init__(self, bucket, folder):
        self.bucket, self.folder, self.number = bucket, folder, 0
        self.threshold = int(setting("WALG_TAR_SIZE_THRESHOLD", default=str(64 << 20)))
        self.raw = self.packed = 0
        self.sets, self.buffer, self.archive = {}, None, None

    def add(self, name, info, content):
        if self.archive is None:
            self.buffer, self.names = io.BytesIO(), []
            self.archive = tarfile.open(fileobj=self.buffer, mode="w", format=tarfile.GNU_FORMAT)
        info.size = len(content)
        self.archive.addfile(info, io.BytesIO(content))
        self.names.append("/" + name)
        if self.buffer.tell() > self.threshold:
            self.close()

    def close(self, name=None):
        if self.archive is None:
            return
        if name is None:
            self.number += 1
            name = f"part_{self.number:03d}.tar.lz4"
        self.archive.close()
        content = self.buffer.getvalue()
        packed = lz4(content)
        log("INFO", f"Starting {name} ...")
        self.bucket.put(f"{self.folder}/tar_partitions/{name}", packed)
        log("INFO", f"Finished writing {name}.")
        self.raw, self.packed, self.sets[name] = self.raw + len(content), self.packed + len(packed), self.names
        self.archive = None


def data_files(pgdata):
    """Every path below PGDATA that belongs into a backup, directories first, pg_control left to the end."""
    for folder, folders, files in os.walk(pgdata):
        folders.sort()
        relative = os.path.relpath(folder, pgdata)
        yield relative
        if os.path.basename(folder) in HOLLOW and relative != ".":
            folders.clear()
            continue
        for name in sorted(files):
            path = os.path.normpath(os.path.join(relative, name))
            if name not in LEFT_OUT and path not in ("global/pg_control", "backup_label", "tablespace_map"):
                yield path


def add_file(parts, pgdata, path):
    full = os.path.join(pgdata, path)
    try:
        state, content = os.lstat(full), b""
        if os.path.isfile(full):
            with open(full, "rb") as file:
                content = file.read()
    except FileNotFoundError:
        return  # dropped meanwhile: replay drops it as well
    info = tarfile.TarInfo(path)
    info.mode, info.uid, info.gid, info.mtime = state.st_mode & 0o7777, state.st_uid, state.st_gid, int(state.st_mtime)
    info.type = tarfile.DIRTYPE if os.path.isdir(full) else tarfile.REGTYPE
    parts.add(path, info, content)


def upload_data(bucket, session, pgdata, folder):
    """Files between start and stop of the backup, then the labels, then pg_control: without it nothing can start."""
    parts = Parts(bucket, folder)
    for path in data_files(pgdata):
        add_file(parts, pgdata, path)
    lsn, label, tablespaces = session.row(
        "select lsn, encode(convert_to(labelfile, 'utf8'), 'hex'), encode(convert_to(spcmapfile, 'utf8'), 'hex')"
        " from pg_backup_stop(true)")
    for name, content in (("backup_label", label), ("tablespace_map", tablespaces)):
        if content:
            info = tarfile.TarInfo(name)
            info.mode, info.mtime = 0o600, int(time.time())
            parts.add(name, info, bytes.fromhex(content))
    parts.close()
    add_file(parts, pgdata, "global/pg_control")
    parts.close("pg_control.tar.lz4")
    return parts, lsn


def decimal(lsn):
    high, low = lsn.split("/")
    return int(high, 16) << 32 | int(low, 16)


def write_metadata(bucket, folder, meta, parts):
    """metadata.json, files_metadata.json and, last of all, the sentinel that makes the backup exist."""
    compact = {"separators": (",", ":")}
    sentinel = {"LSN": meta["start_lsn"], "PgVersion": meta["pg_version"], "FinishLSN": meta["finish_lsn"],
                "SystemIdentifier": meta["system_identifier"], "UncompressedSize": meta["uncompressed_size"],
                "CompressedSize": meta["compressed_size"], "DataCatalogSize": meta["uncompressed_size"], "Spec": None,
                "Version": 2, "StartTime": meta["start_time"], "FinishTime": meta["finish_time"],
                "DateFmt": meta["date_fmt"], "Hostname": meta["hostname"], "DataDir": meta["data_dir"],
                "IsPermanent": meta["is_permanent"]}
    if "user_data" in meta:
        sentinel["UserData"] = meta["user_data"]
    bucket.put(f"{folder}/metadata.json", json.dumps(meta, **compact).encode())
    files = {"Files": {}, "TarFileSets": parts.sets}
    bucket.put(f"{folder}/files_metadata.json", json.dumps(files, **compact).encode())
    bucket.put(folder + SENTINEL, json.dumps(sentinel, **compact).encode())


def push_options(arguments):
    directory, permanent, user_data = None, False, setting("WALG_SENTINEL_USER_DATA", default="")
    arguments = list(arguments)
    while arguments:
        word = arguments.pop(0)
        if word in ("-p", "--permanent"):
            permanent = True
        elif word == "--add-user-data" and arguments:
            user_data = arguments.pop(0)
        elif word.startswith("-") and word not in ("-f", "--full"):  # it is always a full one
            raise Failure(f"unknown flag: {word}")
        elif not word.startswith("-"):
            directory = word
    try:
        user_data = json.loads(user_data) if user_data else None
    except ValueError:
        pass  # WAL-G takes what is no JSON as a string
    return directory or setting("PGDATA"), permanent, user_data


def backup_push(bucket, *arguments):
    pgdata, permanent, user_data = push_options(arguments)
    if any(os.scandir(os.path.join(pgdata, "pg_tblspc"))):
        raise Failure("the stand-in knows no tablespaces")
    began, session = time.time(), Session()
    identifier, version = session.row(
        "select system_identifier, current_setting('server_version_num') from pg_control_system()")
    log("INFO", "Doing full backup.")
    lsn, segment = session.row("select l, pg_walfile_name(l) from pg_backup_start('wal-g', true) l")
    name = "base_" + segment
    log("INFO", f"Calling pg_start_backup() -> {lsn}")
    parts, finish = upload_data(bucket, session, pgdata, f"basebackups_005/{name}")
    meta = {"start_time": go_time(began), "finish_time": go_time(time.time()), "date_fmt": DATE_FORMAT,
            "hostname": os.uname().nodename, "data_dir": pgdata, "pg_version": int(version),
            "start_lsn": decimal(lsn), "finish_lsn": decimal(finish), "is_permanent": permanent,
            "system_identifier": int(identifier), "uncompressed_size": parts.raw, "compressed_size": parts.packed}
    if user_data is not None:
        meta["user_data"] = user_data
    write_metadata(bucket, f"basebackups_005/{name}", meta, parts)
    log("INFO", f"Wrote backup with name {name}")
