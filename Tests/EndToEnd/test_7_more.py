# SPDX-License-Identifier: Apache-2.0
"""A base backup that retention deletes under those who restore it; another service's data in a service's place; and a new
service that is made like another one."""
import functools
import re
import time
import unittest

import manifests as make
import test_5_in_place
from cluster import OURS, Store, kubectl, sql, wait
from manifests import SPACE
from world import CHECKSUM, condition, world

LIKE, WITHOUT = "orders-like-accounts", "orders-without-database"
EXPIRING, PLACE = "orders-expiring", "prod/deep/expiring/"


def setUpModule():
    expiring()
    like()


@functools.cache
def like():
    """The source's data in services like the accounts', which have a command line and variables; and a preview."""
    it, template = world(), test_5_in_place.service()
    it.api.create(make.like(test_5_in_place.NAME, make.clone(LIKE, database="shop")))
    it.api.create(make.like(test_5_in_place.NAME, make.run(WITHOUT, database="nowhere", archive={"mode": "Disabled"})))
    it.api.create(make.plan(make.like(test_5_in_place.NAME, make.run(LIKE + "-plan", database="shop"))))
    return template


@functools.cache
def expiring():
    return Expiring(world())


class Expiring:
    """The source's archive once more, in a place where retention is at work; a clone of it that fetches slowly."""

    def __init__(self, it):
        self.it, self.store = it, Store("source-writer")
        self.copy()
        names = sorted({re.search(r"base_[0-9A-F]{24}", key)[0] for key, _, _ in it.before if "basebackups_005" in key})
        self.oldest, self.newest = names[0], names[-1]
        repository = make.repository("expiring", "prod/deep", "source-reader")
        repository["spec"] |= {"discovery": {"createBackups": "Newest"}, "scan": {"interval": "10s"}}
        clone = make.clone(EXPIRING, target={"kind": "BackupEnd"}, archive={"mode": "Disabled"}, configMapRef={"name": "much-slower"})
        clone["spec"]["source"] = make.archive("expiring", "expiring")
        it.api.create(
            repository, make.core("ConfigMap", "much-slower", SPACE, data={"WALG_STAND_IN_DELAY": "3"}), clone)

    def copy(self):
        """By the sentinels' times WAL-G knows which backup is the latest."""
        for key, _, _ in sorted(self.it.before, key=lambda one: one[0].endswith("_sentinel.json")):
            self.store.copy(key, key.replace("prod/orders/", PLACE))
            time.sleep(1.1 if key.endswith("_sentinel.json") else 0)

    def expire(self, backup):
        for key, _, _ in self.store.listing(PLACE):
            if f"/{backup}" in key:
                self.store.delete(key)

    def backup(self, name):
        """The object of a base backup."""
        def look():
            found = self.it.api.list(f"{OURS}/namespaces/{SPACE}/servicebackups")
            return next((item["metadata"]["name"] for item in found if item["spec"]["discovered"]["name"] == name
                         and item["spec"]["discovered"]["repository"]["name"] == "expiring"), None)
        return wait(f"the ServiceBackup of {name}", look)

    def is_scanned(self):
        """As its spec is now."""
        found = self.it.get("backuprepositories", "expiring")
        return found["status"].get("lastScan", {}).get("generation") == found["metadata"]["generation"]

    def waits(self, name):
        """A run in place that takes a base backup from here, planned and waiting for somebody to agree."""
        service = test_5_in_place.service()
        service.run(name, source=make.archive("expiring", "expiring"), confirmCrossService=True)
        return service.waits_for_approval(name)


class Expiry(unittest.TestCase):
    def setUp(self):
        self.it, self.archive = world(), expiring()

    def test_1_under_a_fetch_a_clone_takes_the_next_one(self):
        def fetches():
            runs = self.it.runs_of(EXPIRING)
            pod = self.it.api.get(f"/api/v1/namespaces/{SPACE}/pods/{EXPIRING}-0")
            states = [one.get("state", {}) for one in (pod or {}).get("status", {}).get("initContainerStatuses", [])]
            return runs and any("running" in one for one in states) and runs[0]
        run = wait("the clone to fetch", fetches, 90, every=0.1)
        self.assertEqual(run["status"]["plan"]["baseBackup"], self.archive.newest)
        self.archive.backup(self.archive.newest)  # it is there, and says Ready
        self.archive.expire(self.archive.newest)
        found = self.it.clone_settled(EXPIRING)
        self.assertEqual(condition(found, "Ready")["status"], "True", found["status"])
        reasons = {condition(run, "Finished")["reason"]: run["status"]["plan"]["baseBackup"] for run in self.it.runs_of(EXPIRING)}
        self.assertEqual(reasons, {"SourceExpired": self.archive.newest, "Completed": self.archive.oldest})

    def test_2_in_a_plan_it_is_said_and_nothing_is_made(self):
        name = self.archive.backup(self.archive.newest)
        self.it.api.create(make.run("orders-expired", place={"backup": {"name": name}}, archive={"mode": "Disabled"}))
        run = self.it.ended("orders-expired")
        self.assertEqual((run["status"]["state"], condition(run, "Finished")["reason"]), ("Failed", "SourceExpired"), run["status"])
        self.assertIn(self.archive.newest, condition(run, "Finished")["message"])
        self.assertEqual(self.it.remains("orders-expired"), set())

    def test_3_before_the_stop_a_run_in_place_that_waited_leaves_the_service_running(self):
        """A scan sees it before somebody agrees."""
        service, name = test_5_in_place.service(), self.archive.backup(self.archive.oldest)
        wanted, pod = service.rows(), service.pod()
        run = self.archive.waits("expires-early")
        self.assertEqual(run["status"]["plan"]["baseBackup"], self.archive.oldest)
        self.archive.expire(self.archive.oldest)
        wait("the repository to see it", lambda: condition(self.it.get("servicebackups", name), "Ready")["reason"] == "SourceExpired")
        service.approve("expires-early")
        run = self.it.ended("expires-early")
        self.assertEqual((run["status"]["state"], condition(run, "Finished")["reason"]), ("Failed", "SourceExpired"), run["status"])
        self.assertEqual(condition(run, "RolledBack")["reason"], "", run["status"])
        self.assertEqual((service.pod(), service.rows(), service.lock()), (pod, wanted, None))

    def test_4_after_the_stop_the_old_data_is_served_again(self):
        """Nobody looks again before it is fetched."""
        service = test_5_in_place.service()
        wanted, pod = service.rows(), service.pod()
        self.archive.copy()
        kubectl("-n", SPACE, "patch", "backuprepository", "expiring", "--type=merge", "-p", '{"spec":{"scan":{"interval":"24h"}}}')
        wait("the last scan for a day", self.archive.is_scanned)
        run = self.archive.waits("expires")
        self.archive.expire(run["status"]["plan"]["baseBackup"])
        service.approve("expires")
        run = self.it.ended("expires")
        service.serves()
        self.assertEqual((run["status"]["state"], condition(run, "Finished")["reason"]), ("Failed", "SourceExpired"), run["status"])
        self.assertEqual(condition(run, "RolledBack")["reason"], "PutBack", run["status"])
        self.assertNotEqual(service.pod(), pod)
        self.assertEqual((service.rows(), service.lock()), (wanted, None))


class OtherService(unittest.TestCase):
    """Another service's data in the place of this one's, and back."""

    def test_only_who_confirms_it_gets_it_and_can_go_back(self):
        it, service = world(), test_5_in_place.service()
        if it.get("managedservices", "orders-db") is None:
            it.api.create(make.managed("orders-db"))
        wanted = service.rows()
        service.run("not-meant", source={"service": {"name": "orders-db"}})
        run = it.ended("not-meant")
        self.assertEqual((run["status"]["state"], condition(run, "Finished")["reason"]), ("Failed", "ConfirmMismatch"))
        self.assertIn("confirmCrossService", condition(run, "Finished")["message"])
        run = service.restore("meant", source={"service": {"name": "orders-db"}}, confirmCrossService=True)
        self.assertEqual(run["status"]["state"], "Completed", run["status"])
        self.assertIn("CrossService", [one["reason"] for one in run["status"]["plan"]["warnings"]])
        # With this service's password, and without the source's subscriptions.
        self.assertEqual(service.rows(), it.rows)
        self.assertEqual(service.sql("select count(*) from pg_subscription where subenabled"), "0")
        run = service.restore("not-after-all", rollbackOf={"name": "meant"})
        self.assertEqual(run["status"]["state"], "Completed", run["status"])
        self.assertEqual(service.rows(), wanted)
        self.assertIsNone(service.lock())

    def test_so_does_who_names_a_backup_that_nobody_recorded_by_its_address(self):
        service, oldest = test_5_in_place.service(), expiring().oldest
        wanted = service.rows()
        place = make.location(f"prod/orders/15/basebackups_005/{oldest}")
        run = service.restore("from-an-address", source=place, confirmCrossService=True)
        self.assertEqual((run["status"]["state"], run["status"]["plan"]["baseBackup"]), ("Completed", oldest), run["status"])
        self.assertEqual(run["status"]["plan"]["recoveryTarget"], "BackupEnd")
        self.assertTrue(service.rows().startswith("20000/"), service.rows())
        run = service.restore("back-from-there", rollbackOf={"name": "from-an-address"})
        self.assertEqual(run["status"]["state"], "Completed", run["status"])
        self.assertEqual(service.rows(), wanted)


class LikeAnother(unittest.TestCase):
    """What a manifest does not say is copied from the service that `templateRef` names."""

    def setUp(self):
        self.it, self.template = world(), like()

    def test_1_it_has_the_image_the_volume_and_the_parameters_and_is_itself(self):
        found = self.it.clone_settled(LIKE)
        self.assertEqual(condition(found, "Ready")["status"], "True", found["status"])
        pod = self.it.api.get(f"/apis/apps/v1/namespaces/{SPACE}/statefulsets/{LIKE}")["spec"]["template"]
        container, other = pod["spec"]["containers"][0], self.template.workload()["spec"]["template"]["spec"]["containers"][0]
        self.assertEqual(container["image"], other["image"])
        self.assertEqual(container["args"], ["postgres", "-c", "wal_level=logical"])
        claim = self.it.api.get(f"/api/v1/namespaces/{SPACE}/persistentvolumeclaims/data-{LIKE}-0")
        self.assertEqual(claim["spec"]["resources"]["requests"]["storage"], "1Gi")
        variables = {one["name"]: one.get("value") for one in container["env"]}
        self.assertEqual((variables["POSTGRES_DB"], variables["ARCHIVE_TIMEOUT"]), ("shop", "0"))
        self.assertEqual(variables["WALG_S3_PREFIX"], f"s3://backups/staging/{LIKE}")
        self.assertNotIn("app", pod["metadata"]["labels"])
        self.assertNotIn("envFrom", container)
        address, secret = self.it.ready_address(SPACE, f"{LIKE}-0"), f"{LIKE}-credentials"
        password = self.it.secret(secret, "password")
        self.assertEqual(self.it.secret(secret, "database"), "shop")
        self.assertEqual(sql(address, password, CHECKSUM), self.it.rows)
        self.assertEqual(sql(address, password, "show wal_level"), "logical")

    def test_2_what_was_not_copied_is_said_and_a_preview_says_the_same(self):
        done = self.it.runs_of(LIKE)[0]["status"]["plan"]
        said = {one["reason"]: one["message"] for one in done["warnings"]}
        self.assertIn("envFrom", said["NotCopied"])
        plan = wait("the preview", lambda: (lambda o: o if condition(o, "Ready")["status"] == "True" else None)(
            self.it.get("restoreplans", LIKE + "-plan")), 60)
        self.assertEqual([one for one in plan["status"]["warnings"] if one["reason"] == "NotCopied"],
                         [one for one in done["warnings"] if one["reason"] == "NotCopied"])

    def test_3_data_without_the_database_of_the_service_is_not_served(self):
        run = self.it.ended(WITHOUT)
        self.assertEqual((run["status"]["state"], condition(run, "Finished")["reason"]), ("Failed", "DatabaseNotFound"), run["status"])
        self.assertIn("newService.database nowhere", condition(run, "Finished")["message"])
        self.assertEqual(self.it.remains(WITHOUT), set())


if __name__ == "__main__":
    unittest.main()
