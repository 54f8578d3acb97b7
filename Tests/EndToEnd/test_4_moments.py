# SPDX-License-Identifier: Apache-2.0
"""To a moment: what comes back is exactly what was there, by each way, and it is known beforehand what can be reached."""
import calendar
import functools
import json
import re
import threading
import time
import unittest

import manifests as make
from cluster import sql, wait
from manifests import IMAGE, SPACE
from world import CHECKSUM, condition, world

LATE, EARLY, OTHER, END, SLOW, IDLE = "orders-late", "orders-early", "orders-other-late", "orders-backup-end", "orders-slow", "orders-idle"


def setUpModule():
    ask()


@functools.cache
def ask():
    """Makes all of the requests at once."""
    it = world()
    first = next(key for key, _, _ in it.before if key.endswith("_sentinel.json"))
    it.oldest = re.search(r"base_[0-9A-F]{24}", first)[0]
    it.api.create(
        make.managed("orders-db"),
        make.clone(LATE, target=make.at(it.late["time"])),
        make.clone(EARLY, target=make.at(it.early["time"])),
        make.clone(OTHER, target=make.at(it.late["time"]), image=IMAGE + "-other-backup"),
        # The stand-in for WAL-G takes its time here, part by part.
        make.core("ConfigMap", "slower", SPACE, data={"WALG_STAND_IN_DELAY": "2"}),
        make.clone(SLOW, configMapRef={"name": "slower"}),
        make.run(IDLE, target=make.at(it.idle["time"])),
        make.run(END, place=make.location(f"prod/orders/15/basebackups_005/{it.oldest}")))
    it.progress = Progress(it, SLOW)
    for name, target in ((LATE, it.late), (EARLY, it.early)):
        it.api.create(make.plan(make.run(name + "-plan", target=make.at(target["time"]))))


class Progress(threading.Thread):
    """Every progress that a clone's run has shown, in order."""

    def __init__(self, it, clone):
        super().__init__(daemon=True)
        self.it, self.clone, self.seen, self.over = it, clone, [], False
        self.start()

    def run(self):
        while not self.over:
            for run in self.it.runs_of(self.clone):
                progress = run.get("status", {}).get("progress")
                if progress and (not self.seen or self.seen[-1] != progress):
                    self.seen.append(progress)
            time.sleep(0.3)

    def stop(self):
        self.over = True
        self.join(30)
        return self.seen


class Moments(unittest.TestCase):
    def setUp(self):
        self.it = world()

    def rows(self, name):
        address = self.it.ready_address(SPACE, f"{name}-0")
        return sql(address, self.it.secret(f"{name}-credentials", "password"), CHECKSUM)

    def ready(self, name):
        found = self.it.clone_settled(name)
        self.assertEqual(condition(found, "Ready")["status"], "True", found["status"])
        return found

    def test_1_a_moment_between_two_batches_gives_exactly_the_first(self):
        found = self.ready(LATE)
        self.assertEqual(found["status"]["plan"]["path"], "Entrypoint")
        self.assertNotEqual(self.it.late["rows"], self.it.rows)
        self.assertEqual(self.rows(LATE), self.it.late["rows"])

    def test_2_a_moment_before_the_newest_base_backup(self):
        found = self.ready(EARLY)
        self.assertEqual(found["status"]["plan"]["path"], "InitContainer")
        self.assertEqual(found["status"]["plan"]["baseBackup"], self.it.oldest)
        self.assertEqual(self.rows(EARLY), self.it.early["rows"])

    def test_3_nothing_of_the_init_container_is_left(self):
        found = self.it.api.get(f"/apis/apps/v1/namespaces/{SPACE}/statefulsets/{EARLY}")
        self.assertFalse(found["spec"]["template"]["spec"].get("initContainers"))
        self.assertNotIn("source-reader", json.dumps(found["spec"]["template"]))

    def test_4_an_image_that_takes_another_backup_is_told_which_one_the_second_time(self):
        self.ready(OTHER)
        runs = sorted(self.it.runs_of(OTHER), key=lambda run: run["metadata"]["name"])
        self.assertEqual([condition(run, "Finished")["reason"] for run in runs], ["OtherBaseBackup", "Completed"])
        self.assertEqual([run["status"]["plan"]["path"] for run in runs], ["Entrypoint", "InitContainer"])
        claims = [run["status"]["restore"]["claimUID"] for run in runs]
        self.assertNotEqual(claims[0], claims[1], "on a fresh volume")
        self.assertEqual(self.rows(OTHER), self.it.late["rows"])

    def test_5_a_backup_that_nobody_recorded_as_it_ended(self):
        run = self.it.ended(END)
        self.assertEqual(run["status"]["state"], "Completed", run["status"])
        self.assertEqual(run["status"]["plan"]["recoveryTarget"], "BackupEnd")
        self.assertEqual(run["status"]["restore"]["sealed"]["recoveredTo"], "reached consistency")
        self.assertTrue(self.rows(END).startswith("20000/"), self.rows(END))

    def test_9_a_moment_with_no_commit_after_it_fails_with_what_postgresql_says(self):
        run = self.it.ended(IDLE)
        warnings = [warning["reason"] for warning in run["status"]["plan"]["warnings"]]
        self.assertIn("TargetNearArchiveHead", warnings)
        finished = condition(run, "Finished")
        self.assertEqual((run["status"]["state"], finished["reason"]), ("Failed", "TargetNotReached"), finished["message"])
        self.assertIn("choose an earlier moment", finished["message"])
        self.assertEqual(self.it.remains(IDLE), set())

    def test_6_progress_is_told(self):
        self.ready(SLOW)
        seen = self.it.progress.stop()
        self.assertTrue(any(0 < one["percent"] < 100 for one in seen), seen)
        self.assertTrue(any(one.get("eta") for one in seen), seen)
        for field in ("percent", "bytesDone"):
            told = [one[field] for one in seen if field in one]
            self.assertEqual(told, sorted(told))
        self.assertGreaterEqual(len({one["bytesDone"] for one in seen if "bytesDone" in one}), 3, seen)
        self.assertEqual((seen[-1]["percent"], seen[-1]["bytesDone"]), (100, seen[-1]["bytesTotal"]))
        # At most one write in five seconds; the last one is the end of the restore.
        moments = [calendar.timegm(time.strptime(one["updatedAt"], "%Y-%m-%dT%H:%M:%SZ")) for one in seen[:-1]]
        self.assertTrue(all(b - a >= 5 for a, b in zip(moments, moments[1:])), seen)

    def test_7_a_preview_is_what_was_done(self):
        for name in (LATE, EARLY):
            plan = wait("the preview", lambda: (lambda o: o if condition(o, "Ready")["status"] == "True" else None)(
                self.it.get("restoreplans", name + "-plan")), 60)
            done = self.it.runs_of(name)[0]["status"]["plan"]
            for field in ("path", "baseBackup", "timeline", "recoveryTarget", "systemIdentifier"):
                self.assertEqual(plan["status"][field], done[field], field)
            self.assertEqual([s["name"] for s in plan["status"]["steps"]], [s["name"] for s in done["steps"]])
            self.assertTrue(plan["status"]["hash"].startswith("v1:"))
        rows = self.it.ledger.rows("select 1 from reprise.restore_runs where name like '%-plan'")
        self.assertEqual(rows, [], "a preview leaves no row")

    def test_8_the_repository_says_what_it_has(self):
        found = self.it.get("backuprepositories", "prod-readonly")
        lines = {line["path"]: line for line in found["status"]["archives"]}
        self.assertEqual(set(lines), {"orders", "gapped", "lost"})
        orders = lines["orders"]
        self.assertEqual((orders["major"], orders["backups"], orders["gaps"]), (15, 2, 0))
        self.assertLess(orders["earliest"], self.it.early["time"])
        self.assertLess(self.it.early["time"], orders["latestCertain"])
        self.assertLess(self.it.late["time"], orders["latestEstimated"])
        self.assertLess(orders["latestEstimated"], self.it.after)
        self.assertEqual(lines["gapped"]["gaps"], 1)
        service = wait("the service's window", lambda: (lambda o: o if condition(o, "Ready")["status"] == "True" else None)(
            self.it.get("managedservices", "orders-db")), 60)
        able = service["status"]["restoreCapabilities"]
        self.assertTrue(able["pitr"] and able["restoreToNewService"])
        self.assertEqual(able["earliestPitrTime"], orders["earliest"])
        self.assertEqual(able["latestPitrTimeEstimated"], orders["latestEstimated"])
        self.assertRegex(service["status"]["suggestedNewServiceName"], r"^orders-db-restore-\d{8}-\d{4}$")


if __name__ == "__main__":
    unittest.main()
