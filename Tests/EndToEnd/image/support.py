# SPDX-License-Identifier: Apache-2.0
"""A moto S3 server and PostgreSQL clusters for the tests of the image and of the Job programs. No container needed."""
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
import xml.etree.ElementTree as xml
from pathlib import Path
from urllib.parse import quote, unquote, urlencode

HERE = Path(__file__).resolve().parent
MAJOR = 15
BIN = Path(f"/usr/lib/postgresql/{MAJOR}/bin")
ACCESS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
STEP_DOWN = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"]


def requirements_missing():
    if os.geteuid() != 0:
        return "needs root, to run PostgreSQL as postgres"
    missing = [tool for tool in ("moto_server", "lz4", "setpriv", str(BIN / "postgres")) if not shutil.which(tool)]
    return f"missing: {', '.join(missing)}" if missing else ""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_until(condition, seconds=30, what="condition"):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.05)
    raise TimeoutError(f"waited {seconds} s for {what}")


class Bucket:
    """One bucket on a moto server of its own, as it starts: signatures are not checked until a test asks for it."""
    name = "bkt"

    def __init__(self):
        self.port = free_port()
        self.folder = tempfile.TemporaryDirectory()
        self.server = subprocess.Popen(["moto_server", "-H", "127.0.0.1", "-p", str(self.port)], cwd=self.folder.name,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.endpoint = f"http://127.0.0.1:{self.port}"
        wait_until(self.answers, what="moto_server")
        self.call("PUT", "")

    def answers(self):
        with contextlib.suppress(OSError):
            return urllib.request.urlopen(self.endpoint + "/moto-api/", timeout=1).status == 200

    def stop(self):
        self.server.terminate()
        self.server.wait()
        self.folder.cleanup()

    def call(self, method, path, body=None):
        # moto wants to see some credentials, whatever they are, before it tells the owner of a private object
        scope = "Credential=test/20260101/us-east-1/s3/aws4_request"
        headers = {"Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0",
                   "Content-Type": "application/octet-stream"}  # a form, urllib's default, would be parsed and lost
        return self.fetch(f"/{self.name}{path}", body, headers, method)

    def fetch(self, path, body, headers, method=None):
        request = urllib.request.Request(self.endpoint + path, data=body, method=method, headers=headers)
        return urllib.request.urlopen(request, timeout=30).read()

    def environment(self, prefix):
        path = f"{BIN}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return ACCESS | {"PATH": path, "LANG": "C.UTF-8", "AWS_ENDPOINT": self.endpoint, "AWS_REGION": "us-east-1",
                         "AWS_S3_FORCE_PATH_STYLE": "true", "WALG_S3_PREFIX": f"s3://{self.name}/{prefix}"}

    def entries(self):
        """(LastModified, key), sorted by key."""
        page = xml.fromstring(self.call("GET", "?list-type=2"))
        space = page.tag.rpartition("}")[0] + "}"
        found = page.iter(space + "Contents")
        return [(one.findtext(space + "LastModified"), one.findtext(space + "Key")) for one in found]

    def keys(self):
        return sorted(key for _, key in self.entries())

    def read(self, key):
        return self.call("GET", "/" + quote(key))

    def write(self, key, content):
        self.call("PUT", "/" + quote(key), content)

    def clear(self):
        for key in self.keys():
            self.call("DELETE", "/" + quote(key))

    def tick(self):
        """LastModified has whole seconds: lets the next object be newer."""
        time.sleep(1.05)

    @contextlib.contextmanager
    def recording(self, keys):
        """Appends to `keys` what is written meanwhile, in order: listings are too coarse for that."""
        self.control("recorder/reset-recording", b"")
        self.control("recorder/start-recording", b"")
        yield
        self.control("recorder/stop-recording", b"")
        for line in self.control("recorder/download-recording").splitlines():
            entry = json.loads(line)
            if entry["method"] == "PUT":
                keys.append(unquote(entry["url"].partition(f"/{self.name}/")[2]))

    def control(self, path, body=None):
        return self.fetch(f"/moto-api/{path}", body, {"Content-Type": "text/plain"})

    def access_key(self, user, actions):
        """Credentials of a user that may do only this, e.g. s3:GetObject; they count while signatures are checked."""
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
        self.iam(Action="CreateUser", UserName=user)
        self.iam(Action="PutUserPolicy", UserName=user, PolicyName=user, PolicyDocument=json.dumps(policy))
        made = self.iam(Action="CreateAccessKey", UserName=user)
        return {"AWS_ACCESS_KEY_ID": re.search("<AccessKeyId>(.*?)<", made)[1],
                "AWS_SECRET_ACCESS_KEY": re.search("<SecretAccessKey>(.*?)<", made)[1]}

    def iam(self, **query):
        scope = "Credential=test/20260101/us-east-1/iam/aws4_request"
        headers = {"Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"}
        body = urlencode(query | {"Version": "2010-05-08"}).encode()
        return self.fetch("/", body, headers).decode()

    @contextlib.contextmanager
    def checking_signatures(self):
        self.control("reset-auth", b"0")
        try:
            yield
        finally:
            self.control("reset-auth", b"inf")


class Cluster:
    """A PostgreSQL cluster owned by postgres in `folder`, with its socket beside the data."""

    def __init__(self, folder, environment=None, options=()):
        self.folder, self.data, self.port = folder, f"{folder}/data", free_port()
        self.environment = environment or {"PATH": f"{BIN}:/usr/bin:/bin"}
        self.options = list(options)
        self.server = None

    def initialise(self, password="source-secret"):
        os.makedirs(self.folder, exist_ok=True)
        shutil.chown(self.folder, "postgres", "postgres")
        secret = Path(self.folder, "initial-password")
        secret.write_text(password + "\n")
        subprocess.run(STEP_DOWN + [str(BIN / "initdb"), "-D", self.data, "-U", "postgres", "-A", "scram-sha-256",
                                    "--auth-local=trust", f"--pwfile={secret}", "--no-sync"],
                       check=True, stdout=subprocess.DEVNULL)
        secret.unlink()

    def start(self, *options):
        settings = [f"unix_socket_directories={self.folder}", f"port={self.port}", "fsync=off", "archive_mode=on",
                    f"archive_command={HERE}/wal-g-stand-in wal-push %p", *self.options, *options]
        with open(f"{self.folder}/log", "ab") as log:
            self.server = subprocess.Popen(
                STEP_DOWN + [str(BIN / "postgres"), "-D", self.data] + [x for one in settings for x in ("-c", one)],
                env=self.environment | {"PGPORT": str(self.port)}, stdout=log, stderr=log)
        self.environment["PGPORT"] = str(self.port)
        wait_until(self.accepting, what="PostgreSQL in " + self.folder)

    def accepting(self):
        if self.server.poll() is not None:
            raise RuntimeError(f"the server has ended: {Path(self.folder, 'log').read_text()[-2000:]}")
        return subprocess.run([BIN / "pg_isready", "-q", "-h", self.folder, "-p", str(self.port)]).returncode == 0

    def stop(self):
        if self.server and self.server.poll() is None:
            self.server.send_signal(2)  # SIGINT: fast shutdown
            self.server.wait(60)

    def sql(self, statement, database="postgres"):
        done = subprocess.run([BIN / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-p", str(self.port),
                               "-U", "postgres", "-d", database, "-c", statement], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        return done.stdout.strip()

    def login(self, user, password, database="postgres"):
        """Does this password open a TCP connection?"""
        address = f"host=127.0.0.1 port={self.port} user='{user}' dbname={database}"
        return subprocess.run([BIN / "psql", "-XAtq", address, "-c", "select 1"], env={"PGPASSWORD": password},
                              capture_output=True).returncode == 0

    def __enter__(self):
        self.initialise()
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
