# SPDX-License-Identifier: Apache-2.0
"""HTTP servers for the tests of Curl: plain, TLS, TLS with client certificates, and a relay before nghttpd (HTTP/2).

Prints one JSON line with its ports and the folder of its certificates, and ends when its standard input does. What
happens here is told by named events: `GET /wait/<event>` answers once the event has happened, `POST /record/<event>`
makes it happen. So no test needs to sleep.
"""
import argparse
import http.server
import json
import os
import select
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import urllib.parse

PATIENCE = 30.0


class Events:
    """Named events with a value each; a later value replaces an earlier one."""

    def __init__(self):
        self.changed = threading.Condition()
        self.values = {}

    def record(self, name, value=""):
        with self.changed:
            self.values[name] = str(value)
            self.changed.notify_all()

    def add(self, name):
        with self.changed:
            self.values[name] = str(int(self.values.get(name, "0")) + 1)
            self.changed.notify_all()

    def wait(self, name):
        with self.changed:
            self.changed.wait_for(lambda: name in self.values, PATIENCE)
            return self.values.get(name)

    def value(self, name):
        with self.changed:
            return self.values.get(name, "0")


EVENTS = Events()
PATTERN = bytes(range(251))


def pattern(count):
    return (PATTERN * (count // len(PATTERN) + 1))[:count]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def setup(self):
        super().setup()
        self.requests = 0

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def until_closed(self, key):
        """Returns when the client has closed the connection."""
        try:
            while self.connection.recv(1024):
                pass
        except OSError:
            pass
        EVENTS.record("closed:" + key)
        self.close_connection = True

    def handle_any(self):
        self.requests += 1
        url = urllib.parse.urlsplit(self.path)
        query = {k: v[0] for k, v in urllib.parse.parse_qs(url.query).items()}
        parts = url.path.split("/")
        route = getattr(self, "on_" + parts[1].replace("-", "_"), None)
        if route is None:
            self.answer(404, b"no such route")
            return
        try:
            route(parts[2:], query)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    def on_status(self, rest, query):
        self.answer(int(rest[0]), b"status " + rest[0].encode())

    def on_bytes(self, rest, query):
        self.answer(200, pattern(int(rest[0])))

    def on_echo(self, rest, query):
        body = self.body()
        seen = {"method": self.command, "target": self.path, "headers": self.headers.items(),
                "body": body.decode("latin-1")}
        self.answer(200, json.dumps(seen).encode(), [("X-Empty", ""), ("X-Twice", "a"), ("X-Twice", "b")])

    def on_redirect(self, rest, query):
        self.answer(302, b"elsewhere", [("Location", "/status/200")])

    def on_early(self, rest, query):
        self.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
                         b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Late\r\n\r\n"
                         b"4\r\nbody\r\n0\r\nX-Late: yes\r\n\r\n")

    def on_headers(self, rest, query):
        self.answer(200, b"", [("X-Filler-%d" % i, "x" * 1000) for i in range(int(rest[0]))])

    def on_wait(self, rest, query):
        value = EVENTS.wait(rest[0])
        self.answer(504 if value is None else 200, (value or "").encode())

    def on_value(self, rest, query):
        self.answer(200, EVENTS.value(rest[0]).encode())

    def on_record(self, rest, query):
        self.body()
        EVENTS.record(rest[0])
        self.answer(204)

    def on_hang(self, rest, query):
        self.body()
        EVENTS.record("began:" + query["key"])
        self.until_closed(query["key"])

    def on_feed(self, rest, query):
        """A chunk for each event go:<key>:<number>, then the end."""
        key = query["key"]
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        watcher = threading.Thread(target=self.until_closed, args=(key,), daemon=True)
        watcher.start()
        for number in range(int(query["chunks"])):
            if EVENTS.wait("go:%s:%d" % (key, number)) is None:
                return
            chunk = b"chunk %d" % number
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        self.wfile.write(b"0\r\n\r\n")
        watcher.join()

    def on_tick(self, rest, query):
        """A chunk every so many milliseconds, then silence."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for _ in range(int(query["count"])):
            threading.Event().wait(int(query["every"]) / 1000)
            self.wfile.write(b"4\r\ntick\r\n")
        self.until_closed(query["key"])

    def on_flood(self, rest, query):
        """As many bytes as fast as they go; says how many went before the client stopped reading for 300 ms."""
        key, left = query["key"], int(query["bytes"])
        self.send_response(200)
        self.send_header("Content-Length", str(left))
        self.end_headers()
        self.connection.setblocking(False)
        block, sent, stalled = pattern(251 * 256), 0, False
        while left:
            _, writable, _ = select.select([], [self.connection], [], 0.3)
            if not writable:
                if not stalled:
                    stalled = True
                    EVENTS.record("stalled:" + key, sent)
                continue
            offset = sent % 251
            try:
                count = self.connection.send(block[offset:offset + min(left, len(block) - offset)])
            except BlockingIOError:
                continue
            sent, left = sent + count, left - count
        self.connection.setblocking(True)

    def on_die(self, rest, query):
        """Half of what was announced, then the end of the connection."""
        self.send_response(200)
        if "chunked" in query:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"a\r\n0123456789\r\n")
        else:
            self.send_header("Content-Length", "20")
            self.end_headers()
            self.wfile.write(b"0123456789")
        self.close_connection = True

    def on_mute(self, rest, query):
        """Closes without a word, counting; but the first request of a connection is answered."""
        self.body()
        if self.requests == 1 and "always" not in query:
            self.answer(200, b"first")
            return
        EVENTS.add("mute:" + query["key"])
        self.close_connection = True


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    tls = None

    def handle_error(self, request, client_address):
        pass

    def finish_request(self, request, client_address):
        if self.tls is not None:
            # In the connection's own thread: a handshake must not hold up the others.
            request = self.tls.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
            try:
                request.do_handshake()
            except (OSError, ssl.SSLError):
                # A close with unread bytes would be a reset, and a reset may overtake our alert.
                socket.socket.shutdown(request, socket.SHUT_WR)
                while socket.socket.recv(request, 4096):
                    pass
                return
        self.RequestHandlerClass(request, client_address, self)


def serve(tls=None):
    server = Server(("127.0.0.1", 0), Handler)
    server.tls = tls
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def certificates(folder):
    """Two authorities, a server's certificate of the first, a client's of the second."""
    def openssl(*arguments):
        subprocess.run(("openssl",) + arguments, cwd=folder, check=True, stderr=subprocess.DEVNULL)

    for authority in ("server-ca", "client-ca", "other-ca"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-subj", "/CN=" + authority, "-keyout", authority + ".key", "-out", authority + ".pem")
    with open(os.path.join(folder, "san"), "w", encoding="ascii") as file:
        file.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for name in ("server", "client"):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=" + name,
                "-keyout", name + ".key", "-out", name + ".csr")
        openssl("x509", "-req", "-in", name + ".csr", "-CA", name + "-ca.pem", "-CAkey", name + "-ca.key",
                "-CAcreateserial", "-days", "2", "-extfile", "san", "-out", name + ".pem")


def context(folder, client_ca=None):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(os.path.join(folder, "server.pem"), os.path.join(folder, "server.key"))
    if client_ca:
        tls.load_verify_locations(os.path.join(folder, client_ca))
        tls.verify_mode = ssl.CERT_REQUIRED
    return tls


class Relay:
    """Forwards connections; frozen ones stay open and forward nothing more, as when a network swallows packets.

    Events: relay-freeze:<n> (to be recorded by the test) freezes the connections of that moment, relay-frozen:<n>
    follows; relay-generation counts; relay-connections counts those accepted; relay-closed counts frozen ones closed
    by the client; relay-swallowed:<n>: a frozen one had something to forward from the client.
    """

    def __init__(self, upstream):
        self.upstream = upstream
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.generation = 0
        threading.Thread(target=self.accept, daemon=True).start()
        threading.Thread(target=self.freezer, daemon=True).start()

    def freezer(self):
        while True:
            with EVENTS.changed:
                name = "relay-freeze:%d" % self.generation
                EVENTS.changed.wait_for(lambda: name in EVENTS.values)
                self.generation += 1
            EVENTS.record("relay-generation", self.generation)
            EVENTS.record("relay-frozen:%d" % (self.generation - 1))

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            EVENTS.add("relay-connections")
            server = socket.create_connection(("127.0.0.1", self.upstream))
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            born = self.generation
            threading.Thread(target=self.pump, args=(client, server, born, True), daemon=True).start()
            threading.Thread(target=self.pump, args=(server, client, born, False), daemon=True).start()

    def pump(self, source, target, born, from_client):
        try:
            while True:
                data = source.recv(65536)
                frozen = self.generation != born
                if not data:
                    if frozen and from_client:
                        EVENTS.add("relay-closed")
                    if not frozen:
                        target.shutdown(socket.SHUT_WR)
                    return
                if not frozen:
                    target.sendall(data)
                elif from_client:
                    EVENTS.record("relay-swallowed:%d" % (self.generation - 1))
        except OSError:
            if self.generation != born and from_client:
                EVENTS.add("relay-closed")


def nghttpd(folder):
    """The port of a relay before nghttpd, or 0 when there is none."""
    program = shutil.which("nghttpd") or shutil.which("nghttpd", path="/usr/sbin:/usr/bin")
    if program is None:
        return 0, None
    root = os.path.join(folder, "www")
    os.mkdir(root)
    for name, count in (("small", 200), ("large", 5_000_000)):
        with open(os.path.join(root, name), "wb") as file:
            file.write(pattern(count))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [program, "-a", "127.0.0.1", "-d", root, str(port), os.path.join(folder, "server.key"),
         os.path.join(folder, "server.pem")], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return Relay(port).port, process
        except ConnectionRefusedError:
            threading.Event().wait(0.01)
    return 0, None


def main():
    argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0]).parse_args()
    folder = tempfile.mkdtemp(prefix="curl-tests-")
    process = None
    try:
        certificates(folder)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            refusing = probe.getsockname()[1]
        silent = socket.create_server(("127.0.0.1", 0), backlog=128)
        http2, process = nghttpd(folder)
        print(json.dumps({
            "folder": folder, "plain": serve(), "tls": serve(context(folder)),
            "mutual": serve(context(folder, "client-ca.pem")), "refusing": refusing,
            "silent": silent.getsockname()[1], "http2": http2}), flush=True)
        sys.stdin.read()
    finally:
        if process is not None:
            process.kill()
        shutil.rmtree(folder, ignore_errors=True)


main()
