# SPDX-License-Identifier: Apache-2.0
"""Runs the agent as its Job does, and writes archives as WAL-G does.

$REPRISE_AGENT is the program; default: the debug build.
"""
import base64
import gzip
import hashlib
import json
import os
import subprocess
import tempfile
from pathlib import Path

from store import rfc3339

REPO = Path(__file__).resolve().parents[2]
AGENT = os.environ.get("REPRISE_AGENT", str(REPO / ".build/debug/agent"))
BEGIN = 1_700_000_000  # when an archive's first segment was written
SIZE = 16 << 20


def missing():
    return "" if os.access(AGENT, os.X_OK) else f"no agent at {AGENT}: swift build --product agent"


def scan(environment, *arguments, token="token-1"):
    """The result, after frame, digest and termination message were held against each other."""
    with tempfile.TemporaryDirectory() as folder:
        job = {"REPRISE_ATTEMPT_TOKEN": token, "REPRISE_TERMINATION_LOG": f"{folder}/message"}
        done = subprocess.run([AGENT, "scan", *arguments], capture_output=True, text=True, timeout=120,
                              env=environment | job)
        message = json.loads(Path(folder, "message").read_text())
    header, *lines, end = done.stdout.splitlines()
    assert end == "reprise-end v1", done.stdout[-200:]
    content = gzip.decompress(base64.b64decode("".join(line.split(" ")[1] for line in lines)))
    assert header == f"reprise-result v1 {len(content)} {hashlib.sha256(content).hexdigest()}", header
    result = json.loads(content)
    assert message["sha256"] == hashlib.sha256(content).hexdigest() and message["code"] == result["code"]
    assert (done.returncode == 0) == (result["code"] == "OK") and result["attempt"] == token
    return result


class Archive:
    """One archive, written object by object with `write(key, bytes, written)` of some bucket."""

    def __init__(self, store, path="orders", major=15, size=SIZE):
        self.store, self.prefix, self.size = store, f"{path}/{major}/", size
        self.per_log = (1 << 32) // size

    def segment_name(self, timeline, number):
        return "%08X%08X%08X" % (timeline, number // self.per_log, number % self.per_log)

    def wal(self, timeline, number, extension="lz4"):
        return f"{self.prefix}wal_005/{self.segment_name(timeline, number)}" + (f".{extension}" if extension else "")

    def segments(self, timeline, first, last, written=None, every=10):
        for number in range(first, last + 1):
            self.store.write(self.wal(timeline, number), b"x", BEGIN + number * every if written is None else written)

    def history(self, timeline, rows, written=BEGIN, extension="", encode=lambda text: text):
        def lsn(number):
            return f"{number * self.size >> 32:X}/{number * self.size & 0xFFFFFFFF:X}"
        text = "".join(f"{parent}\t{lsn(number)}\tno recovery target\n" for parent, number in rows).encode()
        self.store.write(f"{self.prefix}wal_005/{timeline:08X}.history{extension}", encode(text), written)

    def backup(self, timeline, number, finish=None, written=None, parts=2, control=True, delta=None,
               system=7507672962298572862, sentinel=True, segments=1, metadata=True):
        """Finishes in the segment `segments` later. -> its name."""
        name = f"base_{self.segment_name(timeline, number)}" + (f"_D_{delta[5:29]}" if delta else "")
        finish = BEGIN + (number + segments) * 10 + 5 if finish is None else finish
        written = finish if written is None else written
        folder = f"{self.prefix}basebackups_005/{name}"
        start_lsn, finish_lsn = number * self.size + 40, (number + segments) * self.size + 0x100
        stop = {"LSN": start_lsn, "FinishLSN": finish_lsn, "PgVersion": 150015, "SystemIdentifier": system,
                "Version": 2, "StartTime": rfc3339(finish - 20), "FinishTime": rfc3339(finish), "CompressedSize": 10,
                "UncompressedSize": 30}
        if delta:
            stop |= {"DeltaFrom": delta, "DeltaFullName": delta, "DeltaCount": 1, "DeltaLSN": start_lsn - SIZE}
        more = {"start_time": rfc3339(finish - 20), "finish_time": rfc3339(finish), "pg_version": 150015,
                "start_lsn": start_lsn, "finish_lsn": finish_lsn, "is_permanent": True, "system_identifier": system,
                "uncompressed_size": 30, "compressed_size": 10}
        for part in range(1, parts + 1):
            self.store.write(f"{folder}/tar_partitions/part_{part:03}.tar.lz4", b"x" * 100 * part, written)
        if control:
            self.store.write(f"{folder}/tar_partitions/pg_control.tar.lz4", b"xx", written)
        if metadata:
            self.store.write(f"{folder}/metadata.json", json.dumps(more).encode(), written)
        if sentinel:
            self.store.write(f"{folder}_backup_stop_sentinel.json", json.dumps(stop).encode(), written)
        return name
