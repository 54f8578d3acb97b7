# SPDX-License-Identifier: Apache-2.0
"""The PostgreSQL Job programs against real clusters, moto and the WAL-G stand-in, run by dash as a Job would run them.

    python3 -m unittest Tests/Programs/test_programs.py      (as root; needs moto_server, PostgreSQL 15, lz4)
"""
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import harness  # noqa: E402
from harness import FOREIGN, NEW, OLD, REPO, holding, snapshot  # noqa: E402
from support import STEP_DOWN, Cluster, wait_until  # noqa: E402


class SealTest(harness.ProgramTest):
    def test_facts_of_a_restore(self):
        self.restored()
        result = self.seal(REPRISE_EXPECT_SYSTEM_IDENTIFIER=self.identifier).json
        self.assertEqual((result["code"], result["program"], result["attempt"], result["run"], result["reasons"]),
                         ("OK", "seal", "attempt-1", "run-1", []))
        self.assertEqual((result["systemIdentifier"], result["timeline"], result["controlState"], result["inRecovery"]),
                         (self.identifier, 2, "shut down", False))
        backup = json.loads(self.walg("backup-list", "--json", "--detail").stdout)[-1]
        label = result["backupLabel"]
        self.assertEqual(label["startWalFile"], backup["wal_file_name"])
        high, low = (int(part, 16) for part in label["startWalLocation"].split("/"))
        self.assertEqual(high << 32 | low, backup["start_lsn"])
        self.assertRegex(label["startTime"], r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \w+$")
        self.assertEqual((result["parentTimeline"], result["historyReason"]), (1, "no recovery target specified"))
        self.assertRegex(result["switchLsn"], r"^[0-9A-F]+/[0-9A-F]+$")
        self.assertIsNone(result["lastReplay"])  # the archive ends with a segment: its last commit is no longer here
        self.assertEqual((result["databaseCount"], result["subscriptionsDisabled"], result["rolesReset"]), (4, 1, 2))
        self.assertGreater(result["dataBytes"], result["databaseBytes"])
        self.assertTrue(150000 <= result["serverVersionNum"] < 160000 and result["userCanLogin"])
        self.assertEqual(result["settingsSetAside"], ["recovery_target_name", "restore_command", "work_mem"])

    def test_passwords(self):
        clone = self.restored()
        result = self.seal()
        self.assertEqual(result.json["code"], "OK")
        self.assertEqual(holding(self.volume, NEW), [])
        clone.start("archive_command=")
        self.addCleanup(clone.stop)
        self.assertTrue(clone.login("postgres", NEW))
        self.assertFalse(clone.login("postgres", OLD))
        self.assertFalse(clone.login("app", FOREIGN))
        self.assertEqual(clone.sql("select rolname from pg_authid where rolpassword is not null"), "postgres")
        verifier = clone.sql("select rolpassword from pg_authid where rolname = 'postgres'")
        self.assertTrue(verifier.startswith("SCRAM-SHA-256$"))
        self.assertEqual(clone.sql("select count(*) from t"), "1106")

    def test_subscriptions_are_off_and_forget_their_slot(self):
        clone = self.restored()
        self.seal()
        clone.start("archive_command=", "max_logical_replication_workers=0")
        self.addCleanup(clone.stop)
        state = "select subenabled, subslotname is null from pg_subscription"
        self.assertEqual(clone.sql(state), "f|t")
        # and dropping it asks nobody for the slot
        clone.sql("set session_replication_role = replica; drop subscription sub", "we'ird \\db")

    def test_settings_of_the_source_are_set_aside(self):
        self.restored("recovery_target_name = ''", "shared_preload_libraries = 'pg_stat_statements'")
        self.seal()
        now = (self.data / "postgresql.auto.conf").read_text().splitlines()[2:]
        self.assertEqual(now, ["shared_preload_libraries = 'pg_stat_statements'"])
        kept = (self.volume / ".reprise/run-1/postgresql.auto.conf.source")
        self.assertIn("work_mem = '7MB'", kept.read_text())
        self.assertEqual(kept.stat().st_mode & 0o077, 0)

    def test_a_second_run_says_the_same(self):
        clone = self.restored()
        volatile = {"dataBytes", "databaseBytes", "freeBytes", "seconds", "attempt"}
        first = self.seal().json
        (self.secret / "password").write_text("another new one")
        second = self.seal(REPRISE_ATTEMPT_TOKEN="attempt-2").json
        self.assertEqual(second["attempt"], "attempt-2")
        self.assertEqual({k: v for k, v in first.items() if k not in volatile},
                         {k: v for k, v in second.items() if k not in volatile})
        clone.start("archive_command=")
        self.addCleanup(clone.stop)
        self.assertEqual([clone.login("postgres", word) for word in ("another new one", NEW)], [True, False])

    def test_killed_midway_it_can_be_repeated(self):
        clone = self.restored()
        self.run_program("seal")
        while not self.process.stdout.readline().startswith("reprise-step passwords"):
            self.assertIsNone(self.process.poll())
        server = int((self.data / "postmaster.pid").read_text().split()[0])
        self.process.kill()
        os.kill(server, signal.SIGKILL)  # as the end of a container does it
        self.process.communicate()
        wait_until(lambda: not os.path.exists(f"/proc/{server}"), what="the killed server to be gone")
        shutil.rmtree(next(self.scratch.glob("reprise.*")))
        result = self.seal().json
        self.assertEqual((result["code"], result["controlState"]), ("OK", "in production"))
        self.assertEqual((result["subscriptionsDisabled"], result["rolesReset"]), (1, 2))
        clone.start("archive_command=")
        self.addCleanup(clone.stop)
        self.assertTrue(clone.login("postgres", NEW))

    def test_two_at_a_time(self):
        self.restored()
        inside = self.volume / ".reprise" / "run-1"
        inside.mkdir(parents=True)
        before = snapshot(self.data)
        with open(inside / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            result = self.seal(REPRISE_FENCE_SECONDS="1").json
            self.assertEqual((result["code"], result["step"]), ("Interrupted", "fence"))
            self.assertEqual(snapshot(self.data), before)
        self.assertEqual(self.seal().json["code"], "OK")

    def test_sigterm_stops_the_server_cleanly(self):
        self.restored()
        result = self.run_program("seal")
        while not self.process.stdout.readline().startswith("reprise-step start"):
            self.assertIsNone(self.process.poll())
        self.process.terminate()
        rest = result().json
        self.assertEqual(rest["code"], "Interrupted")
        self.assertFalse((self.data / "postmaster.pid").exists())

    def test_initdb_instead_of_a_restore_is_refused_and_untouched(self):
        self.initialised()
        before = snapshot(self.volume)
        result = self.seal(REPRISE_EXPECT_SYSTEM_IDENTIFIER=self.identifier)
        self.assertEqual((result.json["code"], result.json["backupLabel"], result.json["timeline"]),
                         ("RestoreNotPerformed", None, 1))
        self.assertNotEqual(result.json["systemIdentifier"], self.identifier)
        self.assertEqual(snapshot(self.volume), before)

    def test_empty_volume(self):
        self.assertEqual(self.seal().json["code"], "RestoreNotPerformed")

    def test_unfinished_recovery_is_refused_and_untouched(self):
        self.restored()
        (self.data / "recovery.signal").touch()
        before = snapshot(self.volume)
        result = self.seal().json
        self.assertEqual((result["code"], result["inRecovery"]), ("TargetNotReached", True))
        self.assertEqual(snapshot(self.volume), before)

    def test_time_target_and_inherited_settings(self):
        own = [f"recovery_target_time = '{self.moment}'", "recovery_target_action = 'promote'"]
        clone = self.restored("recovery_target_name = ''", *own)
        result = self.seal(REPRISE_OWN_RECOVERY_SETTINGS="recovery_target_time recovery_target_action").json
        self.assertTrue(result["historyReason"].startswith("before "), result["historyReason"])
        self.assertRegex(result["lastReplay"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$")
        self.assertLess(result["lastReplay"], self.moment.replace(" ", "T"))
        self.assertEqual(result["inheritedRecoverySettings"], ["recovery_target_name"])
        clone.start("archive_command=")
        self.addCleanup(clone.stop)
        self.assertEqual(clone.sql("select count(*) from t"), "1105")

    def test_credentials_that_cannot_be_set(self):
        self.restored()
        self.assertEqual(self.seal(REPRISE_USER="nobody").json["code"], "RoleMissing")
        for content in ("", "two\nlines\n"):
            (self.secret / "password").write_text(content)
            self.assertEqual(self.seal().json["code"], "CredentialsInvalid")
        (self.secret / "password").unlink()
        self.assertEqual(self.seal().json["code"], "CredentialsInvalid")

    def test_another_role_gets_the_password(self):
        clone = self.restored()
        self.assertEqual(self.seal(REPRISE_USER="Odd Role").json["rolesReset"], 2)
        clone.start("archive_command=")
        self.addCleanup(clone.stop)
        self.assertEqual((clone.login("Odd Role", NEW), clone.login("postgres", OLD)), (True, False))

    def test_in_a_pod_without_root(self):
        clone = self.restored()
        self.wrapper = STEP_DOWN
        shutil.chown(self.scratch, "postgres")
        for name in os.listdir(self.secret):
            os.chmod(self.secret / name, 0o644)
        self.assertEqual(self.seal().json["code"], "OK")
        clone.start("archive_command=")
        self.addCleanup(clone.stop)
        self.assertTrue(clone.login("postgres", NEW))

    def test_passwords_can_be_kept(self):
        clone = self.restored()
        result = self.seal(REPRISE_ROTATE_PASSWORDS="false").json
        self.assertEqual((result["code"], "rolesReset" in result, result["subscriptionsDisabled"]), ("OK", False, 1))
        clone.start("archive_command=")
        self.addCleanup(clone.stop)
        self.assertEqual((clone.login("postgres", OLD), clone.login("app", FOREIGN)), (True, True))

    def test_deadline(self):
        self.restored()
        with open(self.data / "postgresql.conf", "a") as file:
            file.write("shared_preload_libraries = 'missing_library'\n")
        result = self.seal().json
        seen = result["code"], result["reasons"], result["step"]
        self.assertEqual(seen, ("ServerFailed", ["LibraryMissing"], "start"))
        result = self.seal(REPRISE_DEADLINE_SECONDS="0").json
        self.assertIn(result["code"], ("DeadlineExceeded", "ServerFailed"))


class BackupTest(harness.ProgramTest):
    def served(self):
        clone = self.restored()
        self.assertEqual(self.seal().json["code"], "OK")
        clone.start()
        self.addCleanup(clone.stop)
        return clone

    def backup(self, clone, **environment):
        return self.run_program("backup", PGHOST="127.0.0.1", PGPORT=str(clone.port), **environment)()

    def test_backup_of_the_clone(self):
        clone = self.served()
        result = self.backup(clone, WALG_S3_PREFIX="s3://bkt/clone/15/").json
        listed = json.loads(self.walg("backup-list", "--json", "--detail", prefix="clone/15").stdout)
        backup = result["backup"]
        self.assertEqual((result["code"], result["reasons"], result["reused"], len(listed)), ("OK", [], False, 1))
        self.assertEqual((backup["name"], backup["systemIdentifier"], backup["userData"]),
                         (listed[0]["backup_name"], self.identifier, {"reprise": "run-1"}))
        high, low = (int(part, 16) for part in backup["startLsn"].split("/"))
        self.assertEqual(high << 32 | low, listed[0]["start_lsn"])
        self.assertTrue(backup["name"].startswith("base_00000002"))
        again = self.backup(clone).json
        self.assertEqual((again["reused"], again["backup"]), (True, backup))

    def test_refusals(self):
        clone = self.served()
        (self.secret / "password").write_text("wrong")
        result = self.backup(clone).json
        self.assertEqual((result["code"], result["reasons"]), ("LoginRefused", ["LoginRefused"]))
        (self.secret / "password").write_text(NEW)
        result = self.backup(clone, AWS_ENDPOINT="http://127.0.0.1:1").json
        self.assertEqual((result["code"], result["reasons"]), ("ProgramFailed", ["StorageUnreachable"]))
        other = Cluster(str(self.root / "other"))
        other.initialise()
        result = self.backup(clone, PGDATA=other.data).json
        self.assertEqual(result["code"], "VolumeMismatch")


class EmbeddingTest(unittest.TestCase):
    def test_the_swift_constants_are_current(self):
        done = subprocess.run([REPO / "hack/embed-programs.sh", "--check"], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_programs_are_posix_shell(self):
        for path in (REPO / "programs/postgres").rglob("*.sh"):
            subprocess.run(["dash", "-n", path], check=True)


if __name__ == "__main__":
    unittest.main()
