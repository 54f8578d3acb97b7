# SPDX-License-Identifier: Apache-2.0
"""The controller dies while a clone restores, and comes back."""
import unittest

import manifests as make
from cluster import sql, wait
from manifests import SPACE
from world import CHECKSUM, condition, world

NAME = "orders-killed"


class Killed(unittest.TestCase):
    def test_killed_while_restoring_and_started_again(self):
        it = world()
        # The stand-in for WAL-G then takes its time: there is a moment at which the restore is surely under way.
        it.api.create(
            make.core("ConfigMap", "slow", SPACE, data={"WALG_STAND_IN_DELAY": "3"}),
            make.clone(NAME, configMapRef={"name": "slow"}))
        wait("the restore to be under way", self.is_restoring, 120)
        it.controller.kill()
        it.say("the controller was killed")
        it.controller.start()
        it.say("the controller leads again")
        found = it.clone_settled(NAME)
        self.assertEqual(condition(found, "Ready")["status"], "True", found["status"])
        runs = it.runs_of(NAME)
        self.assertEqual([run["status"]["state"] for run in runs], ["Completed"])
        address = it.ready_address(SPACE, f"{NAME}-0")
        self.assertEqual(sql(address, it.secret(f"{NAME}-credentials", "password"), CHECKSUM), it.rows)
        uid = it.ended(runs[0]["metadata"]["name"])["metadata"]["uid"]
        for root, plural in (("/apis/apps/v1", "statefulsets"), ("/api/v1", "persistentvolumeclaims")):
            mine = it.api.list(f"{root}/namespaces/{SPACE}/{plural}?labelSelector=reprise.dev/service%3D{NAME}")
            self.assertEqual([item["metadata"]["labels"]["reprise.dev/run-uid"] for item in mine], [uid])
        rows = it.ledger.rows(f"select status from reprise.restore_runs where target_service_name = '{NAME}'")
        self.assertEqual(rows, [{"status": "completed"}])
        self.assertEqual(it.ledger.audit(uid), ["accepted", "started", "finished"])

    def is_restoring(self):
        it = world()
        runs = it.runs_of(NAME)
        pod = it.api.get(f"/api/v1/namespaces/{SPACE}/pods/{NAME}-0")
        running = (pod or {}).get("status", {}).get("phase") == "Running"
        return runs and runs[0].get("status", {}).get("phase") == "Restore" and running


if __name__ == "__main__":
    unittest.main()
