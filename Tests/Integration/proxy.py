# SPDX-License-Identifier: Apache-2.0
"""A TCP relay in front of a server, which a test can cut: connections break, and new ones are not accepted."""
import socket
import threading


class Proxy:
    def __init__(self, port):
        self.target, self.is_cut, self.open = port, False, set()
        self.lock = threading.Lock()
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept_forever, daemon=True).start()

    def accept_forever(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                if self.is_cut:
                    client.close()
                    continue
                server = socket.create_connection(('127.0.0.1', self.target))
                self.open |= {client, server}
            for one, other in ((client, server), (server, client)):
                threading.Thread(target=self.relay, args=(one, other), daemon=True).start()

    def relay(self, one, other):
        try:
            while data := one.recv(65536):
                other.sendall(data)
        except OSError:
            pass
        with self.lock:
            self.open -= {one, other}
        for end in (one, other):
            self.end(end)

    @staticmethod
    def end(connection):
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        connection.close()

    def cut(self):
        with self.lock:
            self.is_cut, broken, self.open = True, self.open, set()
        for connection in broken:
            self.end(connection)

    def mend(self):
        with self.lock:
            self.is_cut = False

    def close(self):
        self.listener.close()
        self.cut()
