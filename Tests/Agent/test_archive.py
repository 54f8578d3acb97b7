# SPDX-License-Identifier: Apache-2.0
"""`agent scan` of one archive: what the listing of a run says."""
import gzip
import lzma
import re
import subprocess
import unittest

from harness import BEGIN, REPO, Archive, missing, scan
from store import Store, rfc3339

HOUR = 3600


def brotli(text):  # one block that is not compressed, and an empty last one
    return ((len(text) - 1) << 4 | 1 << 20).to_bytes(3, "little") + text + b"\x03"


def zstd(text):  # one raw block
    return b"\x28\xb5\x2f\xfd\x20" + bytes([len(text)]) + (len(text) << 3 | 1).to_bytes(3, "little") + text


def lz4(text):
    return subprocess.run(["lz4", "-c", "-q"], input=text, capture_output=True, check=True).stdout


@unittest.skipIf(missing(), missing())
class ArchiveTests(unittest.TestCase):
    def setUp(self):
        self.store = Store(page=7)  # pages end everywhere
        self.addCleanup(self.store.stop)
        self.archive = Archive(self.store)

    def result(self, *more, path="orders"):
        return scan(self.store.environment, "--bucket", "bkt", "--path", path, "--major", "15", *more)

    def listing(self):
        result = self.result()
        self.assertEqual(result["code"], "OK", result)
        return result["listing"]

    def ranges(self, listing=None):
        return [(one["first"], one["last"]) for one in (listing or self.listing())["ranges"]]

    def name(self, timeline, number):
        return self.archive.segment_name(timeline, number)

    def test_a_plain_archive(self):
        self.archive.segments(1, 250, 290)
        name = self.archive.backup(1, 251, parts=12)
        result = self.result()
        listing = result["listing"]
        self.assertEqual((result["majors"], result["lacksVersion"], result["objects"]), ([15], False, 41 + 15))
        self.assertEqual(listing["objects"], result["objects"])
        self.assertEqual(listing["ranges"], [{
            "first": "0000000100000000000000FA", "last": "000000010000000100000022",
            "firstModified": "2023-11-14T22:55:00Z", "lastModified": "2023-11-14T23:01:40Z"}])
        [backup] = listing["backups"]
        expected = {"name": name, "startLSN": "0/FB000028", "finishLSN": "0/FC000100", "pgVersion": 150015,
                    "systemIdentifier": "7507672962298572862", "isDelta": False, "isPermanent": True, "parts": 12,
                    "partBytes": 100 * 78, "problem": None, "deltaFrom": None}
        self.assertEqual({key: backup.get(key) for key in expected}, expected)
        self.assertEqual((listing["segmentSize"], listing["backupsTotal"]), (16 << 20, 1))
        self.assertIsNone(listing.get("suspicion"))
        self.assertEqual(listing["busiestHour"], {"hour": "2023-11-14T22:00:00Z", "segments": 30})

    def test_what_walg_leaves_beside_segments(self):
        """The keys of the fixture, which hold every kind of file that WAL-G writes."""
        for page in ("list-wal-1.xml", "list-wal-2.xml"):
            text = (REPO / "Tests/Fixtures/walg" / page).read_text()
            for key in re.findall(r"<Key>(.*?)</Key>", text):
                body = (REPO / "Tests/Fixtures/walg/00000002.history").read_bytes() if ".history" in key else b"x"
                self.store.write(key, body)
        listing = self.listing()
        self.assertEqual(self.ranges(listing), [
            ("000000010000000000000001", "000000010000000000000007"),
            ("000000010000000000000009", "00000001000000000000000B"),
            ("00000002000000000000000A", "00000002000000000000000E")])
        self.assertEqual([(one["timeline"], one["parent"]) for one in listing["timelines"]], [(2, 1)])

    def test_gaps_of_two_compressions_and_timelines(self):
        self.archive.segments(1, 1, 5)
        self.store.write(self.archive.wal(1, 3, "br"))
        self.archive.segments(1, 7, 9)
        self.archive.segments(2, 9, 9)
        self.store.write(self.archive.wal(2, 10, ""), b"x")
        self.assertEqual(self.ranges(), [(self.name(1, 1), self.name(1, 5)), (self.name(1, 7), self.name(1, 9)),
                                         (self.name(2, 9), self.name(2, 10))])

    def test_another_segment_size(self):
        self.archive = Archive(self.store, size=64 << 20)
        self.archive.segments(1, 60, 70)
        self.archive.backup(1, 61)
        listing = self.listing()
        self.assertEqual(listing["segmentSize"], 64 << 20)
        self.assertEqual(self.ranges(listing), [(self.name(1, 60), self.name(1, 70))])
        self.assertEqual(self.name(1, 70), "000000010000000100000006")

    def test_backups_that_contradict_each_other_tell_no_size(self):
        Archive(self.store, size=64 << 20).backup(1, 61)
        Archive(self.store).backup(1, 300)
        self.assertIsNone(self.listing().get("segmentSize"))

    def test_still_uploading_and_broken_backups(self):
        self.archive.backup(1, 1, sentinel=False)
        self.archive.backup(1, 2, control=False)
        self.archive.backup(1, 3, parts=0, control=False)
        good = self.archive.backup(1, 4, metadata=False)
        torn = self.archive.backup(1, 5)
        self.store.write(f"{self.archive.prefix}basebackups_005/{torn}_backup_stop_sentinel.json", b"{", BEGIN)
        found = {one["name"][-2:]: one.get("problem") for one in self.listing()["backups"]}
        self.assertEqual(sorted(found), ["02", "03", "04", "05"])
        self.assertIn("pg_control", found["02"])
        self.assertIn("no tar_partitions", found["03"])
        self.assertIsNone(found[good[-2:]])
        self.assertIn("sentinel", found["05"])

    def test_a_sentinel_that_is_too_large_is_the_backups_problem(self):
        huge, good = self.archive.backup(1, 1), self.archive.backup(1, 2)
        key = f"{self.archive.prefix}basebackups_005/{huge}_backup_stop_sentinel.json"
        self.store.write(key, b" " * (9 << 20), BEGIN)
        found = {one["name"]: one.get("problem") for one in self.listing()["backups"]}
        self.assertIn("too large", found[huge])
        self.assertIsNone(found[good])

    def test_delta_chain_is_reported_and_not_judged(self):
        full = self.archive.backup(1, 1)
        self.archive.backup(1, 3, delta=full)
        orphan = self.archive.backup(1, 9, delta="base_000000010000000000000007")
        found = {one["name"]: one for one in self.listing()["backups"]}
        self.assertEqual([one["isDelta"] for one in found.values()], [True, True, False])
        self.assertEqual(found[orphan]["deltaFrom"], "base_000000010000000000000007")
        self.assertEqual({one.get("problem") for one in found.values()}, {None})

    def test_two_instances_and_the_sentinel_that_was_written_last(self):
        self.archive.backup(1, 1, written=BEGIN + 9 * HOUR, system=1)
        self.archive.backup(1, 2, system=2)
        found = [(one["name"][-1], one["systemIdentifier"]) for one in self.listing()["backups"]]
        self.assertEqual(found, [("1", "1"), ("2", "2")])

    def test_a_copied_bucket_is_suspicious(self):
        self.archive.segments(1, 1, 9)
        name = self.archive.backup(1, 4, segments=2)
        self.assertIsNone(self.listing().get("suspicion"))
        finish = BEGIN + 6 * 10 + 5
        self.archive.segments(1, 1, 9, written=finish + HOUR)  # an upload may be late
        self.assertIsNone(self.listing().get("suspicion"))
        self.archive.segments(1, 6, 6, written=finish + HOUR + 1)
        self.assertEqual(self.listing()["suspicion"], {
            "segment": self.name(1, 6), "modified": rfc3339(finish + HOUR + 1).replace(".000", ""), "backup": name})

    def test_histories_of_all_compressions(self):
        self.archive.history(2, [(1, 5)])
        self.archive.history(3, [(1, 5), (2, 6)], extension=".lz4", encode=lz4)
        self.archive.history(4, [(1, 5)], extension=".gz", encode=gzip.compress)
        self.archive.history(5, [(4, 7)], extension=".lzma", encode=lambda text: lzma.compress(text, lzma.FORMAT_ALONE))
        self.archive.history(6, [(1, 5)], extension=".zst", encode=zstd)
        self.archive.history(0x1F, [(1, 5)], extension=".br", encode=brotli)
        found = self.listing()["timelines"]
        self.assertEqual([(one["timeline"], one.get("parent"), one.get("switchLSN")) for one in found],
                         [(2, 1, "0/5000000"), (3, 2, "0/6000000"), (4, 1, "0/5000000"), (5, 4, "0/7000000"),
                          (6, 1, "0/5000000"), (31, 1, "0/5000000")])
        self.assertEqual({one["lastModified"] for one in found}, {"2023-11-14T22:13:20Z"})
        self.assertEqual({one.get("problem") for one in found}, {None})

    def test_histories_that_cannot_be_read(self):
        good = lz4(b"1\t0/5000000\tx\n")
        bodies = [("", bytes(range(200))), (".lz4", bytes(range(200))), (".lz4", good[:-9]),
                  (".gz", gzip.compress(b"x\n")[:-3]), (".lzma", b"x" * 40), (".zst", zstd(b"1\t")[:-1]),
                  (".br", brotli(b"1\t0/5\tx\n")[:-4]), ("", b""),
                  (".lz4", lz4(b"\0" * (300 << 10))), ("", b"1\tnowhere/at all\tx\n"), (".gz", b"x" * (300 << 10))]
        for number, (extension, body) in enumerate(bodies, 2):
            self.archive.history(number, [], extension=extension, encode=lambda _, body=body: body)
        found = self.listing()["timelines"]
        self.assertEqual(len(found), len(bodies))
        self.assertEqual({(one.get("parent"), one.get("problem")) for one in found}, {(None, "EncryptedOrCorrupt")})

    def test_an_archive_without_a_major_version(self):
        self.store.write("orders/wal_005/000000010000000000000001.lz4")
        self.archive.segments(1, 1, 1)
        self.assertEqual((self.result()["lacksVersion"], self.result()["majors"]), (True, [15]))

    def test_a_fingerprint_tells_whether_something_changed(self):
        self.archive.segments(1, 1, 20)
        first = self.result()["fingerprint"]
        self.assertEqual(first["keys"], 20)
        compare = ("--compare-digest", first["digest"], "--compare-keys", str(first["keys"]),
                   "--compare-at", first["at"])
        self.archive.history(2, [(1, 5)], written=4_000_000_000)
        self.assertEqual(self.result(*compare)["comparison"], {
            "unchanged": True, "keys": 20, "newHistories": [f"{self.archive.prefix}wal_005/00000002.history"]})
        self.store.delete(self.archive.wal(1, 3))
        self.assertFalse(self.result(*compare)["comparison"]["unchanged"])

    def test_emptiness(self):
        empty = scan(self.store.environment, "--bucket", "bkt", "--path", "orders", "--expect-empty")
        self.assertEqual((empty["objects"], empty.get("listing")), (0, None))
        self.archive.segments(1, 1, 9)
        full = scan(self.store.environment, "--bucket", "bkt", "--path", "orders", "--expect-empty")
        self.assertEqual((full["objects"], len(full["sampleKeys"])), (5, 5))

    def test_keys_of_any_kind(self):
        path = "te äm/+&%/日本/a=b;c"
        Archive(self.store, path=path).segments(1, 1, 9)
        Archive(self.store, path=path).backup(1, 2)
        self.store.write(f"{path}/15/wal_005/odd \x01\n<&>\"'+ key", b"x")
        result = self.result(path=path)
        self.assertEqual((result["code"], result["objects"], len(result["listing"]["backups"])), ("OK", 15, 1))

    def test_a_command_line_that_makes_no_sense(self):
        for more in (["--known", "/x"], ["--major", "fifteen"], ["--compare-keys", "1"], ["--major"]):
            result = scan(self.store.environment, "--bucket", "bkt", "--path", "p", *more)
            self.assertEqual(result["code"], "ScanFailed", more)


if __name__ == "__main__":
    unittest.main()
