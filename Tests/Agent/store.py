# SPDX-License-Identifier: Apache-2.0
"""A bucket in this process whose times, pages and failures a test decides. It does not look at signatures."""
import threading
from bisect import bisect_right
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote_plus, unquote, unquote_plus, urlsplit
from xml.sax.saxutils import escape


def rfc3339(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")


class Store:
    """`objects` is key -> (bytes, written), and a test changes it as it likes."""

    def __init__(self, page=1000):
        self.page, self.objects = page, {}
        self.requests = []  # (path without the bucket, query)
        self.denied = {}  # beginning of a key -> (status, error code)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"store": self}))
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.environment = {"AWS_ENDPOINT": self.endpoint, "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
        self.name = "bkt"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def write(self, key, body=b"", written=1_700_000_000):
        self.objects[key] = (body if isinstance(body, bytes) else body.encode(), written)

    def delete(self, key):
        del self.objects[key]

    def listing(self, query):
        """(keys with their times, folders, next token)."""
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        start = unquote_plus(query.get("continuation-token") or "") or query.get("start-after", "")
        keys = sorted(self.objects, key=str.encode)
        limit = min(int(query.get("max-keys", "1000")), self.page)
        found, folders, last = [], [], None
        for key in keys[bisect_right(keys, start.encode(), key=str.encode):]:
            if not key.startswith(prefix) or (start.endswith("/") and delimiter and key.startswith(start)):
                continue
            rest, slash, _ = key[len(prefix):].partition(delimiter or "\0")
            folder = f"{prefix}{rest}/" if slash else None
            if folder and folders and folders[-1] == folder:
                continue
            if len(found) + len(folders) == limit:
                return found, folders, quote_plus(last)
            if folder:
                folders.append(folder)
            else:
                found.append((key, self.objects[key][1]))
            last = folder or key
        return found, folders, None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize, disable_nagle_algorithm = -1, True

    def log_message(self, *_):
        pass

    def do_GET(self):
        url = urlsplit(self.path)
        key = unquote(url.path).removeprefix(f"/{self.store.name}/")
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        self.store.requests.append((key, query))
        place = query.get("prefix", "") if "list-type" in query else key
        for beginning, (status, code) in self.store.denied.items():
            if place.startswith(beginning):
                return self.reply(status, f"<Error><Code>{code}</Code></Error>")
        if "list-type" in query:
            return self.reply(200, self.page(query))
        if key not in self.store.objects:
            return self.reply(404, "<Error><Code>NoSuchKey</Code></Error>")
        body = self.store.objects[key][0]
        if not body:
            return self.reply(416, "<Error><Code>InvalidRange</Code></Error>")
        last = int(self.headers["Range"].rpartition("-")[2])
        self.reply(206, body[:last + 1])

    def page(self, query):
        def name(text):
            return escape(quote_plus(text, safe="/") if "encoding-type" in query else text)
        found, folders, following = self.store.listing(query)
        parts = [f"<IsTruncated>{'true' if following else 'false'}</IsTruncated>"]
        parts += ["<EncodingType>url</EncodingType>"] if "encoding-type" in query else []
        parts += [f"<NextContinuationToken>{following}</NextContinuationToken>"] if following else []
        parts += [f"<Contents><Key>{name(key)}</Key><LastModified>{rfc3339(written)}</LastModified>"
                  f"<ETag>&quot;{written:x}&quot;</ETag><Size>{len(self.store.objects[key][0])}</Size></Contents>"
                  for key, written in found]
        parts += [f"<CommonPrefixes><Prefix>{name(folder)}</Prefix></CommonPrefixes>" for folder in folders]
        return f"<?xml version=\"1.0\"?><ListBucketResult>{''.join(parts)}</ListBucketResult>"

    def reply(self, status, body):
        body = body if isinstance(body, bytes) else body.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
