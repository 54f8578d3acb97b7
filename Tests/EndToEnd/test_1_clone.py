# SPDX-License-Identifier: Apache-2.0
"""Clones of a real PostgreSQL: what comes back, what must not, and images that do something else."""
import json
import time
import unittest

from botocore.exceptions import ClientError

import manifests as make
import test_2_refusals
import test_4_moments
from cluster import LoginRefused, sql, wait
from manifests import IMAGE, SPACE
from world import CHECKSUM, Watchman, condition, world

CHECKLIST = ["OwnArchive", "CredentialsRotated", "CloneEnvRemoved", "FreshBackup", "SourceUntouched"]
GOOD, INITDB, OTHER = "orders-good", "orders-initdb", "orders-other"


def setUpModule():
    it = world()
    it.api.create(
        make.clone(GOOD), make.clone(INITDB, image=IMAGE + "-initdb"), make.clone(OTHER, image=IMAGE + "-other-backup"))
    it.watchman = Watchman(it, GOOD)
    test_2_refusals.ask()  # they go on while the tests here wait
    test_4_moments.ask()


class GoodClone(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.it = world()
        cls.clone = cls.it.clone_settled(GOOD)
        cls.address = cls.it.ready_address(SPACE, f"{GOOD}-0")
        cls.password = cls.it.secret(f"{GOOD}-credentials", "password") if cls.address else None
        runs = cls.it.runs_of(GOOD)
        cls.run_name = runs[0]["metadata"]["name"] if runs else None

    def setUp(self):
        self.assertEqual(condition(self.clone, "Ready")["status"], "True", self.clone["status"])

    def on_clone(self, statement, database="shop"):
        return sql(self.address, self.password, statement, database)

    def test_10_every_archived_row_is_there(self):
        self.assertEqual(self.on_clone(CHECKSUM), self.it.rows)

    def test_11_the_checklist_is_true(self):
        for kind in CHECKLIST:
            self.assertEqual(condition(self.clone, kind)["status"], "True", condition(self.clone, kind))

    def test_12_it_could_not_be_reached_before_it_was_sealed(self):
        watchman = self.it.watchman
        watchman.join(30)
        self.assertFalse(watchman.is_alive())
        self.assertGreater(watchman.refused, 0, "never tried")
        self.assertEqual((watchman.opened, watchman.services), (0, 0))

    def test_13_passwords_are_its_own(self):
        self.assertNotEqual(self.password, self.it.password)
        with self.assertRaises(LoginRefused):
            sql(self.address, self.it.password, "select 1")
        with self.assertRaises(LoginRefused):
            sql(self.address, self.it.app_password, "select 1", user="app")
        self.assertEqual(sql(self.it.source_address, self.it.app_password, "select 1", user="app"), "1")

    def test_14_its_subscription_consumes_nothing(self):
        # All of them: a clone made late carries the subscription to the other publisher too.
        found = self.on_clone("select subname, subenabled from pg_subscription", "mirror").split()
        self.assertIn("mirror|f", found)
        self.assertEqual([each for each in found if not each.endswith("|f")], [])
        row = 1000 + int(time.time()) % 1000
        self.it.on_source(f"insert into outbox values ({row})")
        wait("the source's own subscription to get the row", lambda: self.it.on_source(
            f"select 1 from outbox where id = {row}", "mirror") == "1")
        self.assertEqual(self.on_clone(f"select count(*) from outbox where id = {row}", "mirror"), "0")
        self.assertEqual(self.it.on_source("select count(*), min(host(client_addr)) from pg_stat_replication"),
                         f"1|{self.it.source_address}")

    def test_15_nothing_of_the_clone_is_left_in_its_template(self):
        found = self.it.api.get(f"/apis/apps/v1/namespaces/{SPACE}/statefulsets/{GOOD}")
        container = found["spec"]["template"]["spec"]["containers"][0]
        names = {variable["name"]: variable for variable in container["env"]}
        self.assertFalse([name for name in names if name.startswith("WALG_CLONE")])
        self.assertNotIn("args", container)
        self.assertNotIn("startupProbe", container)
        self.assertEqual(names["WALG_S3_PREFIX"]["value"], f"s3://backups/staging/{GOOD}")
        self.assertEqual(names["AWS_ACCESS_KEY_ID"]["valueFrom"]["secretKeyRef"]["name"], "clone-writer")
        self.assertNotIn("source-reader", json.dumps(found["spec"]["template"]))

    def test_16_it_archives_into_its_own_prefix(self):
        segment = None
        for statement in ("insert into orders (customer, amount) values (1, 1)", "select pg_walfile_name(pg_switch_wal() - 1)"):
            segment = self.on_clone(statement)
        own = f"staging/{GOOD}/15/"
        wait("the segment", lambda: any(segment in key for key, _, _ in self.it.writer.listing(own + "wal_005/")))
        backups = [key for key, _, _ in self.it.writer.listing(own + "basebackups_005/") if key.endswith("_sentinel.json")]
        self.assertEqual(len(backups), 1)

    def test_17_the_source_prefix_is_byte_for_byte_as_it_was(self):
        self.assertEqual(self.it.reader.listing("prod/orders/"), self.it.before)

    def test_18_neither_user_may_write_below_the_source(self):
        for store in (self.it.reader, self.it.writer):
            with self.assertRaises(ClientError) as refused:
                store.put("prod/orders/15/intruder")
            self.assertEqual(refused.exception.response["Error"]["Code"], "AccessDenied")

    def test_19_the_ledger_has_the_run(self):
        found = self.it.ended(self.run_name)
        row = self.it.ledger.run(found["metadata"]["uid"])
        self.assertEqual((row["status"], row["phase"], row["mode"]), ("completed", "completed", "new_service"))
        self.assertEqual(row["source_backup"], found["status"]["restore"]["pinnedBackup"]["name"])
        self.assertEqual(row["target_service_name"], GOOD)
        self.assertGreater(row["bytes_restored"], 1 << 20)
        self.assertIsNone(row["error_message"])
        self.assertEqual(self.it.ledger.audit(found["metadata"]["uid"]), ["accepted", "started", "finished"])
        self.assertEqual(self.it.ledger.rows("select * from reprise.audit_breaks"), [])

    def test_20_there_is_one_of_everything(self):
        self.assertEqual(len(self.it.runs_of(GOOD)), 1)
        self.assertEqual(len(self.it.ledger.rows(
            f"select 1 from reprise.restore_runs where target_service_name = '{GOOD}'")), 1)

    def test_21_the_same_manifest_again_writes_nothing(self):
        places = [f"/apis/apps/v1/namespaces/{SPACE}/statefulsets/{GOOD}",
                  f"/apis/reprise.dev/v1alpha1/namespaces/{SPACE}/restoreruns/{self.run_name}",
                  f"/apis/reprise.dev/v1alpha1/namespaces/{SPACE}/serviceclones/{GOOD}"]

        def versions():
            return [self.it.api.get(place)["metadata"]["resourceVersion"] for place in places]
        before = versions()
        self.it.api.call("PATCH", places[2], make.clone(GOOD), "application/merge-patch+json")
        time.sleep(3)
        self.assertEqual(versions(), before)

    def test_90_a_deleted_stateful_set_is_made_again_around_its_data(self):
        place = f"/apis/apps/v1/namespaces/{SPACE}/statefulsets/{GOOD}"
        rows = self.on_clone(CHECKSUM)
        pod = self.it.api.get(f"/api/v1/namespaces/{SPACE}/pods/{GOOD}-0")["metadata"]["uid"]
        old = self.it.api.get(place)["metadata"]["uid"]
        self.it.api.delete(place, propagationPolicy="Foreground")
        made = wait("the StatefulSet", lambda: (lambda o: o if o and o["metadata"]["uid"] != old else None)(
            self.it.api.get(place)), 90)
        self.assertNotIn("WALG_CLONE", json.dumps(made))

        def again():
            found = self.it.api.get(f"/api/v1/namespaces/{SPACE}/pods/{GOOD}-0")
            if found and found["metadata"]["uid"] != pod:
                return self.it.ready_address(SPACE, f"{GOOD}-0")
            return None
        address = wait("its pod", again, 90)
        self.assertEqual(sql(address, self.password, CHECKSUM), rows)
        wait("the clone to be Ready again", lambda: condition(
            self.it.get("serviceclones", GOOD), "Ready")["status"] == "True", 30)
        self.assertEqual(len(self.it.runs_of(GOOD)), 1, "it was restored again")


class OtherImages(unittest.TestCase):
    def test_an_image_that_runs_initdb_is_no_green_empty_database(self):
        it = world()
        found = it.clone_settled(INITDB)
        self.assertEqual(condition(found, "Ready")["reason"], "RestoreNotPerformed")
        runs = it.runs_of(INITDB)
        self.assertEqual(len(runs), 1, "trying again can't help")
        run = it.ended(runs[0]["metadata"]["name"])
        self.assertEqual(condition(run, "Finished")["reason"], "RestoreNotPerformed")
        self.assertEqual(condition(run, "CleanedUp")["status"], "True")
        self.assertEqual(it.remains(INITDB), set())
        row = it.ledger.run(run["metadata"]["uid"])
        self.assertEqual((row["status"], row["phase"]), ("failed", "failed"))
        self.assertIn("did not restore", row["error_message"])
        self.assertIn(("Warning", "RestoreNotPerformed"), [event[:2] for event in it.events(run["metadata"]["name"])])
        self.assertEqual(it.writer.listing(f"staging/{INITDB}/"), [])

    def test_an_image_that_fetches_another_backup_is_told_from_the_data(self):
        it = world()
        found = it.clone_settled(OTHER)
        self.assertEqual(condition(found, "Ready")["status"], "True", found["status"])
        run = it.runs_of(OTHER)[0]
        self.assertEqual(condition(run, "Verified")["reason"], "OtherBaseBackup")
        self.assertIn(("Warning", "OtherBaseBackup"), [event[:2] for event in it.events(run["metadata"]["name"])])
        address = it.ready_address(SPACE, f"{OTHER}-0")
        self.assertEqual(sql(address, it.secret(f"{OTHER}-credentials", "password"), CHECKSUM), it.rows)


if __name__ == "__main__":
    unittest.main()
