# SPDX-License-Identifier: Apache-2.0
"""What the tests of the Job programs stand on: a source with an archive, clones of it, and runs of a program."""
import base64
import contextlib
import functools
import gzip
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "Tests" / "EndToEnd" / "image"))
from support import Bucket, Cluster, requirements_missing, wait_until  # noqa: E402

NEW, OLD, FOREIGN = "n3w p\"a'ss\\wörd", "source-secret", "password-of-production-app"
PREFIX = "orders/15"

# Memory, where there is enough, also for moto: on a disk most of the time would be waiting for it.
if "TMPDIR" not in os.environ and os.path.isdir("/dev/shm") and shutil.disk_usage("/dev/shm").free > 4 << 30:
    os.environ["TMPDIR"] = tempfile.tempdir = "/dev/shm"


class Result:
    """What the controller gets to see of a Job: the pod's output, its termination message and its exit code."""

    def __init__(self, done, message):
        self.output, self.exit = done.stdout, done.returncode
        self.message = json.loads(message)
        lines = done.stdout.splitlines()
        begin = next(i for i, line in enumerate(lines) if line.startswith("reprise-result "))
        self.before = lines[:begin]
        _, version, size, digest = lines[begin].split()
        assert version == "v1" and lines[-1] == "reprise-end v1", done.stdout
        chunks = [line.split(" ") for line in lines[begin + 1:-1]]
        assert [int(number) for number, _ in chunks] == list(range(1, len(chunks) + 1)), "numbered from 1"
        assert all(len(chunk) <= 120 for _, chunk in chunks)
        plain = gzip.decompress(base64.b64decode("".join(chunk for _, chunk in chunks)))
        assert (len(plain), hashlib.sha256(plain).hexdigest()) == (int(size), digest)
        self.json = json.loads(plain)
        assert self.message == {"v": 1, "code": self.json["code"], "bytes": int(size), "sha256": digest}, self.message
        assert (self.exit == 0) == (self.json["code"] == "OK")


@functools.cache
def program_text(name):
    """The whole text of a program, as the controller has it."""
    return subprocess.run([REPO / "hack/embed-programs.sh", "--text", "postgres", name], check=True,
                          capture_output=True, text=True).stdout


def parents():
    """Which process is whose child."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            found[int(folder.name)] = int((folder / "stat").read_text().rpartition(") ")[2].split()[1])
    return found


def snapshot(folder):
    """Every file below a directory with its digest."""
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in Path(folder).rglob("*") if path.is_file()}


def holding(folder, *secrets):
    """Files below a directory that hold one of these texts."""
    return [str(path) for path in Path(folder).rglob("*") if path.is_file()
            and any(secret.encode() in path.read_bytes() for secret in secrets)]


class ProgramTest(unittest.TestCase):
    """A source with two backups, taken once; each test clones it into a volume of its own."""

    @classmethod
    def setUpClass(cls):
        if requirements_missing():
            raise unittest.SkipTest(requirements_missing())
        cls.root = Path(tempfile.mkdtemp(prefix="rp-"))
        os.chmod(cls.root, 0o755)
        cls.addClassCleanup(shutil.rmtree, cls.root, True)
        cls.bucket = Bucket()
        cls.addClassCleanup(cls.bucket.stop)
        cls.tools = cls.root / "bin"
        cls.tools.mkdir()
        (cls.tools / "wal-g").symlink_to(REPO / "Tests/EndToEnd/image/wal-g-stand-in")
        cls.make_source()

    @classmethod
    def make_source(cls):
        source = cls.source = Cluster(f"{cls.root}/source", cls.bucket.environment(PREFIX), ["wal_level=logical"])
        source.initialise(OLD)
        source.start()
        cls.addClassCleanup(source.stop)
        source.sql(f"create role app login password '{FOREIGN}'")
        source.sql("create role \"Odd Role\" login password 'another-one'")
        source.sql("create role reader nologin")
        source.sql("alter role postgres set log_statement = 'all'")
        source.sql("alter system set recovery_target_name = 'left over'")
        source.sql("alter system set work_mem = '7MB'")
        source.sql("create database \"we'ird \\db\"")
        for statement in ("create subscription sub connection 'host=192.0.2.1' publication p with (connect = false)",
                          "alter subscription sub set (slot_name = production_slot)",
                          "alter subscription sub enable",
                          "create function no() returns event_trigger language plpgsql as $$begin raise 'no'; end$$",
                          "create event trigger no on ddl_command_start execute function no()"):
            source.sql(statement, "we'ird \\db")
        source.sql("create table t (i int)")
        source.sql("insert into t select generate_series(1, 1000)")
        cls.walg("backup-push", source.data, PGHOST=source.folder, PGPORT=str(source.port), PGUSER="postgres")
        source.sql("insert into t select generate_series(1, 105)")
        time.sleep(0.05)
        cls.moment = source.sql("select now()")
        time.sleep(0.05)
        source.sql("insert into t values (0)")
        cls.archived(source)
        cls.identifier = source.sql("select system_identifier from pg_control_system()")

    @classmethod
    def archived(cls, cluster):
        segment = cluster.sql("select pg_walfile_name(pg_switch_wal())")
        end = time.monotonic() + 30
        while not any(key.endswith(f"{segment}.lz4") for key in cls.bucket.keys()):
            assert time.monotonic() < end, "not archived"
            time.sleep(0.1)

    @classmethod
    def walg(cls, *arguments, prefix=PREFIX, **environment):
        return subprocess.run([cls.tools / "wal-g", *arguments], env=cls.bucket.environment(prefix) | environment,
                              check=True, capture_output=True, text=True)

    wrapper = []

    def setUp(self):
        # short: the path of a socket below it may have 107 characters
        self.volume = Path(tempfile.mkdtemp(prefix="v-", dir=self.root))
        self.volume.chmod(0o755)
        self.data = self.volume / "15" / "docker"
        self.scratch = self.volume.with_name(self.volume.name + "-s")
        self.secret = self.scratch / "credentials"
        self.secret.mkdir(parents=True)
        self.scratch.chmod(0o755)
        (self.secret / "password").write_text(NEW + "\n")

    def restored(self, *settings):
        """A volume as the quarantined clone leaves it: fetched, recovered to the end, promoted, stopped."""
        self.data.parent.mkdir(parents=True)
        self.walg("backup-fetch", str(self.data), "LATEST")
        with open(self.data / "postgresql.auto.conf", "a") as file:
            file.write(f"restore_command = 'WALG_S3_PREFIX=s3://bkt/{PREFIX} {self.tools}/wal-g wal-fetch %f %p'\n")
            file.writelines(f"{line}\n" for line in settings or ["recovery_target_name = ''"])
        (self.data / "recovery.signal").touch()
        for path in [self.volume, *self.volume.rglob("*")]:
            shutil.chown(path, "postgres", "postgres")
        clone = Cluster(str(self.volume), self.bucket.environment("clone/15"))
        clone.data = str(self.data)
        clone.start("archive_command=", "hot_standby=off", "max_logical_replication_workers=0")
        clone.stop()
        return clone

    def initialised(self):
        self.data.parent.mkdir(parents=True)
        shutil.chown(self.data.parent, "postgres", "postgres")
        clone = Cluster(str(self.volume))
        clone.data = str(self.data)
        clone.initialise()
        return clone

    def run_program(self, name, **environment):
        text = self.text_of(name)
        message = self.scratch / "termination-log"
        message.unlink(missing_ok=True)
        variables = self.bucket.environment("clone/15") | {
            "PGDATA": str(self.data), "REPRISE_VOLUME": str(self.volume), "REPRISE_ATTEMPT_TOKEN": "attempt-1",
            "REPRISE_RUN_UID": "run-1", "REPRISE_CREDENTIALS": str(self.secret), "REPRISE_DEADLINE_SECONDS": "60",
            "REPRISE_TERMINATION_LOG": str(message), "REPRISE_SCRATCH": str(self.scratch)} | environment
        variables["PATH"] = f"{self.tools}:/usr/sbin:/usr/bin:/sbin:/bin"
        self.process = subprocess.Popen(self.wrapper + ["dash", "-c", text], env=variables, text=True,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return lambda: self.result_of(self.process, message)

    def text_of(self, name):
        return program_text(name)

    def result_of(self, process, message):
        out, err = process.communicate(timeout=120)
        result = Result(subprocess.CompletedProcess([], process.returncode, out, err), message.read_text())
        self.assertEqual(err, "", "nothing on stderr: it would be in the pod's log")
        self.assertEqual([x for x in os.listdir(self.scratch) if x.startswith("reprise.")], [], "scratch is clean")
        for secret in (NEW, OLD, FOREIGN, "another-one"):
            self.assertNotIn(secret, out + json.dumps(result.json))
        return result

    def kill_tree(self):
        """Kills all processes of the program at once, as a container ends. PostgreSQL's have sessions of their own."""
        tree, found = set(), {self.process.pid}
        while found:  # stopped first, so that none makes another one unseen
            for one in found:
                with contextlib.suppress(OSError):
                    os.kill(one, signal.SIGSTOP)
            tree |= found
            found = {child for child, parent in parents().items() if parent in tree} - tree
        for one in tree:
            with contextlib.suppress(OSError):
                os.kill(one, signal.SIGKILL)
        self.process.communicate(timeout=60)
        wait_until(lambda: not any(os.path.exists(f"/proc/{one}") for one in tree), what="its processes to be gone")
        for left in self.scratch.glob("reprise.*"):
            shutil.rmtree(left)

    def seal(self, **environment):
        return self.run_program("seal", **environment)()
