# SPDX-License-Identifier: Apache-2.0
"""After everything else: no secret has turned up where people and tools read."""
import json
import unittest

from cluster import OURS, credentials
from manifests import SPACE
from world import world


class Canaries(unittest.TestCase):
    def test_no_secret_leaves_its_secret(self):
        it = world()
        stopped = it.controller.stop()
        self.assertLess(stopped, 3, "seconds until the controller had stopped")
        canaries = {"the source's password": it.password, "a role's password": it.app_password,
                    "the publisher's password": it.publisher_password}
        for user in ("source-reader", "source-writer", "clone-writer"):
            canaries[f"the secret key of {user}"] = credentials(user)["AWS_SECRET_ACCESS_KEY"]
        for clone in it.api.list(f"{OURS}/namespaces/{SPACE}/serviceclones"):
            name = clone["spec"]["service"]["name"]
            if it.api.get(f"/api/v1/namespaces/{SPACE}/secrets/{name}-credentials"):
                canaries[f"the password of {name}"] = it.secret(f"{name}-credentials", "password")
        places = {
            "the controller's log": it.controller.log.read_text(errors="replace"),
            "the Events": json.dumps(it.api.list(f"/api/v1/namespaces/{SPACE}/events")),
            "the ledger": it.ledger.dump(),
        }
        for kind in ("serviceclones", "restoreruns", "backuprepositories"):
            places[kind] = json.dumps(it.api.list(f"{OURS}/namespaces/{SPACE}/{kind}"))
        for plural in ("statefulsets", "controllerrevisions"):
            places[plural] = json.dumps(it.api.list(f"/apis/apps/v1/namespaces/{SPACE}/{plural}"))
        places["Jobs"] = json.dumps(it.api.list(f"/apis/batch/v1/namespaces/{SPACE}/jobs"))
        for where, text in places.items():
            self.assertGreater(len(text), 100, f"nothing to look at in {where}")
            for what, secret in canaries.items():
                self.assertNotIn(secret, text, f"{what} stands in {where}")
        self.assertGreaterEqual(len(canaries), 6)


if __name__ == "__main__":
    unittest.main()
