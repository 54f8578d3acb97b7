# SPDX-License-Identifier: Apache-2.0
"""The program `restore` of the init container, against real clusters, moto and the WAL-G stand-in.

    python3 -m unittest Tests/Programs/test_restore.py      (as root; needs moto_server, PostgreSQL 15, lz4)
"""
import fcntl
import json
import os
import re
import shutil
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import harness  # noqa: E402
from harness import OLD, PREFIX, snapshot  # noqa: E402
from support import STEP_DOWN, Cluster  # noqa: E402

LEFT_OVERS = "  Recovery_Min_Apply_Delay='1h'\nRESTORE_COMMAND = 'false'\nprimary_conninfo = 'password=leaked'\n"
WAITS = "recovery_target_action = 'pause'\n"  # a server that waits at its target would never open


class RestoreProgramTest(harness.ProgramTest):
    """A source with two base backups, what came between them, and settings that would mislead a recovery."""

    @classmethod
    def make_source(cls):
        source = cls.source = Cluster(f"{cls.root}/source", cls.bucket.environment(PREFIX))
        source.initialise(OLD)
        source.start()
        cls.addClassCleanup(source.stop)
        source.sql("alter system set recovery_target_name = 'left over'")
        source.sql("alter system set work_mem = '7MB'")
        with open(f"{source.data}/postgresql.auto.conf", "a") as file:
            file.write(LEFT_OVERS + WAITS)
        with open(f"{source.data}/postgresql.conf", "a") as file:
            file.write("recovery_target_time = '2001-01-01'\n" + WAITS)
        source.sql("create table t (i int)")
        source.sql("insert into t select generate_series(1, 1000)")
        cls.push()
        cls.xid = source.sql("with i as (insert into t select generate_series(1, 100)) select pg_current_xact_id()")
        source.sql("checkpoint")  # its record ends at the position, or recovery to it would stop a record later
        cls.lsn = source.sql("select pg_current_wal_insert_lsn()")
        time.sleep(0.05)
        cls.moment = source.sql("select now()")
        time.sleep(0.05)
        source.sql("insert into t select generate_series(1, 10)")
        source.sql("select pg_create_restore_point('before ''it''')")
        source.sql("insert into t values (0)")
        cls.archived(source)
        cls.bucket.tick()
        cls.push()
        source.sql("insert into t values (0)")
        cls.archived(source)
        cls.first, cls.second = json.loads(cls.walg("backup-list", "--json", "--detail").stdout)

    @classmethod
    def push(cls):
        source = cls.source
        cls.walg("backup-push", source.data, PGHOST=source.folder, PGPORT=str(source.port), PGUSER="postgres")

    def setUp(self):
        super().setUp()
        shutil.chown(self.volume, "postgres", "postgres")
        self.staging = self.data.parent / ".reprise-run-1"
        self.marker = self.volume / ".reprise/run-1/restored"

    def variables(self, kind="latest", target="", backup=None, **environment):
        backup = backup or self.first
        return {"REPRISE_BACKUP": backup["backup_name"], "REPRISE_SOURCE_PREFIX": f"s3://bkt/{PREFIX}",
                "REPRISE_TARGET_KIND": kind, "REPRISE_TARGET": target, "REPRISE_TIMELINE": "1",
                "REPRISE_EXPECT_MAJOR": "15", "REPRISE_BACKUP_BYTES": str(backup["uncompressed_size"]),
                "REPRISE_EXPECT_START_LSN": f"{backup['start_lsn'] >> 32:X}/{backup['start_lsn'] & 0xFFFFFFFF:X}",
                } | environment

    def restore(self, *arguments, **environment):
        return self.run_program("restore", **self.variables(*arguments, **environment))()

    def recovered(self, prefix="clone/15", *options):
        """The server as the quarantined pod starts it: it recovers, promotes and accepts connections."""
        environment = self.bucket.environment(prefix)
        environment["PATH"] = f"{self.tools}:{environment['PATH']}"
        clone = Cluster(str(self.volume), environment)
        clone.data = str(self.data)
        clone.start("hot_standby=off", "max_logical_replication_workers=0", *options)
        self.addCleanup(clone.stop)
        return clone

    def history(self):
        newest = max((self.data / "pg_wal").glob("*.history"))
        return [line for line in newest.read_text().splitlines() if line][-1].split("\t")


class TargetTest(RestoreProgramTest):
    def test_every_target(self):
        cases = [  # kind, target, further variables, rows, how the reason in the history file begins
            ("latest", "", {}, 1112, "no recovery target"),
            ("latest", "", {"backup": self.second}, 1112, "no recovery target"),
            ("immediate", "", {}, 1000, "reached consistency"),
            ("time", self.moment, {}, 1100, "before "),
            ("lsn", self.lsn, {}, 1100, "after LSN"),
            ("xid", self.xid, {}, 1100, f"after transaction {self.xid}"),
            ("xid", self.xid, {"REPRISE_TARGET_INCLUSIVE": "false"}, 1000, f"before transaction {self.xid}"),
            ("name", "before 'it'", {}, 1110, "at restore point"),
        ]
        for kind, target, further, rows, reason in cases:
            with self.subTest(kind=kind, target=target, further=[str(x)[:40] for x in further.values()]):
                self.setUp()
                result = self.restore(kind, target, **further)
                self.assertEqual((result.json["code"], result.json["already"]), ("OK", False))
                self.assertEqual(result.json["reasons"], [])
                clone = self.recovered()
                self.assertEqual(clone.sql("select count(*) from t"), str(rows))
                parent, _, told = self.history()
                self.assertEqual((parent, told[:len(reason)]), ("1", reason))
                clone.stop()

    def test_a_server_that_is_told_not_to_open_at_its_target_says_so(self):
        """What the controller, and the table of reasons, know it by."""
        self.assertEqual(self.restore("time", self.moment).json["code"], "OK")
        with self.assertRaisesRegex(RuntimeError, "the server has ended"):
            self.recovered("clone/15", "recovery_target_action=pause")
        log = (self.volume / "log").read_text()
        table = (Path(__file__).resolve().parents[2] / "programs/postgres/prologue.sh").read_text()
        pattern = re.search("^PromotionPending\t(.*)$", table, re.M)[1]
        self.assertRegex(log, pattern)
        clone = self.recovered()
        self.assertEqual(clone.sql("select count(*) from t"), "1100")

    def test_an_explicit_timeline(self):
        self.restore("time", self.moment)
        branch = self.recovered(PREFIX)  # archives beside the source, as a service restored in place does
        branch.sql("insert into t select generate_series(1, 7)")
        self.archived(branch)
        branch.sql("checkpoint")
        timeline = branch.sql("select timeline_id from pg_control_checkpoint()")
        branch.stop()
        for line, rows in (("1", "1112"), (timeline, "1107")):
            with self.subTest(timeline=line):
                self.setUp()
                self.restore(REPRISE_TIMELINE=line)
                clone = self.recovered()
                self.assertEqual((clone.sql("select count(*) from t"), self.history()[0]), (rows, line))
                clone.stop()

    def test_a_prefix_of_odd_characters(self):
        odd = "o'r d\\e %f $HOME;\"x\"/15"
        for key in self.bucket.keys():
            if key.startswith(PREFIX):
                self.bucket.write(odd + key[len(PREFIX):], self.bucket.read(key))
        self.assertEqual(self.restore(REPRISE_SOURCE_PREFIX=f"s3://bkt/{odd}").json["code"], "OK")
        self.assertEqual(self.recovered().sql("select count(*) from t"), "1112")

    def test_what_the_source_left_has_no_say_and_seal_is_content(self):
        self.restore("time", self.moment)
        settings = (self.data / "postgresql.auto.conf").read_text()
        self.assertIn("work_mem = '7MB'", settings)
        for word in ("left over", "1h", "'false'", "leaked", "pause"):
            self.assertNotIn(word, settings)
        self.recovered().stop()
        result = self.seal(REPRISE_EXPECT_SYSTEM_IDENTIFIER=str(self.first["system_identifier"])).json
        self.assertEqual((result["code"], result["inheritedRecoverySettings"]), ("OK", []))
        self.assertEqual(result["settingsSetAside"], ["RESTORE_COMMAND", "Recovery_Min_Apply_Delay", "primary_conninfo",
                                                      "recovery_target_action", "recovery_target_name", "work_mem"])
        self.assertTrue(result["historyReason"].startswith("before "))
        self.assertEqual((self.data / "postgresql.auto.conf").read_text().splitlines()[2:], [])
        self.assertTrue(self.marker.exists())
        before = snapshot(self.volume)
        self.assertTrue(self.restore("time", self.moment).json["already"])
        self.assertEqual(snapshot(self.volume), before)


class VolumeTest(RestoreProgramTest):
    def test_progress_and_nothing_else_is_told(self):
        result = self.restore()
        steps = ["inspect", "clean", "space", "fetch", "check", "settings", "place"]
        self.assertEqual([line.split()[1] for line in result.before if line.startswith("reprise-step")], steps)
        self.assertEqual([line for line in result.before if not line.startswith("reprise-step")],
                         ["reprise-progress part part_001.tar.lz4", "reprise-progress part pg_control.tar.lz4",
                          "reprise-progress fetched"])
        facts = {name: result.json[name] for name in ("program", "run", "backup", "major", "startLsn", "backupBytes")}
        self.assertEqual(facts, {
            "program": "restore", "run": "run-1", "backup": self.first["backup_name"], "major": "15",
            "startLsn": self.variables()["REPRISE_EXPECT_START_LSN"],
            "backupBytes": self.first["uncompressed_size"]})
        self.assertEqual((self.data.stat().st_mode & 0o777, self.data.owner()), (0o700, "postgres"))

    def test_run_again_it_touches_nothing(self):
        self.restore()
        before = snapshot(self.volume)
        self.assertTrue(self.restore().json["already"])
        self.assertEqual(snapshot(self.volume), before)
        self.recovered().sql("insert into t values (0)")  # promoted, and running: as after a restart of the pod
        result = self.restore(AWS_ENDPOINT="http://127.0.0.1:1")
        self.assertEqual((result.exit, result.json["code"], result.json["already"]), (0, "OK", True))

    def test_data_of_somebody_else_is_not_touched(self):
        def file_inside():
            self.data.mkdir(parents=True)
            (self.data / "precious").write_text("data")

        def empty_directory_elsewhere():
            (self.volume / "elsewhere").mkdir()
            self.data.parent.mkdir(parents=True)
            self.data.symlink_to(self.volume / "elsewhere")

        def rename_that_did_not_happen():
            file_inside()
            self.staging.mkdir()
            self.marker.parent.mkdir(parents=True)
            self.marker.touch()

        for made in (file_inside, empty_directory_elsewhere, rename_that_did_not_happen):
            with self.subTest(made.__name__):
                self.setUp()
                made()
                before = snapshot(self.volume), sorted(self.volume.rglob("*"))
                result = self.restore()
                self.assertEqual((result.exit, result.json["code"]), (1, "TargetNotEmpty"))
                self.assertEqual((snapshot(self.volume), sorted(self.volume.rglob("*"))), before)

    def test_an_empty_pgdata_and_what_others_left_is_no_obstacle(self):
        self.data.mkdir(parents=True)
        self.staging.mkdir()
        (self.staging / "half").write_text("fetched")
        self.marker.parent.mkdir(parents=True)
        self.marker.touch()
        self.assertEqual(self.restore().json["code"], "OK")
        self.assertFalse(self.staging.exists() or (self.data / "half").exists())

    def test_data_that_is_gone_is_fetched_again(self):
        self.restore()
        shutil.rmtree(self.data)
        self.assertFalse(self.restore().json["already"])
        self.assertTrue((self.data / "PG_VERSION").exists())

    def test_two_at_a_time(self):
        self.restore(backup=self.first | {"backup_name": "base_none"})
        with open(self.marker.parent / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.assertEqual(self.restore().json["code"], "TargetBusy")
        self.assertEqual(self.restore().json["code"], "OK")

    def test_a_volume_that_only_root_may_enter(self):
        self.volume.chmod(0o750)  # as Kubernetes' own provisioner of host paths makes them
        os.chown(self.volume, 0, 0)
        self.assertEqual(self.restore().json["code"], "OK")
        self.assertEqual(self.recovered().sql("select count(*) from t"), "1112")

    def test_in_a_pod_without_root(self):
        self.wrapper = STEP_DOWN
        shutil.chown(self.scratch, "postgres")
        self.assertEqual(self.restore("time", self.moment).json["code"], "OK")
        self.assertEqual(self.recovered().sql("select count(*) from t"), "1100")


class RefusalTest(RestoreProgramTest):
    def test_what_does_not_fit(self):
        cases = [
            ("SourceExpired", {"REPRISE_BACKUP": "base_00000001000000000000009F"}),
            ("MajorMismatch", {"REPRISE_EXPECT_MAJOR": "14"}),
            ("OtherBaseBackup", {"REPRISE_BACKUP": self.second["backup_name"]}),
            ("DiskFull", {"REPRISE_BACKUP_BYTES": "999999999999999"}),
            ("StorageUnreachable", {"AWS_ENDPOINT": "http://127.0.0.1:1"}),
            ("StorageUnreachable", {"REPRISE_SOURCE_PREFIX": "s3://no-such-bucket/15"}),
            ("DeadlineExceeded", {"REPRISE_DEADLINE_SECONDS": "1", "WALG_STAND_IN_DELAY": "60"}),
            ("ProgramFailed", {"REPRISE_TARGET_KIND": "lsn", "REPRISE_TARGET": "0/1; drop"}),
            ("ProgramFailed", {"REPRISE_TARGET_KIND": "xid", "REPRISE_TARGET": ""}),
            ("ProgramFailed", {"REPRISE_TARGET_KIND": "name", "REPRISE_TARGET": "a\nrecovery_target_action = 'pause'"}),
            ("ProgramFailed", {"REPRISE_TIMELINE": "latest"}),
        ]
        for code, environment in cases:
            with self.subTest(code, **environment):
                result = self.restore(**environment)
                self.assertEqual((result.exit, result.json["code"]), (1, code))
                self.assertFalse(self.data.exists() or self.marker.exists())
        self.assertEqual(self.restore().json["code"], "OK", "none of them left anything in the way")

    def test_keys_that_are_not_accepted(self):
        with self.bucket.checking_signatures():
            result = self.restore(AWS_SECRET_ACCESS_KEY="wrong", AWS_ACCESS_KEY_ID="nobody")
        self.assertEqual(result.json["code"], "StorageAccessDenied")

    def test_what_the_tool_says_becomes_one_code(self):
        self.tools = self.scratch / "bin"
        self.tools.mkdir()
        cases = [
            ("DiskFull", "write /x/1: no space left on device", "Backup 'b' has no pg_control"),
            ("StorageAccessDenied", "AccessDenied: Access Denied, status code: 403", "No backups found"),
            ("EncryptionKeyMissing", "openpgp: incorrect key"),
            ("StorageUnreachable", "dial tcp: lookup s3.example.com: no such host"),
            ("NoBackupsFound", "No backups found"),
            ("SourceExpired", "object 'prod/15/basebackups_005/b/tar_partitions/part_002.tar.lz4' not found in storage"),
            ("FetchFailed", "password of nobody: leaked", "Finished extraction of part_001.tar.lz4; leaked",
             "Finished extraction of ../../leaked", "object 'prod/15/wal_005/x.lz4' not found in storage"),
        ]
        for code, *lines in cases:
            with self.subTest(code):
                words = "\n".join(f"ERROR: {line}" for line in lines)
                (self.tools / "wal-g").write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{words}\nEND\nexit 1\n")
                (self.tools / "wal-g").chmod(0o755)
                result = self.restore()
                self.assertEqual(result.json["code"], code)
                self.assertNotIn("leaked", result.output)


if __name__ == "__main__":
    unittest.main()
