# SPDX-License-Identifier: Apache-2.0
"""What the tests of the program `inplace` stand on: a service with an archive, stopped cleanly and killed."""
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import harness  # noqa: E402
from harness import OLD, PREFIX, snapshot  # noqa: E402, F401
from support import Cluster, wait_until  # noqa: E402, F401

ROWS = "select count(*) from public.t"


class InPlaceTest(harness.ProgramTest):
    """A base backup, what came after it, and two volumes: stopped cleanly (1112 rows), and killed with a tail of three
    segments that were never archived (1142 rows)."""

    @classmethod
    def make_source(cls):
        (cls.tools / "sync").symlink_to(shutil.which("true"))  # to a kill what is on disk makes no difference
        source = cls.source = Cluster(f"{cls.root}/source", cls.bucket.environment(PREFIX))
        source.initialise(OLD)
        with open(f"{source.data}/postgresql.conf", "a") as file:
            file.write("fsync = off\nmin_wal_size = 32MB\n")  # the restored server's as well
        source.start()
        cls.addClassCleanup(source.stop)
        source.sql("alter system set work_mem = '7MB'")
        source.sql("create table t (i int)")
        source.sql("insert into t select generate_series(1, 1000)")
        cls.walg("backup-push", source.data, PGHOST=source.folder, PGPORT=str(source.port), PGUSER="postgres")
        cls.xid = source.sql("with i as (insert into t select generate_series(1, 100)) select pg_current_xact_id()")
        source.sql("checkpoint")
        cls.lsn = source.sql("select pg_current_wal_insert_lsn()")
        time.sleep(0.05)
        cls.moment = source.sql("select now()")
        time.sleep(0.05)
        source.sql("insert into t select generate_series(1, 10)")
        source.sql("select pg_create_restore_point('before ''it''')")
        source.sql("insert into t select generate_series(1, 2)")
        cls.archived(source)
        cls.bucket.tick()
        cls.identifier = source.sql("select system_identifier from pg_control_system()")
        source.stop()
        cls.keep(source, "clean")
        source.start("archive_command=/bin/false")
        for _ in range(3):
            source.sql("insert into t select generate_series(1, 10)")
            source.sql("select pg_switch_wal()")
        source.sql("insert into t values (0)")
        source.server.kill()
        source.server.wait()
        wait_until(lambda: not cls.processes_in(source.data), what="the killed server's processes to be gone")
        cls.keep(source, "killed")
        cls.backup, = json.loads(cls.walg("backup-list", "--json", "--detail").stdout)
        cls.newest = max(key.split("/")[-1].split(".")[0] for key in cls.bucket.keys() if "wal_005" in key)

    @classmethod
    def processes_in(cls, folder):
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if os.readlink(process / "cwd").startswith(str(folder)):
                    found.append(int(process.name))
            except OSError:
                pass
        return found

    @classmethod
    def keep(cls, cluster, name):
        subprocess.run(["cp", "-a", cluster.data, f"{cls.root}/{name}"], check=True)

    def setUp(self):
        super().setUp()
        shutil.chown(self.volume, "postgres", "postgres")
        self.prefix = PREFIX
        self.workspace = self.volume / ".reprise/run-1"

    def service(self, kind="clean"):
        """The volume of the service, as it is when its pod is gone; what it has is returned."""
        self.data.parent.mkdir(parents=True)
        shutil.chown(self.data.parent, "postgres", "postgres")
        subprocess.run(["cp", "-a", f"{self.root}/{kind}", self.data], check=True)
        return snapshot(self.data)

    def own_archive(self):
        """A copy of the archive, for a test in which the service archives."""
        self.prefix = f"{self.volume.name}/15"
        for key in self.bucket.keys():
            if key.startswith(PREFIX + "/"):
                self.bucket.write(self.prefix + key[len(PREFIX):], self.bucket.read(key))

    def variables(self, kind="latest", target="", **environment):
        lsn = self.backup["start_lsn"]
        return {"REPRISE_BACKUP": self.backup["backup_name"], "REPRISE_SOURCE_PREFIX": f"s3://bkt/{self.prefix}",
                "REPRISE_TARGET_KIND": kind, "REPRISE_TARGET": target, "REPRISE_TIMELINE": "1",
                "REPRISE_EXPECT_MAJOR": "15", "REPRISE_BACKUP_BYTES": str(self.backup["uncompressed_size"]),
                "REPRISE_EXPECT_START_LSN": f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}",
                "REPRISE_EXPECT_SYSTEM_IDENTIFIER": self.identifier,
                "REPRISE_STOPPED_AT": str(int(time.time()))} | environment

    def start_program(self, action, *arguments, **environment):
        return self.run_program("inplace", REPRISE_ACTION=action, **self.variables(*arguments, **environment))

    def inplace(self, action, *arguments, **environment):
        return self.start_program(action, *arguments, **environment)().json

    def restore(self, *arguments, **environment):
        return self.inplace("restore", *arguments, **environment)

    def rollback(self, of="run-1", run="run-2", **environment):
        return self.inplace("rollback", REPRISE_ROLLBACK_OF=of, REPRISE_RUN_UID=run, **environment)

    def assertDone(self, result):
        self.assertEqual((result["code"], result["swapped"]), ("OK", True), result)

    def assertUndone(self, result, code, before):
        self.assertEqual((result["code"], result["swapped"], result["undone"]), (code, False, True), result)
        self.assertEqual(snapshot(self.data), before, "the old data, byte for byte")

    def served(self, *options):
        """The service, started as its pod would, archiving."""
        environment = self.bucket.environment(self.prefix)
        environment["PATH"] = f"{self.tools}:{environment['PATH']}"
        service = Cluster(str(self.volume), environment)
        service.data = str(self.data)
        service.start(*options)
        self.addCleanup(service.stop)
        return service

    def rows(self, *options):
        service = self.served("archive_command=", *options)
        found = int(service.sql(ROWS))
        service.stop()
        return found

    @staticmethod
    def check(number, query, expect=None, name=None, **further):
        words = {"NAME": name or f"check {number}", "QUERY": query} | further
        if expect is not None:
            words["EXPECT"] = expect
        return {"REPRISE_CHECKS": str(number)} | {f"REPRISE_CHECK_{number}_{key}": word for key, word in words.items()}
