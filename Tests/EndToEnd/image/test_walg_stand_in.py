# SPDX-License-Identifier: Apache-2.0
"""Holds the WAL-G stand-in against the hand-written fixtures of WAL-G's layout, on moto and a real PostgreSQL.

    python3 -m unittest Tests/EndToEnd/image/test_walg_stand_in.py     (as root; needs moto_server, PostgreSQL 15, lz4)
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parents[1] / "Fixtures" / "walg"
sys.path.insert(0, str(HERE))
from support import Bucket, Cluster, requirements_missing  # noqa: E402

SEGMENT = "0000000100000000000000"


def fixture(name):
    return json.loads((FIXTURES / name).read_text())


def shape(value):
    """Types of a JSON value, keys kept: two documents of one shape are read by the same decoder."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    return type(value).__name__


@unittest.skipIf(requirements_missing(), requirements_missing())
class StandInTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        os.chmod(cls.folder.name, 0o755)
        cls.bucket = Bucket()
        cls.addClassCleanup(cls.bucket.stop)

    def setUp(self):
        self.bucket.clear()

    def wal_g(self, *arguments, prefix="orders/15", check=True, **environment):
        env = self.bucket.environment(prefix) | environment
        command = [HERE / "wal-g-stand-in", *arguments]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=check)

    def pushed(self, content=b"x" * 4096, name=SEGMENT + "01", **environment):
        path = Path(self.folder.name, name)
        path.write_bytes(content)
        return self.wal_g("wal-push", str(path), **environment)

    def test_says_that_it_is_a_stand_in(self):
        self.assertIn("stand-in", self.wal_g("--version").stdout)

    def test_wal_goes_there_and_comes_back(self):
        done = self.pushed(b"\x00\xd1" * 5000)
        self.assertRegex(done.stderr, r"^INFO: \d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6} FILE PATH: 0{7}10{14}01\.lz4\n$")
        self.assertEqual(self.bucket.keys(), [f"orders/15/wal_005/{SEGMENT}01.lz4"])
        self.assertEqual(self.bucket.read(self.bucket.keys()[0])[:4], b"\x04\x22\x4d\x18")  # an lz4 frame
        target = Path(self.folder.name, "fetched")
        self.wal_g("wal-fetch", SEGMENT + "01", str(target))
        self.assertEqual(target.read_bytes(), b"\x00\xd1" * 5000)

    def test_missing_wal_is_exit_74_and_leaves_no_file(self):
        done = self.wal_g("wal-fetch", "00000002.history", f"{self.folder.name}/none", check=False)
        self.assertEqual(done.returncode, 74)
        self.assertIn("Archive '00000002.history' does not exist.", done.stderr)
        self.assertFalse(os.path.exists(f"{self.folder.name}/none"))

    def test_refused_credentials_are_not_a_missing_file(self):
        self.pushed()
        access = self.bucket.access_key("reader", ["s3:GetObject", "s3:ListBucket"])
        with self.bucket.checking_signatures():
            self.wal_g("wal-fetch", SEGMENT + "01", f"{self.folder.name}/signed", **access)
            wrong = self.wal_g("wal-fetch", SEGMENT + "01", f"{self.folder.name}/refused", check=False,
                               **(access | {"AWS_SECRET_ACCESS_KEY": "wrong"}))
            denied = self.wal_g("wal-push", f"{self.folder.name}/{SEGMENT}01", check=False, **access)
        self.assertEqual((wrong.returncode, "SignatureDoesNotMatch" in wrong.stderr), (1, True), wrong.stderr)
        self.assertEqual((denied.returncode, "AccessDenied" in denied.stderr), (1, True), denied.stderr)

    def test_prefix_may_be_a_whole_bucket_or_end_with_slashes(self):
        self.pushed(WALG_S3_PREFIX=f"s3://{self.bucket.name}")
        self.pushed(WALG_S3_PREFIX=f"s3://{self.bucket.name}/a/b//")
        self.assertEqual(self.bucket.keys(), [f"a/b/wal_005/{SEGMENT}01.lz4", f"wal_005/{SEGMENT}01.lz4"])

    def test_empty_archive(self):
        done = self.wal_g("backup-list", "--json", "--detail")
        self.assertEqual((done.stdout, "No backups found" in done.stderr), ("", True))
        done = self.wal_g("backup-fetch", f"{self.folder.name}/never", "LATEST", check=False)
        self.assertEqual((done.returncode, "No backups found" in done.stderr), (1, True))

    def test_reads_what_the_fixtures_say(self):
        """The listing fixture as objects: only keys with a sentinel are backups, LATEST goes by LastModified."""
        keys = re.findall(r"<Key>orders/15/(.*?)</Key>", (FIXTURES / "list-basebackups.xml").read_text())
        older = "base_000000010000000000000006"
        for key in sorted(keys, key=lambda key: "0000000002_backup" in key):
            self.bucket.write("orders/15/" + key, (FIXTURES / "sentinel-v2.json").read_bytes())
            self.bucket.tick()
        folder = "orders/15/basebackups_005"
        self.bucket.write(f"{folder}/base_00000001000000000000000D/tar_partitions/part_001.tar.lz4", b"unfinished")
        self.bucket.write(f"{folder}/{older}/metadata.json", (FIXTURES / "metadata.json").read_bytes())
        listed = json.loads(self.wal_g("backup-list", "--json").stdout)
        self.assertEqual(len(listed), 4)
        self.assertEqual(listed[-1]["backup_name"], "base_000000010000000000000002")
        self.assertEqual(shape(listed[0]), shape(fixture("backup-list.json")[0]))
        detail = {one["backup_name"]: one for one in json.loads(self.wal_g("backup-list", "--json", "--detail").stdout)}
        expected = fixture("backup-list-detail.json")[0]
        self.assertEqual(detail[older] | {"time": expected["time"]}, expected)

    def test_backup_of_a_real_server(self):
        with Cluster(f"{self.folder.name}/source", self.bucket.environment("orders/15")) as source:
            source.sql("create table t as select generate_series(1, 1000) i")
            with self.bucket.recording(written := []):
                done = self.wal_g("backup-push", "--full", source.data, PGHOST=source.folder, PGPORT=str(source.port),
                                  PGUSER="postgres", WALG_SENTINEL_USER_DATA=json.dumps({"backup_id": "one"}))
            identifier = int(source.sql("select system_identifier from pg_control_system()"))
        name = re.search(r"Wrote backup with name (base_[0-9A-F]{24})\n", done.stderr)[1]
        folder = f"orders/15/basebackups_005/{name}"
        sentinel = json.loads(self.bucket.read(folder + "_backup_stop_sentinel.json"))
        metadata = json.loads(self.bucket.read(folder + "/metadata.json"))
        self.assertEqual(shape(sentinel), shape(fixture("sentinel-v2.json")))
        self.assertEqual(shape(metadata), shape(fixture("metadata.json")))
        self.assertEqual((sentinel["SystemIdentifier"], metadata["system_identifier"]), (identifier, identifier))
        self.assertGreater(identifier, 1 << 53)
        self.assertEqual(sentinel["LSN"] >> 24, int(name[-8:], 16))  # the segment in the name is that of the start
        self.assertGreater(sentinel["FinishLSN"], sentinel["LSN"])
        self.assertEqual(sentinel["UserData"], {"backup_id": "one"})
        detail = json.loads(self.wal_g("backup-list", "--json", "--detail").stdout)
        self.assertEqual(shape(detail[0]), shape(fixture("backup-list-detail.json")[0]))
        self.check_order_of_writes([key for key in written if key.startswith(folder)])
        self.check_fetch(name)

    def check_order_of_writes(self, written):
        self.assertTrue(written[-1].endswith("_backup_stop_sentinel.json"), written)
        tars = [key for key in written if "/tar_partitions/" in key]
        self.assertTrue(tars[-1].endswith("/pg_control.tar.lz4") and tars[0].endswith("/part_001.tar.lz4"), tars)

    def check_fetch(self, name):
        target = f"{self.folder.name}/restored"
        done = self.wal_g("backup-fetch", target, "LATEST")
        self.assertIn(f"LATEST backup is: '{name}'", done.stderr)
        self.assertIn("Finished extraction of part_001.tar.lz4", done.stderr)
        self.assertTrue(done.stderr.endswith("\nBackup extraction complete.\n"), done.stderr)
        self.assertIn("START WAL LOCATION", Path(target, "backup_label").read_text())
        self.assertEqual(os.listdir(f"{target}/pg_wal"), [])
        self.assertFalse(os.path.exists(f"{target}/postmaster.pid"))
        again = self.wal_g("backup-fetch", target, name, check=False)
        self.assertIn("must be empty", again.stderr)


if __name__ == "__main__":
    unittest.main()
