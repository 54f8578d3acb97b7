# SPDX-License-Identifier: Apache-2.0
"""The program `inplace` against real clusters, moto and the WAL-G stand-in: which rows a service has afterwards.

    python3 -m unittest Tests/Programs/test_inplace.py      (as root; needs moto_server, PostgreSQL 15, lz4)
"""
import shutil
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from harness import NEW, program_text  # noqa: E402
from inplace_harness import ROWS, InPlaceTest, snapshot, wait_until  # noqa: E402
from support import BIN, STEP_DOWN, Cluster  # noqa: E402


class RestoreCases:
    def test_every_target(self):
        cases = [("latest", "", 1112), ("immediate", "", 1000), ("time", self.moment, 1100), ("lsn", self.lsn, 1100),
                 ("xid", self.xid, 1100), ("name", "before 'it'", 1110)]
        for kind, target, rows in cases:
            with self.subTest(kind):
                self.setUp()
                self.service()
                result = self.restore(kind, target, **self.check(1, ROWS, str(rows)),
                                      **({"REPRISE_EXPECT_SEGMENT": self.newest} if kind == "latest" else {}))
                self.assertDone(result)
                self.assertEqual((result["already"], result["renamed"], result["timeline"], result["parentTimeline"],
                                  result["heldState"], result["reasons"]), (False, "exchange", 2, 1, "shut down", []))
                self.assertEqual([(one["name"], one["passed"]) for one in result["checks"]], [("check 1", True)])

    def test_latest_after_data_loss(self):
        before = self.service()
        for file in (self.data / "base").rglob("*"):
            if file.is_file() and file.stat().st_size > 30000:
                file.unlink()
        damaged = snapshot(self.data)
        result = self.start_program("restore", REPRISE_EXPECT_SEGMENT=self.newest)()
        self.assertDone(result.json)
        self.assertIn("reprise-progress fetched", result.before)
        self.assertTrue(any(line.startswith("reprise-progress segment 0000000100") for line in result.before))
        self.assertEqual(snapshot(self.workspace / "pre-restore"), damaged)
        self.assertEqual(self.rows(), 1112)
        self.assertIn("work_mem = '7MB'", (self.data / "postgresql.auto.conf").read_text())
        self.assertNotIn("restore_command", (self.data / "postgresql.auto.conf").read_text())
        self.assertGreater(len(before), len(damaged))
        again = self.restore()
        self.assertEqual((again["code"], again["already"], again["swapped"], again["timeline"]), ("OK", True, True, 2))
        self.assertEqual(self.rows(), 1112)

    def test_what_the_service_is_told_of_stores_is_not_heeded(self):
        stores = [name for name in self.bucket.environment("") if name.startswith(("AWS_", "WALG_"))]
        self.assertIn("AWS_SECRET_ACCESS_KEY", stores)
        before = self.service()
        # Without the keys it reads nothing: they count as the service's own.
        own = [name for name in stores if name != "AWS_SECRET_ACCESS_KEY"]
        result = self.restore(REPRISE_STORE_VARIABLES=" ".join(own))
        self.assertUndone(result, result["code"], before)
        result = self.restore(REPRISE_STORE_VARIABLES=" ".join(stores), AWS_ACCESS_KEY="the service's",
                              WALE_S3_PREFIX="s3://elsewhere\nAWS_REGION=nowhere", REPRISE_RUN_UID="run-2")
        self.assertDone(result)

    def test_what_an_image_says_of_certificates_and_limits_stays(self):
        head, _ = program_text("inplace").split("is_swapped() {")
        self.text_of = lambda name: head + 'env >"$REPRISE_VOLUME/environment"; fact_string code OK; finish OK'
        self.service()
        self.start_program("inspect", REPRISE_STORE_VARIABLES="AWS_REGION", AWS_REGION="here", AWS_ROLE_ARN="own",
                           WALG_S3_PREFIX="s3://own", WALG_S3_CA_CERT_FILE="/ca.crt", WALG_DOWNLOAD_CONCURRENCY="2")()
        left = {line.split("=")[0] for line in (self.volume / "environment").read_text().splitlines()}
        self.assertEqual({name for name in left if name.startswith(("AWS_", "WALG_"))},
                         {"AWS_REGION", "WALG_S3_CA_CERT_FILE", "WALG_DOWNLOAD_CONCURRENCY"})

    def test_what_only_the_volume_had(self):
        self.own_archive()
        self.service("killed")
        result = self.restore(REPRISE_OWN_TAIL="true", REPRISE_EXPECT_SEGMENT=self.newest,
                              **self.check(1, ROWS, "1143"))
        self.assertDone(result)
        self.assertEqual(result["heldState"], "in production")
        self.assertGreaterEqual(len(result["tailSegments"]), 3)
        service = self.served()
        service.sql("insert into t values (0)")
        self.archived(service)
        service.stop()
        self.assertEqual(self.rows(), 1144)
        # from the old base backup, with nothing but the archive
        shutil.rmtree(self.data.parent)
        shutil.rmtree(self.volume / ".reprise")
        self.service()
        self.assertDone(self.restore(REPRISE_TIMELINE="2", **self.check(1, ROWS, "1144")))

    def test_the_tail_of_another_cluster_is_not_taken(self):
        other = Cluster(str(self.volume))
        self.data.parent.mkdir(parents=True)
        shutil.chown(self.data.parent, "postgres", "postgres")
        other.data = str(self.data)
        other.initialise()
        for file in (self.root / "killed/pg_wal").glob("0000*"):
            shutil.copy(file, self.data / "pg_wal")
        result = self.restore(REPRISE_OWN_TAIL="true", **self.check(1, ROWS, "1112"))
        self.assertDone(result)
        self.assertNotIn("tailSegments", result)
        self.assertNotEqual(result["heldSystemIdentifier"], result["systemIdentifier"])

    def test_the_data_of_another_service_gets_this_ones_settings_and_password(self):
        other = self.initialised()
        (self.data / "postgresql.auto.conf").write_text("work_mem = '9MB'\nrecovery_target_name = 'x'\n")
        self.assertDone(self.restore(REPRISE_CROSS_SERVICE="true"))
        self.assertEqual((self.data / "postgresql.auto.conf").read_text(), "work_mem = '9MB'\n")
        other.start("archive_command=")
        self.addCleanup(other.stop)
        self.assertEqual([other.login("postgres", word) for word in (NEW, "source-secret")], [True, False])

    def test_in_a_pod_without_root_and_without_exchange(self):
        self.wrapper = STEP_DOWN
        shutil.chown(self.scratch, "postgres")
        self.service()
        result = self.restore(REPRISE_EXCHANGE="false")
        self.assertDone(result)
        self.assertEqual((result["renamed"], self.rows()), ("renames", 1112))

    def test_inspect_changes_nothing(self):
        self.service("killed")
        self.restore("name", "no such point")
        (self.volume / ".reprise/other/pre-restore/global").mkdir(parents=True)
        (self.volume / ".reprise/other/pre-restore/global/pg_control").write_text("x")
        before = snapshot(self.volume)
        facts = self.inplace("inspect")
        self.assertEqual(snapshot(self.volume), before)
        self.assertEqual({name: facts[name] for name in (
            "code", "major", "systemIdentifier", "controlState", "timeline", "pgdataIsMountpoint", "hasTablespaces",
            "walIsLink", "hasOtherFileSystems", "heldBy")}, {
            "code": "OK", "major": "15", "systemIdentifier": self.identifier, "controlState": "in production",
            "timeline": 1, "pgdataIsMountpoint": False, "hasTablespaces": False, "walIsLink": False,
            "hasOtherFileSystems": False, "heldBy": None})
        self.assertGreaterEqual(facts["notArchived"], 3)
        self.assertTrue(facts["freeBytes"] > 0 and facts["volumeBytes"] > facts["freeBytes"] and facts["dataBytes"] > 0)
        self.assertTrue(facts["serverVersion"].startswith("15."))
        other, = facts["leftovers"]
        self.assertEqual((other["run"], other["hasPreRestore"], other["hasFailedRestore"]), ("other", True, False))


class OldDataCases:
    def test_what_ends_it(self):
        cases = [
            ("VerificationFailed", "latest", "", self.check(1, "select false")),
            ("TargetNotReached", "name", "no such point", {}),
            ("WALGap", "latest", "", {"REPRISE_EXPECT_SEGMENT": self.newest[:-2] + "7F"}),
            ("DiskFull", "latest", "", {"REPRISE_BACKUP_BYTES": "999999999999999"}),
            ("MajorMismatch", "latest", "", {"REPRISE_EXPECT_MAJOR": "14"}),
            ("StorageUnreachable", "latest", "", {"AWS_ENDPOINT": "http://127.0.0.1:1"}),
            ("RestoreNotPerformed", "latest", "", {"REPRISE_EXPECT_SYSTEM_IDENTIFIER": "1"}),
            ("DeadlineExceeded", "latest", "", {"REPRISE_DEADLINE_SECONDS": "2", "WALG_STAND_IN_DELAY": "60"}),
        ]
        before = self.service()
        for code, kind, target, environment in cases:
            with self.subTest(code):
                self.assertUndone(self.restore(kind, target, **environment), code, before)
                self.assertFalse((self.workspace / "restore-tmp").exists())
        self.assertDone(self.restore())

    def test_a_failed_check_leaves_the_archive_alone_and_the_service_goes_on(self):
        self.own_archive()
        before = self.service()
        keys = self.bucket.entries()
        checks = self.check(1, "select 1", "2") | self.check(2, "select true", name="second")
        result = self.restore("time", self.moment, **checks)
        self.assertUndone(result, "VerificationFailed", before)
        self.assertEqual([one["passed"] for one in result["checks"]], [False, True])
        self.assertEqual(self.bucket.entries(), keys)
        service = self.served()
        service.sql("insert into t select generate_series(1, 5)")
        self.archived(service)
        service.stop()
        self.assertDone(self.restore(REPRISE_RUN_UID="run-2", **self.check(1, ROWS, "1117")))

    def test_data_that_one_rename_can_not_replace(self):
        """The look says so while the service runs, and the Job again: the data may have been moved since."""
        def link(name):
            (self.data / name).rename(self.elsewhere / name)
            (self.data / name).symlink_to(self.elsewhere / name)

        def whole():
            self.data.rename(self.data.with_name("real"))
            self.data.symlink_to("real")

        cases = [
            ("TablespacesUnsupported", "hasTablespaces", lambda: (self.data / "pg_tblspc/16400").symlink_to("/x"), ""),
            ("WalVolumeUnsupported", "walIsLink", lambda: link("pg_wal"), ""),
            ("WalVolumeUnsupported", "hasOtherFileSystems", None, "pg_wal"),
            ("PgdataIsMountpoint", "hasOtherFileSystems", None, "base"),
            ("PgdataIsMountpoint", "pgdataIsMountpoint", None, "."),
            ("PgdataIsMountpoint", "pgdataIsMountpoint", whole, ""),
        ]
        for code, fact, prepare, mounted in cases:
            with self.subTest(f"{code}, {fact}, {mounted}"):
                self.setUp()
                self.service()
                self.elsewhere = self.volume.with_name(self.volume.name + "-elsewhere")
                self.elsewhere.mkdir()
                if prepare:
                    prepare()
                if mounted:  # of its own, and seen by nobody else
                    place = self.data / mounted
                    script = f"mount -t tmpfs tmpfs {self.elsewhere} && cp -a {place}/. {self.elsewhere} && " \
                             f"mount --bind {self.elsewhere} {place} && exec \"$@\""
                    self.wrapper = ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh"]
                before = snapshot(self.data.parent)
                seen = self.inplace("inspect")
                self.assertEqual((seen["code"], seen[fact]), ("OK", True), seen)
                result = self.restore()
                self.assertEqual((result["code"], result["swapped"], result["undone"]), (code, False, False), result)
                self.assertEqual(snapshot(self.data.parent), before)

    def test_a_full_disk(self):
        before = self.service()
        # a small file system in the place of the volume, that nobody else sees; what is on it at the end is brought out
        script = ("cp -a $V $V-in; mount -t tmpfs -o size=110m tmpfs $V; cp -a $V-in/. $V; chown postgres: $V; "
                  "\"$@\"; ended=$?; mkdir $V-out; cp -a $V/. $V-out; exit $ended")
        self.wrapper = ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh"]
        result = self.restore(REPRISE_BACKUP_BYTES="", V=str(self.volume))
        self.data = Path(f"{self.volume}-out/15/docker")
        self.assertUndone(result, "DiskFull", before)
        self.assertFalse(Path(f"{self.volume}-out/.reprise/run-1/restore-tmp").exists())

    def test_sigterm_keeps_what_is_staged(self):
        before = self.service()
        result = self.start_program("restore", **self.check(1, "select true from pg_sleep(30)"))
        while not self.process.stdout.readline().startswith("reprise-step verify"):
            self.assertIsNone(self.process.poll())
        self.process.terminate()
        self.assertUndone(result().json, "Interrupted", before)
        result = self.restore(**self.check(1, ROWS, "1112"))
        self.assertDone(result)
        self.assertTrue(result["resumed"])
        self.assertEqual(self.rows(), 1112)

    def test_somebody_was_quicker(self):
        before = self.service()
        (self.data / "postmaster.pid").write_text(f"1\n/data\n{int(time.time()) + 5}\n5432\n")
        there = snapshot(self.volume)
        result = self.restore()
        self.assertEqual((result["code"], result["swapped"], result["undone"]),
                         ("ReplicasChangedByOther", False, False))
        self.assertEqual({k: v for k, v in snapshot(self.volume).items() if ".reprise" not in k}, there)
        (self.data / "postmaster.pid").write_text(f"1\n/data\n{int(time.time()) - 60}\n5432\n")
        self.assertDone(self.restore())
        self.assertIn("postmaster.pid", snapshot(self.workspace / "pre-restore"))
        self.assertNotIn("postmaster.pid", before)


class PlaceholderCases:
    def held(self, run="run-1", **environment):
        """Killed while it fetches: the placeholder is there."""
        self.start_program("restore", WALG_STAND_IN_DELAY="60", REPRISE_RUN_UID=run, **environment)
        while not self.process.stdout.readline().startswith("reprise-step fetch"):
            self.assertIsNone(self.process.poll())
        self.kill_tree()

    def test_no_server_and_no_initdb(self):
        before = self.service()
        self.held()
        config = self.volume / "postgresql.conf"
        config.write_text("")
        for further in ([], ["-c", f"config_file={config}"]):
            done = subprocess.run([*STEP_DOWN, BIN / "postgres", "-D", self.data, *further], capture_output=True)
            self.assertNotEqual(done.returncode, 0)
        done = subprocess.run([*STEP_DOWN, BIN / "initdb", "-D", self.data], capture_output=True)
        self.assertNotEqual(done.returncode, 0)
        self.assertGreater((self.data / "PG_VERSION").stat().st_size, 0, "entrypoints take it for initialised")
        self.assertEqual(self.inplace("inspect")["heldBy"], "run-1")
        other = self.restore(REPRISE_RUN_UID="run-2")
        self.assertEqual((other["code"], other["heldBy"]), ("HeldByOther", "run-1"))
        kept = self.inplace("tidy", REPRISE_TIDY="run-1")
        self.assertEqual((kept["code"], kept["kept"], kept["tidied"]), ("OK", ["run-1"], []))
        for _ in range(2):
            undone = self.inplace("undo")
            self.assertEqual((undone["code"], undone["undone"], undone["swapped"]), ("OK", True, False))
            self.assertEqual(snapshot(self.data), before)

    def test_by_hand_when_the_run_is_gone(self):
        """As docs/in-place.md says: the data has its name back, the next run goes on, and nothing of it is taken for data."""
        before = self.service()
        self.held()
        self.assertEqual((self.data / "held-by-reprise").read_text(), "run-1\n")
        self.data.rename(self.workspace / "placeholder")
        (self.workspace / "pre-restore").rename(self.data)
        self.assertEqual(snapshot(self.data), before)
        self.assertIsNone(self.inplace("inspect", REPRISE_RUN_UID="run-2")["heldBy"])
        self.assertDone(self.restore(REPRISE_RUN_UID="run-2", **self.check(1, ROWS, "1112")))
        self.assertEqual(self.rows(), 1112)

    def test_two_pods_at_once(self):
        self.service()
        one = self.start_program("restore", WALG_STAND_IN_DELAY="3")
        process, scratch = self.process, self.scratch
        wait_until((self.workspace / "restore-tmp").exists, what="the first one to fetch")
        self.scratch = self.volume.with_name(self.volume.name + "-s2")
        self.scratch.mkdir()
        self.scratch.chmod(0o755)
        busy = self.restore(REPRISE_FENCE_SECONDS="1")
        self.assertEqual((busy["code"], "undone" in busy), ("TargetBusy", False), "it has touched nothing")
        second = self.restore(REPRISE_FENCE_SECONDS="60")
        self.assertDone(second)
        self.assertTrue(second["already"])
        self.scratch, self.process = scratch, process
        self.assertDone(one().json)
        self.assertEqual(self.rows(), 1112)

    def test_undo_where_nothing_is_held(self):
        before = self.service()
        self.assertFalse(self.inplace("undo")["undone"])
        self.assertEqual(snapshot(self.data), before)
        self.assertDone(self.restore())
        undone = self.inplace("undo")
        self.assertEqual((undone["code"], undone["undone"], undone["swapped"]), ("OK", False, True))
        self.assertEqual(self.inplace("tidy", REPRISE_TIDY="run-1 gone")["tidied"], ["run-1", "gone"])
        self.assertFalse(self.workspace.exists())
        self.assertEqual(self.rows(), 1112)


class RollbackCases:
    def test_the_rolled_back_service_and_its_next_restore(self):
        self.own_archive()
        self.service("killed")  # with what was never archived, that a restore to a moment before leaves out
        self.assertDone(self.restore("time", self.moment))
        service = self.served()
        service.sql("insert into t select generate_series(1, 3)")
        self.archived(service)
        service.stop()
        served = snapshot(self.data)
        failing = self.rollback(**self.check(1, "select false"))
        self.assertUndone(failing, "VerificationFailed", served)
        self.assertTrue((self.workspace / "pre-restore/global/pg_control").exists(), "what was to come back is kept")
        # meanwhile another timeline of the name that the undone rollback has used: the two must not meet in the archive
        taken = f"{self.prefix}/wal_005/00000003.history.lz4"
        self.bucket.write(taken, subprocess.run(["lz4", "-qc"], input=b"1\t0/1\tother\n", capture_output=True).stdout)
        self.assertUndone(self.rollback(run="run-6"), "TimelineTaken", served)
        self.bucket.call("DELETE", f"/{taken}")
        result = self.rollback(run="run-3", **self.check(1, ROWS, "1143"))
        self.assertDone(result)
        self.assertGreater(result["timeline"], 2)
        self.assertEqual(snapshot(self.volume / ".reprise/run-3/failed-restore"), served)
        service = self.served()
        service.sql("insert into t select generate_series(1, 6)")
        timeline = service.sql("select timeline_id from pg_control_checkpoint()")
        self.archived(service)
        service.stop()
        result = self.restore(REPRISE_RUN_UID="run-4", REPRISE_TIMELINE=timeline, **self.check(1, ROWS, "1149"))
        self.assertDone(result)
        self.assertEqual(self.rollback(of="run-1", run="run-5")["code"], "NothingToRollBack")

    def test_what_a_rollback_has_replaced_comes_back_as_well(self):
        self.own_archive()
        self.service("killed")
        self.assertDone(self.restore("time", self.moment))
        service = self.served()
        service.sql("insert into t select generate_series(1, 3)")
        self.archived(service)
        rows = service.sql(ROWS)
        service.stop()
        self.assertDone(self.rollback(run="run-2"))
        self.archived(service := self.served())
        service.stop()
        served = snapshot(self.data)
        failing = self.rollback(of="run-2", run="run-3", **self.check(1, "select false"))
        self.assertUndone(failing, "VerificationFailed", served)
        self.assertTrue((self.volume / ".reprise/run-2/failed-restore/global/pg_control").exists(), "kept where it was")
        self.assertDone(self.rollback(of="run-2", run="run-4", **self.check(1, ROWS, rows)))
        self.assertEqual(str(self.rows()), rows)
        self.assertEqual(snapshot(self.volume / ".reprise/run-4/failed-restore"), served)


class InPlaceProgramTest(RestoreCases, OldDataCases, PlaceholderCases, RollbackCases, InPlaceTest):
    """All of them on one source, which takes seconds to make."""


if __name__ == "__main__":
    unittest.main()
