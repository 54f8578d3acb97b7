# SPDX-License-Identifier: Apache-2.0
"""Logs of the stand-in's containers, served as a kubelet serves them: whole, or followed as they grow."""
import datetime
import http.server
import ssl
import threading
import time
import urllib.parse


class ContainerLog:
    """What one start of a container has written so far."""

    def __init__(self):
        self.lines = []      # (nanoseconds since 1970, text)
        self.ended = False
        self.changed = threading.Condition()

    def say(self, *lines):
        with self.changed:
            self.lines += [(time.time_ns(), line) for line in lines]
            self.changed.notify_all()

    def end(self):
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def after(self, seen, patience):
        """The lines beyond the first `seen`, and whether there will be more. Waits for either."""
        with self.changed:
            if len(self.lines) == seen and not self.ended:
                self.changed.wait(patience)
            return self.lines[seen:], not self.ended


def moment(nanoseconds):
    whole = datetime.datetime.fromtimestamp(nanoseconds // 10**9, datetime.timezone.utc)
    return f'{whole:%Y-%m-%dT%H:%M:%S}.{nanoseconds % 10**9:09d}Z'


def nanoseconds(text):
    """Of RFC 3339, to the second: what the API server passes on has no fraction."""
    return int(datetime.datetime.fromisoformat(text.replace('Z', '+00:00')).timestamp()) * 10**9


class LogServer:
    """`find` gives for (namespace, pod, container) a ContainerLog; None when there is no such pod here; or why that
    container has no log yet."""

    def __init__(self, pki, find):
        self.find, self.stopped = find, threading.Event()
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=f'{pki}/ca.crt')
        tls.verify_mode = ssl.CERT_REQUIRED
        tls.load_cert_chain(f'{pki}/node.crt', f'{pki}/node.key')
        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), self.handler())
        self.server.daemon_threads = True
        self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_port

    def start(self):
        threading.Thread(target=self.server.serve_forever, daemon=True, name='logs').start()

    def stop(self):
        self.stopped.set()
        self.server.shutdown()
        self.server.server_close()

    def handler(self):
        logs = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def do_GET(self):
                url = urllib.parse.urlparse(self.path)
                parts = url.path.strip('/').split('/')
                named = parts[0] == 'containerLogs' and len(parts) == 4
                found = logs.find(*parts[1:]) if named else None
                try:
                    if isinstance(found, ContainerLog):
                        self.serve(found, dict(urllib.parse.parse_qsl(url.query)))
                    else:
                        self.whole(404 if found is None else 400, found or 'pod does not exist')
                except OSError:
                    self.close_connection = True  # who asked was killed meanwhile

            def whole(self, status, text):
                body = text.encode()
                self.send_response(status)
                self.send_header('Content-Length', str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def serve(self, log, query):
                since = nanoseconds(query['sinceTime']) if 'sinceTime' in query else 0
                stamped = query.get('timestamps') == 'true'

                def text(lines):
                    return ''.join(f'{moment(at)} {line}\n' if stamped else f'{line}\n'
                                   for at, line in lines if at >= since)

                if query.get('follow') != 'true':
                    return self.whole(200, text(log.after(0, 0)[0]))
                self.send_response(200)
                self.send_header('Transfer-Encoding', 'chunked')
                begun, seen, more = False, 0, True
                while more and not logs.stopped.is_set():
                    lines, more = log.after(seen, 1)
                    seen += len(lines)
                    piece = text(lines).encode()
                    if piece and not begun:
                        self.end_headers()  # the head goes out with the first line, as a kubelet's does
                        begun = True
                    if piece:
                        self.wfile.write(b'%x\r\n%s\r\n' % (len(piece), piece))
                        self.wfile.flush()
                if not begun:
                    self.end_headers()
                self.wfile.write(b'0\r\n\r\n')

            def log_message(self, *_):
                pass

        return Handler
