# SPDX-License-Identifier: Apache-2.0
"""A bucket that is made up while it is read: one archive of a million segments, held nowhere.

    server.py SEGMENTS [NEW]      prints its port; writes its counters to standard output, as JSON, when its input ends

Answers ListObjectsV2 (prefix, delimiter, start-after, continuation-token, max-keys) and GET of sentinels, metadata and
history files. NEW is how many segments the last timeline has more than before. Pages are put together from one
template, so that the server costs little beside the program that is measured; what it does cost is in its counters.
"""
import json
import re
import resource
import socketserver
import sys
import threading
import time
from bisect import bisect_right
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, quote, unquote, urlsplit

BUCKET, ROOT = "bench", "orders/15/"
WAL, BASE = ROOT + "wal_005/", ROOT + "basebackups_005/"
TIMELINES, BACKUPS, PER_LOG, SIZE = 3, 20, 256, 16 << 20
BEGIN = 1_700_000_000  # when the first segment was written
ITEM = ("<Contents><Key>%s</Key><LastModified>%s</LastModified>"
        "<ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag><Size>4870221</Size>"
        "<StorageClass>STANDARD</StorageClass></Contents>")


def moment(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(seconds))


def name(timeline, number):
    return "%08X%08X%08X" % (timeline, number // PER_LOG, number % PER_LOG)


class Archive:
    """Timeline t has the segments of its third; each was written ten seconds after the one before."""

    def __init__(self, segments, new=0):
        third = segments // TIMELINES
        self.first = [1 + third * t for t in range(TIMELINES)]
        self.last = [1 + third * (t + 1) - 1 for t in range(TIMELINES)]
        self.last[-1] += segments - third * TIMELINES + new
        self.bodies, self.small = {}, []
        # The backups are placed by what was there at first, so that new segments don't move them.
        numbers = [1 + (segments - 200) * b // BACKUPS for b in range(BACKUPS)]
        for number in numbers:
            self.add_backup(number)
        for t in range(2, TIMELINES + 1):
            rows = "".join("%d\t%s\tno recovery target specified\n" % (p, self.lsn(self.first[p])) for p in range(1, t))
            self.bodies[WAL + "%08X.history" % t] = (rows.encode(), self.written(self.first[t - 1]))
        for key, (body, when) in sorted(self.bodies.items()):
            if key.startswith(BASE):
                self.small.append((key, when))
        self.small.sort()
        self.keys = [key for key, _ in self.small]

    def lsn(self, number):
        return "%X/%X" % (number * SIZE >> 32, number * SIZE & 0xFFFFFFFF)

    def written(self, number):
        return BEGIN + number * 10

    def timeline(self, number):
        return max(t for t in range(TIMELINES) if number >= self.first[t]) + 1

    def add_backup(self, number):
        when = self.written(number + 2) + 5
        base = "base_" + name(self.timeline(number), number)
        fields = {"start_time": moment(when - 20), "finish_time": moment(when), "pg_version": 150015,
                  "start_lsn": number * SIZE + 40, "finish_lsn": (number + 2) * SIZE + 0x100, "is_permanent": False,
                  "uncompressed_size": 30 << 30,
                  "system_identifier": 7507672962298572862, "compressed_size": 10 << 30, "hostname": "orders-0"}
        stop = {"LSN": fields["start_lsn"], "FinishLSN": fields["finish_lsn"], "PgVersion": 150015, "Version": 2,
                "SystemIdentifier": fields["system_identifier"], "StartTime": fields["start_time"],
                "FinishTime": fields["finish_time"]}
        self.bodies[f"{BASE}{base}_backup_stop_sentinel.json"] = (json.dumps(stop).encode(), when)
        self.bodies[f"{BASE}{base}/metadata.json"] = (json.dumps(fields).encode(), when)
        for part in ["pg_control.tar.lz4"] + ["part_%03d.tar.lz4" % n for n in range(1, 11)]:
            self.bodies[f"{BASE}{base}/tar_partitions/{part}"] = (b"", when)

    def wal_after(self, start):
        """(key, written) of wal_005/ behind the key `start`."""
        for t in range(1, TIMELINES + 1):
            history = WAL + "%08X.history" % t
            if history in self.bodies and history > start:
                yield history, self.bodies[history][1]
            first, last = self.first[t - 1], self.last[t - 1]
            prefix = WAL + "%08X" % t
            if start.startswith(prefix):  # where `start` would stand
                digits = re.match("[0-9A-F]{16}", start[len(prefix):])
                if digits:
                    number = int(digits[0][:8], 16) * PER_LOG + int(digits[0][8:], 16)
                    behind = start >= f"{WAL}{name(t, number)}.lz4"
                    first = max(first, number + behind)
            elif start > prefix:
                continue
            for number in range(first, last + 1):
                yield f"{WAL}{name(t, number)}.lz4", self.written(number)

    def keys_after(self, prefix, start):
        if prefix.startswith(WAL):
            source = self.wal_after(start)
        else:
            at = bisect_right(self.keys, start)
            source = iter(self.small[at:])
            if ROOT.startswith(prefix):
                source = (one for part in (source, self.wal_after(start)) for one in part)
        for key, when in source:
            if key.startswith(prefix):
                yield key, when
            elif key > prefix + "\uffff":
                return


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize, disable_nagle_algorithm = -1, True  # an answer is one write, and is not held back

    def log_message(self, *_):
        pass

    def do_GET(self):
        begin = time.thread_time()
        url = urlsplit(self.path)
        query = {k: v[0] for k, v in parse_qs(url.query, keep_blank_values=True).items()}
        with self.server.lock:
            self.server.requests += 1
            self.server.listings += "list-type" in query
        if "list-type" in query:
            self.reply(200, self.page(query).encode())
        else:
            body = self.server.archive.bodies.get(unquote(url.path).removeprefix(f"/{BUCKET}/"))
            self.reply(206, body[0]) if body else self.reply(404, b"<Error><Code>NoSuchKey</Code></Error>")
        with self.server.lock:
            self.server.seconds += time.thread_time() - begin

    def reply(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def page(self, query):
        archive, prefix, limit = self.server.archive, query.get("prefix", ""), int(query.get("max-keys", "1000"))
        start = query.get("continuation-token") or query.get("start-after") or ""
        items, last = [], None
        for key, when in self.entries(archive, prefix, query.get("delimiter"), start):
            if len(items) == limit:
                token = f"<NextContinuationToken>{quote(last)}</NextContinuationToken>"
                items.append(f"<IsTruncated>true</IsTruncated>{token}")
                break
            if when is None:
                items.append(f"<CommonPrefixes><Prefix>{key}</Prefix></CommonPrefixes>")
                last = key + "\x7f"
            else:
                items.append(ITEM % (key, moment(when)))
                last = key
        return ('<?xml version="1.0" encoding="UTF-8"?>'
                '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
                + "".join(items) + "</ListBucketResult>")

    def entries(self, archive, prefix, delimiter, start):
        """(key, written), or (folder, None)."""
        if not delimiter:
            yield from archive.keys_after(prefix, unquote(start))
            return
        start, seen = unquote(start), None
        while True:  # one key of each folder is enough to know it
            found = next(archive.keys_after(prefix, max(start, (seen or "") + ("\x7f" if seen else ""))), None)
            if found is None:
                return
            rest, slash, _ = found[0][len(prefix):].partition("/")
            if slash:
                seen = f"{prefix}{rest}/"
                yield seen, None
            else:
                start = found[0]
                yield found


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads, allow_reuse_address, request_queue_size = True, True, 64


def main():
    server = Server(("127.0.0.1", 0), Handler)
    server.archive = Archive(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    server.lock, server.requests, server.listings, server.seconds = threading.Lock(), 0, 0, 0.0
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"requests": server.requests, "listings": server.listings,
                      "cpuSeconds": round(used.ru_utime + used.ru_stime, 2)}))


if __name__ == "__main__":
    main()
