# SPDX-License-Identifier: Apache-2.0
"""`agent scan --repository`: which archives are found, and that a scan of what is new comes to what a full one does."""
import json
import random
import tempfile
import unittest
from pathlib import Path

from harness import BEGIN, Archive, missing, scan
from store import Store


class RepositoryCase(unittest.TestCase):
    page = 1000

    def setUp(self):
        self.store = Store(page=self.page)
        self.addCleanup(self.store.stop)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.known = Path(folder.name)

    def scan(self, *more, known=False):
        self.store.requests.clear()
        folder = ["--known", str(self.known)] if known else []
        result = scan(self.store.environment, "--repository", "--bucket", "bkt", *more, *folder)
        self.assertEqual(result["code"], "OK", result)
        return result

    def keep(self, result):
        for one in result["archives"]:
            if "listing" in one:
                name = f"{one['path'].replace('/', '-')}-{one['major']}.json"
                (self.known / name).write_text(json.dumps(one["listing"]))


@unittest.skipIf(missing(), missing())
class DiscoveryTests(RepositoryCase):
    page = 3

    def test_archives_at_any_depth(self):
        for path, major in [("orders", 15), ("orders", 9), ("team/a/billing", 14), ("a/b/c/d/e", 16),
                            ("a/b/c/d/e/f", 16)]:
            Archive(self.store, path, major).segments(1, 1, 3)
        Archive(self.store, "only-backup", 15).backup(1, 1)
        for key in ("stray", "logs/x/y.txt", "orders/15/other/1", "orders/notes/15/readme", "legacy/basebackups_005/x",
                    "legacy/wal_005/000000010000000000000001.lz4", "15/wal_005/000000010000000000000001.lz4",
                    "odd/015/wal_005/x", "odd/1.5/wal_005/x"):
            self.store.write(key)
        result = self.scan()
        self.assertEqual([(one["path"], one["major"]) for one in result["archives"]], [
            ("a/b/c/d/e", 16), ("only-backup", 15), ("orders", 9), ("orders", 15), ("team/a/billing", 14)])
        self.assertEqual(result["unversioned"], ["15", "legacy", "odd/015", "odd/1.5"])
        self.assertIn("levels deep", result["message"])
        self.assertTrue(result["isFull"])
        for one in result["archives"]:
            self.assertEqual((one["listing"]["path"], one["listing"]["major"]), (one["path"], one["major"]))

    def test_below_a_prefix_only(self):
        for path in ("db/orders", "db/x/billing", "dbother/orders"):
            Archive(self.store, path).segments(1, 1, 1)
        for prefix in ("db", "/db/"):
            found = [one["path"] for one in self.scan("--prefix", prefix)["archives"]]
            self.assertEqual(found, ["db/orders", "db/x/billing"])
        self.assertEqual(self.scan("--prefix", "nothing")["archives"], [])

    def test_no_more_archives_than_wanted(self):
        for number in range(5):
            Archive(self.store, f"p{number}").segments(1, 1, 1)
        result = self.scan("--max-archives", "2")
        self.assertEqual(([one["path"] for one in result["archives"]], result["archivesTotal"]), (["p0", "p1"], 5))

    def test_one_archives_failure_is_its_own(self):
        for path in ("a", "b", "c"):
            Archive(self.store, path).segments(1, 1, 9)
        self.store.denied["b/15/wal_005/"] = (403, "AccessDenied")
        found = self.scan()["archives"]
        self.assertEqual(["listing" in one for one in found], [True, False, True])
        self.assertTrue(found[1]["problem"].startswith("AccessDenied: "), found[1])

    def test_the_buckets_failure_is_the_scans(self):
        self.store.denied[""] = (404, "NoSuchBucket")
        result = scan(self.store.environment, "--repository", "--bucket", "bkt")
        self.assertEqual((result["code"], result["archives"]), ("BucketNotFound", []))

    def test_folders_without_end(self):
        for number in range(2_100):
            self.store.objects[f"f{number:04}/x/y"] = (b"", BEGIN)
        self.store.page = 1_000
        Archive(self.store, "a").segments(1, 1, 1)
        result = self.scan()
        self.assertEqual([one["path"] for one in result["archives"]], [])
        self.assertIn("not all were looked into", result["message"])
        self.assertLessEqual(len(self.store.requests), 2_010)


@unittest.skipIf(missing(), missing())
class RoomTests(RepositoryCase):
    def test_a_result_that_would_be_too_large(self):
        """Every other segment is missing: the largest listing there can be. Six of them are more than a frame holds."""
        for path in "abcdefgh":
            archive = Archive(self.store, path)
            for number in range(1, 8_200, 2):
                archive.segments(1, number, number)
        result = self.scan()
        self.assertEqual(len(result["archives"]), 8)
        ranges = [len(one["listing"]["ranges"]) if "listing" in one else one["problem"] for one in result["archives"]]
        self.assertEqual(set(ranges), {4_000, "ResultTooLarge"})
        newest = result["archives"][0]["listing"]["ranges"][-1]["last"]
        self.assertEqual(newest, Archive(self.store).segment_name(1, 8_199))
        self.keep(result)
        again = {one["path"]: one for one in self.scan(known=True)["archives"]}
        left = [path for one, path in zip(ranges, "abcdefgh") if one == "ResultTooLarge"]
        self.assertEqual([path for path in "abcdefgh" if "listing" in again[path]], left)


@unittest.skipIf(missing(), missing())
class IncrementalTests(RepositoryCase):
    page = 25

    def setUp(self):
        super().setUp()
        self.archive = Archive(self.store)
        self.archive.segments(1, 10, 400, every=1)
        self.archive.history(2, [(1, 401)])
        self.archive.segments(2, 401, 600, every=1)
        for number in (20, 150, 420):
            self.archive.backup(1 if number < 400 else 2, number, finish=BEGIN + number + 1)
        self.keep(self.scan())

    def both(self, hours=True, anew=False):
        """What a scan of what is new says, after it was held against a full one. `None`: nothing is new.

        Without `hours`: what retention deletes from the busiest hour is only seen by a full one. `anew`: the scan has a
        reason to list everything by itself."""
        partial = self.scan(known=True)
        self.requests = list(self.store.requests)
        self.assertEqual(partial["isFull"], anew)
        full = self.scan("--full", known=True)
        self.assertTrue(full["isFull"])
        found = []
        for result in (partial, full):
            [one] = result["archives"]
            self.assertNotIn("problem", one)
            listing = one.get("listing")
            if listing:
                left_out = ("seenAt", "objects") if hours else ("seenAt", "objects", "busiestHour")
                listing = {key: value for key, value in listing.items() if key not in left_out}
            found.append(listing)
        self.assertEqual(found[0], found[1])
        self.keep(partial)
        return found[0]

    def listed(self):
        return [query for _, query in self.requests if "list-type" in query]

    def read(self):
        return [key.rpartition("/")[2] for key, query in self.requests if "list-type" not in query]

    def test_nothing_new(self):
        self.store.page = 50
        self.assertIsNone(self.both())
        self.assertEqual(self.read(), [])
        self.assertLessEqual(len(self.listed()), 8)

    def test_new_segments(self):
        self.archive.segments(2, 601, 607, every=1)
        listing = self.both()
        self.assertEqual(listing["ranges"][-1]["last"], self.archive.segment_name(2, 607))
        self.assertIsNone(self.both())

    def test_uploads_that_come_late_and_out_of_order(self):
        self.archive.segments(2, 603, 620, every=1)
        self.assertEqual(len(self.both()["ranges"]), 3)
        self.archive.segments(2, 602, 602, every=1)
        self.archive.segments(2, 625, 640, every=1)
        self.both()
        self.archive.segments(2, 601, 601, every=1)
        self.archive.segments(2, 621, 624, every=1)
        self.assertEqual(len(self.both()["ranges"]), 2)

    def test_segments_near_the_end_that_are_lost_or_written_again(self):
        self.store.delete(self.archive.wal(2, 590))
        self.archive.segments(2, 600, 600, written=BEGIN + 640)
        listing = self.both(hours=False)
        self.assertEqual([one["last"] for one in listing["ranges"]][1:],
                         [self.archive.segment_name(2, 589), self.archive.segment_name(2, 600)])
        self.assertEqual(listing["ranges"][-1]["lastModified"], "2023-11-14T22:24:00Z")

    def test_retention_deleted_from_the_beginning(self):
        for number in range(10, 150):
            self.store.delete(self.archive.wal(1, number))
        for key in [key for key in self.store.objects if "base_000000010000000000000014" in key]:
            self.store.delete(key)
        listing = self.both(anew=True)
        self.assertEqual(listing["ranges"][0]["first"], self.archive.segment_name(1, 150))
        self.assertEqual(len(listing["backups"]), 2)
        self.assertEqual(self.read(), ["00000002.history"])

    def test_retention_left_a_permanent_backup_and_a_hole_after_it(self):
        for number in range(23, 300):
            self.store.delete(self.archive.wal(1, number))
        for key in [key for key in self.store.objects if "base_000000010000000000000096" in key]:
            self.store.delete(key)
        listing = self.both(anew=True)
        self.assertEqual([one["last"] for one in listing["ranges"]][:1], [self.archive.segment_name(1, 22)])
        self.assertEqual(listing["ranges"][1]["first"], self.archive.segment_name(1, 300))

    def test_retention_deleted_a_whole_timeline_and_its_history(self):
        for number in range(10, 401):
            self.store.delete(self.archive.wal(1, number))
        self.store.delete(f"{self.archive.prefix}wal_005/00000002.history")
        listing = self.both(hours=False)
        self.assertEqual((len(listing["ranges"]), listing["timelines"]), (1, []))

    def test_retention_deleted_nearly_everything(self):
        for number in range(10, 390):
            self.store.delete(self.archive.wal(1, number))
        for number in range(401, 580):
            self.store.delete(self.archive.wal(2, number))
        self.assertEqual([one["first"] for one in self.both(hours=False)["ranges"]],
                         [self.archive.segment_name(1, 390), self.archive.segment_name(2, 580)])

    def test_a_new_timeline(self):
        self.archive.history(3, [(1, 401), (2, 590)], written=BEGIN + 700)
        self.archive.segments(3, 590, 640, every=1)
        listing = self.both()
        self.assertEqual([(one["timeline"], one["parent"]) for one in listing["timelines"]], [(2, 1), (3, 2)])
        self.assertEqual(self.read(), ["00000003.history"])

    def test_a_new_timeline_below_a_known_one(self):
        self.archive.segments(4, 590, 640, every=1)
        self.both()
        self.archive.history(3, [(2, 595)], written=BEGIN + 900)
        self.archive.segments(3, 595, 640, every=1)
        self.assertEqual(len(self.both()["ranges"]), 4)

    def test_a_history_that_was_written_again(self):
        self.archive.history(2, [(1, 399)], written=BEGIN + 900)
        self.assertEqual(self.both()["timelines"][0]["switchLSN"], "1/8F000000")

    def test_a_new_backup_and_one_that_was_marked_latest(self):
        name = self.archive.backup(2, 590, finish=BEGIN + 591)
        old = self.archive.backup(1, 20, finish=BEGIN + 21, written=BEGIN + 9_999)
        self.assertEqual([one["name"] for one in self.both()["backups"]][:2], [old, name])
        self.assertEqual(len(self.read()), 4)

    def test_a_backup_whose_parts_came_late(self):
        name = self.archive.backup(2, 590, finish=BEGIN + 591, control=False)
        self.assertIn("problem", self.both()["backups"][0])
        self.store.write(f"{self.archive.prefix}basebackups_005/{name}/tar_partitions/pg_control.tar.lz4")
        self.assertNotIn("problem", self.both()["backups"][0])

    def test_a_copied_segment_is_still_suspicious(self):
        self.archive.segments(1, 150, 151, written=BEGIN + 9_000)
        found = self.scan()
        self.keep(found)
        self.assertEqual(found["archives"][0]["listing"]["suspicion"]["segment"], self.archive.segment_name(1, 150))
        self.assertIsNone(self.both())

    def test_an_hour_that_goes_on(self):
        listing = self.both() or self.scan()["archives"][0]["listing"]
        self.assertEqual(listing["busiestHour"]["segments"], 591)
        self.archive.segments(2, 601, 650, every=1)
        self.assertEqual(self.both()["busiestHour"]["segments"], 641)

    def test_what_is_known_may_be_anything(self):
        [file] = self.known.iterdir()
        good = json.loads(file.read_text())
        wrong = [{"v": 2}, {"segmentSize": 1 << 20}, {"ranges": [{**good["ranges"][0], "first": "no segment"}]},
                 {"ranges": good["ranges"][:1] * 2}, {"major": 14}, {"path": "other"}]
        texts = ["", "{", "[]", "{}", *(json.dumps(good | one) for one in wrong), " " * (3 << 20)]
        def lasting(listing):
            return {key: value for key, value in listing.items() if key not in ("seenAt", "objects")}
        for text in texts:
            file.write_text(text)
            result = self.scan(known=True)
            self.assertTrue(result["isFull"], text[:50])
            self.assertEqual(lasting(result["archives"][0]["listing"]), lasting(good), text[:50])
        file.unlink()
        self.assertTrue(self.scan("--known", "/nowhere")["isFull"])
        self.assertTrue(self.scan(known=True)["isFull"])

    def test_a_walk_of_many_changes(self):
        """Whatever is written at the end and deleted from the beginning, in any mixture."""
        random.seed(7)
        heads, first = {1: 400, 2: 600}, {1: 10, 2: 401}
        for _ in range(25):
            for _ in range(random.randrange(1, 4)):
                timeline = random.choice(sorted(heads))
                match random.randrange(4):
                    case 0 | 1:
                        new = heads[timeline] + random.randrange(1, 60)
                        holes = set(random.sample(range(heads[timeline] + 1, new + 1), random.randrange(0, 2)))
                        for number in range(heads[timeline] + 1, new + 1):
                            if number not in holes:
                                self.archive.segments(timeline, number, number, every=1)
                        heads[timeline] = new if new not in holes else new - 1
                    case 2:
                        cut = min(first[timeline] + random.randrange(1, 90), heads[timeline] + 1)
                        for number in range(first[timeline], cut):
                            self.store.objects.pop(self.archive.wal(timeline, number), None)
                        first[timeline] = cut
                    case 3:
                        fresh = max(heads) + 1
                        heads[fresh], first[fresh] = heads[timeline], heads[timeline] + 1
                        self.archive.history(fresh, [(timeline, heads[timeline])], written=BEGIN + heads[timeline])
                        self.archive.backup(timeline, heads[timeline] - 1, finish=BEGIN + heads[timeline])
            self.compare_without_hours()

    def compare_without_hours(self):
        """Retention takes segments out of the busiest hour, which only a full listing counts again."""
        partial = self.scan(known=True)["archives"][0]
        full = self.scan("--full")["archives"][0]["listing"]
        kept = json.loads(next(self.known.iterdir()).read_text())
        listing = partial.get("listing", kept)
        for one in (listing, full):
            for key in ("seenAt", "objects", "busiestHour"):
                one.pop(key, None)
        self.assertEqual(listing, full)
        if "listing" in partial:
            listing |= {"seenAt": "2026-01-01T00:00:00Z", "objects": 1}
            (self.known / "orders-15.json").write_text(json.dumps(listing))


if __name__ == "__main__":
    unittest.main()
