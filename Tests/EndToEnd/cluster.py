# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests reach out with: the API server, the buckets, the ledger, PostgreSQL, and the controller as a
process that can be killed. Everything belongs to the environment in REPRISE_RUN (hack/env-up.sh)."""
import http.client
import json
import os
import pathlib
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.request

REPO = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "hack"))
import s3_list  # noqa: E402

RUN = pathlib.Path(os.environ.get("REPRISE_RUN", REPO / ".run"))
PSQL = "/usr/lib/postgresql/15/bin/psql"
OURS = "/apis/reprise.dev/v1alpha1"


def wait(what, condition, seconds=60, every=0.3):
    """The first true answer of `condition`."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(every)


class Refused(Exception):
    def __init__(self, status, message):
        super().__init__(f"{status}: {message}")
        self.status = status


class API:
    """The API server as its administrator: a tenth of the time that a kubectl needs."""

    def __init__(self):
        pki = RUN / "pki"
        self.tls = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self.tls.load_cert_chain(str(pki / "admin.crt"), str(pki / "admin.key"))
        self.port = int((RUN / "ports" / "kube-apiserver").read_text())

    def call(self, method, path, body=None, content="application/json"):
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.tls, timeout=20)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": content})
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        if response.status >= 300:
            raise Refused(response.status, answer.get("message"))
        return answer

    def get(self, path):
        """The object, or None."""
        try:
            return self.call("GET", path)
        except Refused as refused:
            if refused.status == 404:
                return None
            raise

    def list(self, path):
        return self.call("GET", path)["items"]

    def create(self, *objects):
        for item in objects:
            self.call("POST", collection(item), item)

    def delete(self, path, **options):
        return self.call("DELETE", path, options or None)


PLURALS = {"Namespace": "namespaces", "Secret": "secrets", "ConfigMap": "configmaps", "StatefulSet": "statefulsets",
           "PersistentVolumeClaim": "persistentvolumeclaims", "BackupRepository": "backuprepositories",
           "RestoreRun": "restoreruns", "ServiceClone": "serviceclones", "ManagedService": "managedservices",
           "RestorePlan": "restoreplans", "ServiceBackup": "servicebackups", "RestoreApproval": "restoreapprovals"}


def collection(item):
    group = item["apiVersion"]
    root = f"/api/{group}" if group == "v1" else f"/apis/{group}"
    space = item["metadata"].get("namespace")
    return root + (f"/namespaces/{space}" if space else "") + "/" + PLURALS[item["kind"]]


def kubectl(*words, **options):
    command = ["kubectl", "--kubeconfig", str(RUN / "kubeconfig"), *words]
    done = subprocess.run(command, text=True, capture_output=True, check=False, timeout=120, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


# ---------------------------------------------------------------- PostgreSQL

class LoginRefused(Exception):
    pass


def sql(address, password, statement, database="shop", user="postgres"):
    """The statement's output, over TCP as a client would."""
    done = subprocess.run(
        [PSQL, "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", address, "-U", user, "-d", database], input=statement, text=True,
        capture_output=True, check=False, timeout=120, env={**os.environ, "PGPASSWORD": password, "PGCONNECT_TIMEOUT": "5"})
    if "password authentication failed" in done.stderr:
        raise LoginRefused(user)
    if done.returncode != 0:
        raise AssertionError(done.stderr.strip())
    return done.stdout.strip()


class Ledger:
    def __init__(self):
        self.conninfo = (RUN / "ledger.conninfo").read_text().strip()

    def rows(self, query):
        """Each row of a query as a dictionary."""
        done = subprocess.run([PSQL, "-XAtq", "-v", "ON_ERROR_STOP=1", self.conninfo, "-c",
                               f"select row_to_json(q) from ({query}) q"], text=True, capture_output=True, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def run(self, uid):
        found = self.rows(f"select * from reprise.restore_runs where run_uid = '{uid}'")
        assert len(found) <= 1, found
        return found[0] if found else None

    def audit(self, uid):
        found = self.rows(f"select operation from reprise.restore_audit where run_uid = '{uid}' order by sequence")
        return [row["operation"] for row in found]

    def dump(self):
        done = subprocess.run(["/usr/lib/postgresql/15/bin/pg_dump", "--data-only", "-d", self.conninfo], text=True,
                              capture_output=True, check=True)
        return done.stdout


# ---------------------------------------------------------------- object store

class Store:
    """The buckets, as one of the users of hack/s3_seed.py."""

    def __init__(self, user):
        self.client = s3_list.client(RUN / "s3", user)

    def listing(self, prefix):
        return s3_list.listing(self.client, prefix)

    def copy(self, key, to):
        self.client.copy_object(Bucket=s3_list.BUCKET, Key=to, CopySource={"Bucket": s3_list.BUCKET, "Key": key})

    def delete(self, key):
        self.client.delete_object(Bucket=s3_list.BUCKET, Key=key)

    def put(self, key, body=b"x"):
        self.client.put_object(Bucket=s3_list.BUCKET, Key=key, Body=body)


def credentials(user):
    lines = (RUN / "s3" / f"{user}.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


# ---------------------------------------------------------------- controller

class Controller:
    """The controller as a process, started again when it has lost its lease, as its Deployment would: a leader that can't reach
    its API server for 10 s ends, and on a busy machine that happens. Any other end is a defect. Its log goes on over
    restarts."""
    log = RUN / "log" / "controller.log"

    def __init__(self):
        self.process = None
        self.port = None
        self.is_wanted = False

    def start(self):
        self.port = self.port or self._free_port()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.is_wanted = True
        self._spawn()
        threading.Thread(target=self._supervise, daemon=True).start()
        wait("the controller to lead", self.leads, 60)

    def _supervise(self):
        while self.process.wait() == 1 and self.is_wanted and self._has_lost_its_lease():
            time.sleep(1)
            self._spawn()

    def _has_lost_its_lease(self):
        return self.log.read_text(errors="replace").rstrip().splitlines()[-1].startswith("controller: leadershipLost")

    def _spawn(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [os.environ["REPRISE_CONTROLLER"], "--kubeconfig", str(RUN / "kubeconfig"), "--namespace", "reprise-system",
                 "--identity", "e2e", "--agent-image", "docker.io/reprise/agent:dev", "--listen", f"127.0.0.1:{self.port}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "REPRISE_LEDGER": Ledger().conninfo})

    def leads(self):
        if self.process.poll() is not None and not self._has_lost_its_lease():
            tail = self.log.read_text(errors="replace").splitlines()[-5:]
            raise AssertionError(f"the controller ended with {self.process.returncode}: {tail}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2) as answer:
                return answer.read().strip() == b"leading"
        except OSError:
            return False

    def kill(self):
        self.is_wanted = False
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """Seconds that an orderly end took."""
        began = time.monotonic()
        self.is_wanted = False
        self.process.terminate()
        self.process.wait(timeout=20)
        return time.monotonic() - began

    @staticmethod
    def _free_port():
        import socket
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            return one.getsockname()[1]
