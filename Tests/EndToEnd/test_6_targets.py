# SPDX-License-Identifier: Apache-2.0
"""To a restore point, a transaction, a position and a moment before the newest base backup; from an archive that nobody
recorded; and that no clone, restored by whichever way, has ever spoken with what the source subscribes to."""
import functools
import re
import unittest

import manifests as make
from cluster import OURS, kubectl, sql, wait
from manifests import SPACE
from world import CHECKSUM, condition, world

NAME, ORPHAN, FOUND = "orders-to-name", "orders-orphan", "orders-found"
NO_ARCHIVE = {"mode": "Disabled"}  # saves a base backup each


def targets():
    """Name of the run -> its target, which of the marks' rows it must have, and what PostgreSQL must say of where it ended."""
    marks = world().marks
    xid, lsn, time = marks["xid"], marks["lsn"], marks["time"]
    return {
        "orders-to-xid": ({"kind": "Xid", "xid": xid}, 1, f"after transaction {xid}"),
        "orders-before-xid": ({"kind": "Xid", "xid": xid, "inclusive": False}, 0, f"before transaction {xid}"),
        "orders-to-lsn": ({"kind": "Lsn", "lsn": lsn}, 2, f"after LSN {lsn}"),
        "orders-before-lsn": ({"kind": "Lsn", "lsn": lsn, "inclusive": False}, 1, f"before LSN {lsn}"),
        "orders-before-time": (make.at(time, inclusive=False), 1, "before "),
    }


def setUpModule():
    ask()


@functools.cache
def ask():
    """Makes all of the requests at once."""
    it = world()
    it.oldest = re.search(r"base_[0-9A-F]{24}", min(key for key, _, _ in it.before if key.endswith("_sentinel.json")))[0]
    it.api.create(
        make.run(FOUND, place=make.found(it.oldest), archive=NO_ARCHIVE),
        make.clone(NAME, target={"kind": "Name", "name": it.marks["name"]}, archive=NO_ARCHIVE),
        make.run(ORPHAN, place=make.location("prod/lost/15"), archive=NO_ARCHIVE))
    it.api.create(*(make.run(name, target=target, archive=NO_ARCHIVE) for name, (target, _, _) in targets().items()))


class Targets(unittest.TestCase):
    def setUp(self):
        self.it = world()

    def rows(self, name):
        address = self.it.ready_address(SPACE, f"{name}-0")
        return sql(address, self.it.secret(f"{name}-credentials", "password"), CHECKSUM)

    def restored(self, name):
        run = self.it.ended(name)
        self.assertEqual(run["status"]["state"], "Completed", run["status"])
        return run

    def check(self, name):
        _, mark, recovered = targets()[name]
        run = self.restored(name)
        self.assertEqual(self.rows(name), self.it.marks["rows"][mark])
        self.assertIn(recovered, run["status"]["restore"]["sealed"]["recoveredTo"])
        self.check_plan(run["status"])

    def check_plan(self, status):
        self.assertEqual((status["plan"]["baseBackup"], status["plan"]["path"]), (self.it.oldest, "InitContainer"))

    def test_1_a_restore_point_before_the_newest_base_backup(self):
        found = self.it.clone_settled(NAME)
        self.assertEqual(condition(found, "Ready")["status"], "True", found["status"])
        self.assertEqual(self.rows(NAME), self.it.marks["rows"][0])
        run = self.it.runs_of(NAME)[0]
        self.assertIn(self.it.marks["name"], run["status"]["restore"]["sealed"]["recoveredTo"])
        self.assertIn("TargetNotProvable", [warning["reason"] for warning in run["status"]["plan"]["warnings"]])
        self.check_plan(run["status"])

    def test_3_an_archive_that_nobody_recorded(self):
        run = self.restored(ORPHAN)
        self.assertEqual(run["status"]["plan"]["recoveryTarget"], "Latest")
        self.assertEqual(self.rows(ORPHAN), self.it.rows)
        row = self.it.ledger.run(run["metadata"]["uid"])
        self.assertEqual(row["source_location"], "s3://backups/prod/lost/15")
        self.assertEqual(run["status"]["plan"]["systemIdentifier"], self.it.on_source(
            "select system_identifier from pg_control_system()"))

    def test_5_a_backup_by_the_name_of_its_object(self):
        run = self.restored(FOUND)
        self.assertEqual(run["status"]["plan"]["recoveryTarget"], "BackupEnd")
        self.assertEqual(run["status"]["restore"]["sealed"]["recoveredTo"], "reached consistency")
        self.assertTrue(self.rows(FOUND).startswith("20000/"), self.rows(FOUND))
        self.check_plan(run["status"])
        backups = self.it.api.list(f"{OURS}/namespaces/{SPACE}/servicebackups")
        found = next(item for item in backups if item["metadata"]["name"] == make.found(self.it.oldest)["backup"]["name"])
        self.assertEqual((found["status"]["state"], found["status"]["systemIdentifier"]),
                         ("Ready", run["status"]["plan"]["systemIdentifier"]))
        of_archives = [item["spec"]["discovered"]["path"] for item in backups
                       if item["spec"]["discovered"]["repository"]["name"] == "prod-readonly"]
        self.assertEqual(sorted(of_archives), ["gapped"] * 2 + ["lost"] * 2 + ["orders"] * 2)

    def test_4_no_clone_has_spoken_with_what_the_source_subscribes_to(self):
        """Every clone of this world has the source's subscription in its data."""
        it = self.it
        clones = [NAME, ORPHAN, FOUND, *targets()]
        it.clone_settled(NAME)
        for name in (ORPHAN, FOUND, *targets()):
            self.restored(name)
        for name in clones:
            found = self.on_clone(name, "select subname, subenabled, subslotname is null from pg_subscription order by 1")
            self.assertEqual(found.split(), ["bills|f|t", "mirror|f|t"], name)
        row = it.on_publisher("insert into bills select coalesce(max(id), 0) + 1 from bills returning id")
        wait("the source to get the bill", lambda: it.on_source(f"select 1 from bills where id = {row}") == "1")
        for name in clones:
            self.assertEqual(self.on_clone(name, "select count(*) from bills"), "0", name)
        # One slot, and the source holds it: no clone has made one, taken one or been turned away from it.
        slots = it.on_publisher("""
            select slot_name, active, host(client_addr) from pg_replication_slots s
                left join pg_stat_replication r on r.pid = s.active_pid""")
        self.assertEqual(slots, f"bills|t|{it.source_address}")
        self.assertEqual(it.on_publisher("select count(*) from pg_stat_replication"), "1")
        log = kubectl("-n", "prod", "logs", "billing-db-0", "--tail=-1")
        hosts = set(re.findall(r"^(\S+) subscriber LOG: .*connection authorized", log, re.MULTILINE))
        self.assertEqual(hosts, {it.source_address}, "who has ever logged in as the subscriber")
        others = set(re.findall(r"connection received: host=([0-9.]+)", log)) - {it.source_address}
        here = it.on_publisher("select host(inet_client_addr())")
        self.assertEqual(others, {here}, "who has ever knocked at the publisher's door")

    def on_clone(self, name, statement):
        it = self.it
        return sql(it.ready_address(SPACE, f"{name}-0"), it.secret(f"{name}-credentials", "password"), statement)


def _add(name):
    setattr(Targets, "test_2_" + name.removeprefix("orders-").replace("-", "_"), lambda self: self.check(name))


for _name in ("orders-to-xid", "orders-before-xid", "orders-to-lsn", "orders-before-lsn", "orders-before-time"):
    _add(_name)

if __name__ == "__main__":
    unittest.main()
