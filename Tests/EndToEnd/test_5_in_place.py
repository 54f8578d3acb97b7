# SPDX-License-Identifier: Apache-2.0
"""In place, on a service of its own: its data is damaged, restored, taken back to a moment, saved from a restore that fails,
and given back what a restore has replaced. One restore after the other, as its owners would."""
import functools
import subprocess
import threading
import time
import unittest

import manifests as make
import test_6_targets
from cluster import REPO, kubectl, sql, wait
from manifests import SPACE
from world import CHECKSUM, TERMINAL, condition, world

NAME, PASSWORD = "accounts", "accounts-password"
POD, SET = f"{NAME}-0", f"/apis/apps/v1/namespaces/{SPACE}/statefulsets/{NAME}"
VOLUME, PGDATA = "/var/lib/postgresql", "/var/lib/postgresql/15/docker"


def setUpModule():
    service()
    test_6_targets.ask()  # they go on while the tests here wait


@functools.cache
def service():
    return Service(world())


class Service:
    """A user's own PostgreSQL, declared as a ManagedService."""

    def __init__(self, it):
        self.it = it
        environment = dict(line.split("=", 1) for line in (make.RUN / "s3" / "clone-writer.env").read_text().splitlines())
        repository = make.repository("accounts-backups", "staging", "accounts-store")
        repository["spec"]["scan"] = {"interval": "10s"}
        found = make.source(NAME, SPACE, f"s3://backups/staging/{NAME}", "accounts-store")
        it.api.create(
            make.core("Secret", NAME, SPACE, stringData={"password": PASSWORD}),
            make.core("Secret", "accounts-store", SPACE, stringData=environment), found,
            repository,
            make.ours("ManagedService", NAME, {
                "engine": "Postgres", "workload": {"name": NAME}, "major": 15,
                "archive": {"repository": {"name": "accounts-backups"}, "path": NAME},
                "credentials": {"secretName": NAME, "passwordKey": "password"},
                "protection": {"verification": [
                    {"name": "has-orders", "query": "select count(*) > 0 from orders", "database": "shop"},
                    {"name": "impossible", "query": "select 1 where false"}]}}))
        self.serves()
        self.sql("create table orders (id bigint generated always as identity primary key, customer int, amount numeric(9,2))")
        self.add(20000)
        kubectl("-n", SPACE, "exec", POD, "--", "setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "env",
                f"WALG_S3_PREFIX=s3://backups/staging/{NAME}/15", "PGUSER=postgres", "HOME=/tmp", "wal-g", "backup-push", PGDATA)
        time.sleep(1.1)
        self.add(3000)
        self.archive()

    def serves(self, seconds=90):
        self.address = wait("accounts to serve", lambda: self.it.ready_address(SPACE, POD), seconds)

    def sql(self, statements):
        output = ""
        for statement in statements.split(";"):
            output = sql(self.address, PASSWORD, statement)
        return output

    def add(self, rows):
        self.sql(f"insert into orders (customer, amount) select i % 500, random() * 900 from generate_series(1, {rows}) i")

    def rows(self):
        return self.sql(CHECKSUM)

    def archive(self):
        segment = self.sql("select pg_walfile_name(pg_switch_wal() - 1)")
        wait("the archive", lambda: self.sql("select last_archived_wal from pg_stat_archiver") >= segment)

    def moment(self):
        time.sleep(1.1)
        at = self.sql("select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
        time.sleep(1.1)
        return at

    def workload(self):
        return self.it.api.get(SET)

    def pod(self):
        return self.it.api.get(f"/api/v1/namespaces/{SPACE}/pods/{POD}")["metadata"]["uid"]

    def lock(self):
        return self.workload()["metadata"].get("annotations", {}).get("reprise.dev/run")

    # ---------------------------------------------------------------- asking

    def confirm(self):
        return f"{NAME}/{self.workload()['metadata']['uid'][:8]}"

    def run(self, name, target=None, **more):
        spec = {"mode": "PointInTime" if target else "InPlace", "target": {"service": {"name": NAME}}, "confirm": self.confirm(),
                "requestID": name}
        if "rollbackOf" not in more:
            spec["source"] = {"service": {"name": NAME}}
        if target:
            spec["recoveryTarget"] = target
        self.it.api.create(make.ours("RestoreRun", name, spec | more))

    def waits_for_approval(self, name):
        def look():
            found = self.it.get("restoreruns", name)
            if (found or {}).get("status", {}).get("state") in TERMINAL:
                raise AssertionError(found["status"])
            return found if condition(found, "Approved")["reason"] == "ApprovalRequired" else None
        return wait(f"RestoreRun {name} to ask for an approval", look, 90)

    def approve(self, name, decision="Approve", plan_hash=None):
        """As the manifest says that the run itself shows, with a name and a reason."""
        found = self.waits_for_approval(name)
        text = condition(found, "Approved")["message"].split("for instance with\n")[1]
        text = text.replace("# your user name", "bob").replace("# why, in 12 to 280 characters", "the table was lost at noon")
        text = text.replace("decision: Approve", f"decision: {decision}")
        if plan_hash:
            text = text.replace(found["status"]["plan"]["hash"], plan_hash)
        kubectl("apply", "-f", "-", input=text)
        return found

    def approve_as(self, who, name):
        """By an object of its own, whatever the run shows."""
        found = self.it.get("restoreruns", name)
        self.it.api.create(make.ours("RestoreApproval", f"{name}-by-{who}", {
            "run": {"name": name, "uid": found["metadata"]["uid"]}, "planHash": found["status"]["plan"]["hash"],
            "decision": "Approve", "approver": who, "reason": "the table was lost at noon"}))

    def restore(self, name, target=None, **more):
        """A run from its manifest to its end, with somebody's approval."""
        self.run(name, target, **more)
        self.approve(name)
        found = self.it.ended(name)
        self.serves()
        return found


class InPlace(unittest.TestCase):
    def setUp(self):
        self.it, self.db = world(), service()

    def completed(self, run):
        self.assertEqual(run["status"]["state"], "Completed", run["status"])
        self.assertIsNone(self.db.lock(), "the lock is off")
        self.assertEqual(self.db.workload()["spec"]["replicas"], 1)
        self.assertEqual(self.it.ledger.run(run["metadata"]["uid"])["status"], "completed")

    def test_1_after_damage_everything_comes_back_and_what_only_the_volume_had_too(self):
        # From here on nothing is archived, not even by a server that is stopped: only the volume has these rows.
        self.db.sql("alter system set archive_command = '/bin/false'; select pg_reload_conf()")
        self.db.add(500)
        wanted = self.db.rows()
        segment = self.db.sql("select pg_walfile_name(pg_switch_wal() - 1)")
        wait("archiving to fail", lambda: self.db.sql("select last_failed_wal >= last_archived_wal from pg_stat_archiver") == "t", 60)
        self.assertLess(self.db.sql("select last_archived_wal from pg_stat_archiver"), segment)
        file = self.db.sql("checkpoint; select pg_relation_filepath('orders')")
        kubectl("-n", SPACE, "exec", POD, "--", "sh", "-c", f"dd if=/dev/urandom of={PGDATA}/{file} bs=8192 count=40 conv=notrunc 2>/dev/null")
        kubectl("-n", SPACE, "delete", "pod", POD)
        time.sleep(1)
        self.db.serves()
        with self.assertRaises(AssertionError):
            self.db.rows()
        run = self.db.restore("after-damage", verification={"checks": ["has-orders"], "amcheck": True})
        self.completed(run)
        self.assertEqual(self.db.rows(), wanted)
        self.assertEqual(run["status"]["approvedBy"], "bob")
        self.assertEqual([(c["name"], c["passed"]) for c in run["status"]["verification"]], [("has-orders", True), ("amcheck", True)])
        self.assertEqual(run["status"]["progress"]["percent"], 100)
        self.assertNotEqual(self.db.sql("show archive_command"), "/bin/false", "the base backup's settings are in force again")
        operations = self.it.ledger.audit(run["metadata"]["uid"])
        self.assertEqual(operations, ["accepted", "approved", "started", "finished"])

    def test_2_back_to_a_moment_and_back_again(self):
        wanted, at = self.db.rows(), self.db.moment()
        self.db.sql("delete from orders where id > 100")
        self.db.archive()
        deleted = self.db.rows()
        self.completed(self.db.restore("before-delete", make.at(at)))
        self.assertEqual(self.db.rows(), wanted)
        self.db.add(7)
        newest = self.db.rows()
        # What that restore has replaced comes back, and what it replaces is kept.
        self.completed(self.db.restore("back-again", rollbackOf={"name": "before-delete"}))
        self.assertEqual(self.db.rows(), deleted)
        kept = kubectl("-n", SPACE, "exec", POD, "--", "sh", "-c", f"ls {VOLUME}/.reprise/*/failed-restore/PG_VERSION")
        self.assertEqual(len(kept.split()), 1, kept)
        self.completed(self.db.restore("forth-again", rollbackOf={"name": "back-again"}))
        self.assertEqual(self.db.rows(), newest)

    def test_3_a_check_that_fails_after_promotion_leaves_the_service_as_it_was(self):
        self.db.add(11)
        wanted = self.db.rows()
        run = self.db.restore("check-fails", verification={"checks": ["impossible"]})
        self.assertEqual((run["status"]["state"], condition(run, "Finished")["reason"]), ("Failed", "VerificationFailed"), run["status"])
        self.assertEqual([(c["name"], c["passed"]) for c in run["status"]["verification"]], [("impossible", False)])
        self.assertIn("impossible", condition(run, "Finished")["message"])
        self.assertEqual(condition(run, "RolledBack")["status"], "True", run["status"])
        self.assertEqual(self.db.rows(), wanted)
        self.assertIsNone(self.db.lock())
        self.db.add(13)
        served = self.db.rows()
        # Nothing of the failed attempt is in the archive: a later restore yields what the service served.
        self.completed(self.db.restore("after-the-failure"))
        self.assertEqual(self.db.rows(), served)

    def test_4_nothing_happens_without_an_approval_of_this_very_plan(self):
        wanted, uid = self.db.rows(), self.db.pod()
        self.db.run("rejected")
        self.db.approve("rejected", "Reject")
        run = self.it.ended("rejected")
        self.assertEqual((run["status"]["state"], condition(run, "Finished")["reason"]), ("Failed", "Rejected"))
        self.db.run("cancelled")
        self.db.approve("cancelled", plan_hash="v1:" + "0" * 64)
        wait("the approval to be judged", lambda: condition(self.it.get("restoreruns", "cancelled"), "Approved")["reason"] == "ApprovalOfAnotherPlan", 30)
        kubectl("-n", SPACE, "patch", "restorerun", "cancelled", "--type=merge", "-p", '{"spec":{"cancel":true}}')
        self.assertEqual(self.it.ended("cancelled")["status"]["state"], "Cancelled")
        self.db.run("not-confirmed", confirm=f"{NAME}/00000000")
        run = self.it.ended("not-confirmed")
        self.assertEqual(condition(run, "Finished")["reason"], "ConfirmMismatch")
        self.assertIn(self.db.confirm(), condition(run, "Finished")["message"])
        self.assertEqual(self.db.rows(), wanted)
        self.assertEqual(self.db.pod(), uid, "its pod was left alone")

    def test_5_somebody_who_scales_up_again_and_again_loses_nothing(self):
        self.db.add(17)
        wanted = self.db.rows()
        scaler = Scaler()
        try:
            run = self.db.restore("beside-gitops", preRestore={"keepFor": "1s"})
        finally:
            scaler.stop()
        self.completed(run)
        self.assertGreater(scaler.times, 0, "it was at work")
        self.assertEqual(self.db.rows(), wanted)

    def test_6_what_was_replaced_goes_when_its_time_is_over(self):
        run = self.it.get("restoreruns", "beside-gitops")
        done = wait("the replaced data to be removed", lambda: condition(self.it.get("restoreruns", "beside-gitops"), "CleanedUp")["reason"] == "Removed", 60)
        self.assertTrue(done)
        there = kubectl("-n", SPACE, "exec", POD, "--", "ls", f"{VOLUME}/.reprise")
        self.assertNotIn(run["metadata"]["uid"], there)
        self.db.rows()

    def test_7_a_cancel_while_the_data_is_fetched_gives_the_old_data_back_and_who_waited_asks_anew(self):
        self.db.add(19)
        wanted = self.db.rows()
        self.db.run("cancelled-late")
        self.db.run("asks-anew")
        self.db.waits_for_approval("asks-anew")
        self.db.approve("cancelled-late")
        wait("the service to be stopped", lambda: condition(self.it.get("restoreruns", "cancelled-late"), "PointOfNoReturn")["status"] == "True", 60)
        wait("its Job to run", lambda: self.job_runs("cancelled-late"), 60)
        self.approval_runs_out("asks-anew")
        kubectl("-n", SPACE, "patch", "restorerun", "cancelled-late", "--type=merge", "-p", '{"spec":{"cancel":true}}')
        run = self.it.ended("cancelled-late")
        self.assertEqual(run["status"]["state"], "Cancelled", run["status"])
        self.db.serves()
        self.assertEqual(self.db.rows(), wanted)
        self.assertIsNone(self.db.lock())
        # The other one has its turn now, and does not begin on what has run out: whoever agrees anew is the one it names.
        waiting = self.it.get("restoreruns", "asks-anew")
        self.assertEqual((waiting["status"]["state"], condition(waiting, "Approved")["reason"]), ("Pending", "ApprovalExpired"))
        self.db.approve_as("carol", "asks-anew")
        run = self.it.ended("asks-anew")
        self.completed(run)
        self.assertEqual(run["status"]["approvedBy"], "carol")
        self.db.serves()
        self.assertEqual(self.db.rows(), wanted)

    def approval_runs_out(self, name):
        """It waits for the other one's end meanwhile. An API server says itself when something was made, so the approval is
        made older behind its back."""
        self.db.approve_as("bob", name)
        wait("it to wait for the other one", lambda: condition(self.it.get("restoreruns", name), "Locked")["reason"] == "TargetBusy", 60)
        older = ".metadata.creationTimestamp = (now - 7 * 3600 - 1 | floor | todate)"
        subprocess.run([REPO / "hack" / "etcd-edit.sh", f"restoreapprovals/{SPACE}/{name}-by-bob", older], check=True)
        wait("the approval to run out", lambda: condition(self.it.get("restoreruns", name), "Approved")["reason"] == "ApprovalExpired", 60)

    def job_runs(self, name):
        uid = self.it.get("restoreruns", name)["metadata"]["uid"]
        pods = self.it.api.list(f"/api/v1/namespaces/{SPACE}/pods?labelSelector=reprise.dev/run-uid%3D{uid}")
        return any("-replace-" in pod["metadata"]["name"] and pod["status"]["phase"] == "Running" for pod in pods)

    def test_8_the_service_says_what_can_be_done_with_it(self):
        found = self.it.get("managedservices", NAME)
        self.assertTrue(found["status"]["restoreCapabilities"]["restoreInPlace"])
        self.assertNotIn("activeOperation", found["status"])
        self.it.api.create(make.ours("RestorePlan", "in-place-plan", {
            "mode": "InPlace", "source": {"service": {"name": NAME}}, "target": {"service": {"name": NAME}}}))
        plan = wait("the preview", lambda: (lambda o: o if condition(o, "Ready")["status"] == "True" else None)(
            self.it.get("restoreplans", "in-place-plan")), 60)
        self.assertEqual(plan["status"]["confirm"], self.db.confirm())
        self.assertTrue(plan["status"]["destructive"])

    def test_9_a_manifest_that_stays_in_git_replaces_the_data_once(self):
        self.db.add(23)
        wanted, uid = self.db.rows(), self.db.pod()
        done = self.it.get("restoreruns", "after-the-failure")
        self.assertEqual(done["status"]["state"], "Completed")
        kubectl("-n", SPACE, "delete", "restorerun", "after-the-failure", "--timeout=60s")
        self.it.api.create(make.ours("RestoreRun", "after-the-failure", done["spec"]))
        run = self.it.ended("after-the-failure")
        self.assertNotEqual(run["metadata"]["uid"], done["metadata"]["uid"])
        self.assertEqual(condition(run, "Finished")["reason"], "AlreadyApplied", run["status"])
        self.assertIn(f"row {done['status']['ledgerID']} of", condition(run, "Finished")["message"])
        self.assertEqual(self.it.ledger.audit(run["metadata"]["uid"]), ["accepted", "refused"])
        self.assertEqual(self.db.rows(), wanted)
        self.assertEqual(self.db.pod(), uid, "its pod was left alone")


class Scaler(threading.Thread):
    """Sets the replicas back to 1 whenever they are not, as a GitOps tool that owns the field does."""

    def __init__(self):
        super().__init__(daemon=True)
        self.times, self.over = 0, threading.Event()
        self.start()

    def run(self):
        it = world()
        while not self.over.wait(5):
            if it.api.get(SET)["spec"]["replicas"] == 0:
                kubectl("-n", SPACE, "scale", "statefulset", NAME, "--replicas=1")
                self.times += 1

    def stop(self):
        self.over.set()
        self.join(30)


if __name__ == "__main__":
    unittest.main()
