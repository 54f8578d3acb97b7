# SPDX-License-Identifier: Apache-2.0
"""Requests that can't be carried out, on a real object store: a reason, an Event, a row in the ledger, and nothing made."""
import functools
import unittest

import manifests as make
from manifests import SPACE
from world import condition, world


def cases():
    """Name of the run -> its manifest, the reason it must end with, and words that its message must hold."""
    return {
        "wrong-keys": (make.run("wrong-keys", source="wrong-keys"), "WrongCredentials", ["wrong-keys"]),
        "no-bucket": (make.run("no-bucket", source="no-bucket"), "BucketNotFound", ["no-bucket", "no-such-bucket"]),
        "other-bucket": (make.run("other-bucket", source="other-bucket"), "AccessDenied", ["other-bucket", "not-ours"]),
        "no-endpoint": (make.run("no-endpoint", source="no-endpoint"), "RepositoryUnreachable", ["no-endpoint"]),
        "no-archive": (make.run("no-archive", source_path="nothing"), "NoBackupsFound", ["prod/nothing/15"]),
        "not-empty": (make.run("not-empty", path="full"), "ArchiveNotEmpty", ["archive.path full", "staging/full/15/a"]),
        "other-major": (make.run("other-major", major=14), "MajorMismatch", ["major 14", "15"]),
        "set-exists": (make.run("set-exists"), "TargetNotEmpty", ["StatefulSet set-exists", "exists already"]),
        "claim-exists": (make.run("claim-exists"), "TargetNotEmpty", ["PersistentVolumeClaim data-claim-exists-0"]),
        "other-image": (make.run("other-image", image="docker.io/library/postgres:15"), "ImageNotAllowed",
                        ["docker.io/library/postgres:15", "prod-readonly"]),
        "too-small": (make.run("too-small", storage={"size": "1Mi"}), "VolumeTooSmall", ["storage.size 1Mi"]),
        "future": (make.run("future", target=make.at("2100-01-01T00:00:00Z")), "TargetOutsideWindow",
                   ["spec.recoveryTarget.time 2100-01-01T00:00:00Z", "future"]),
        "past-the-end": (make.run("past-the-end", target=make.at(world().after)), "TargetOutsideWindow",
                         [world().after, "prod/orders/15"]),
        "too-early": (make.run("too-early", target=make.at("2020-01-01T00:00:00Z")), "TargetOutsideWindow",
                      ["2020-01-01T00:00:00Z", "prod/orders/15"]),
        "in-a-gap": (make.run("in-a-gap", source_path="gapped", target=make.at(world().gap["time"])), "TargetInGap",
                     [world().gap["segment"]]),
        "to-the-end-of-a-gap": (make.run("to-the-end-of-a-gap", source_path="gapped"), "WALGap",
                                [world().gap["segment"]]),
        "no-version": (make.run("no-version", source_path="flat"), "PrefixWithoutVersion", ["prod/flat/15"]),
        "dump": (make.run("dump", target=make.at(world().late["time"]), place=make.location("prod/orders/base.tar")),
                 "NotWalg", ["PITR requires a WAL-G backup", "base.tar"]),
        "not-its-bucket": (make.run("not-its-bucket", place=make.location("prod/lost/15", bucket="elsewhere")),
                           "LocationOutsideRepository", ["s3://elsewhere/prod/lost", "s3://backups/prod", "prod-readonly"]),
        "not-its-prefix": (make.run("not-its-prefix", place=make.location("staging/lost/15")),
                           "LocationOutsideRepository", ["s3://backups/staging/lost"]),
        "no-engine": (make.run("no-engine", place=make.location("prod/lost/15", engine=None)), "InvalidSpec",
                      ["source.location.engine", "is required when using source.location (orphan restore)"]),
        "no-repository": (make.run("no-repository", place=make.location("prod/lost/15", repository=None)), "InvalidSpec",
                          ["source.location.repository", "is required when using source.location (orphan restore)"]),
        "into-source": (make.run("into-source", archive={"repository": {"name": "prod-readonly"}, "path": "orders/copy"}),
                        "PrefixOverlap", ["orders/copy"]),
    }


def setUpModule():
    ask()


@functools.cache
def ask():
    """Makes all of the requests at once."""
    it = world()
    it.writer.put("staging/full/15/a")
    it.api.create(
        make.keys("wrong-keys", "source-reader", AWS_SECRET_ACCESS_KEY="0" * 40),
        make.repository("wrong-keys", "prod", "wrong-keys"),
        make.repository("no-bucket", "prod", "source-reader", bucket="no-such-bucket"),
        make.repository("other-bucket", "prod", "source-reader", bucket="not-ours"),
        make.repository("no-endpoint", "prod", "source-reader", endpoint=make.endpoint().rpartition(":")[0] + ":9"),
        make.stateful_set("set-exists", SPACE, 0, {"name": "postgres", "image": make.IMAGE}),
        make.claim("data-claim-exists-0"))
    it.theirs = {name: it.remains(name) for name in ("set-exists", "claim-exists")}
    it.api.create(*(manifest for manifest, _, _ in cases().values()))


class Refusals(unittest.TestCase):
    def refused(self, name):
        it = world()
        _, reason, words = cases()[name]
        run = it.ended(name)
        finished = condition(run, "Finished")
        self.assertEqual((run["status"]["state"], finished["reason"]), ("Failed", reason), finished["message"])
        for word in words:
            self.assertIn(word, finished["message"])
        self.assertIn(("Warning", reason), [event[:2] for event in it.events(name)])
        row = it.ledger.run(run["metadata"]["uid"])
        self.assertEqual((row["status"], row["phase"], row["failed_phase"]), ("failed", "failed", "prepare"))
        self.assertIsNone(row["started_at"])
        self.assertEqual(row["error_message"], run["status"]["message"])
        self.assertEqual(it.ledger.audit(run["metadata"]["uid"]), ["accepted", "refused"])
        self.assertEqual(it.remains(name), it.theirs.get(name, set()))
        self.assertIsNone(it.api.get(f"/api/v1/namespaces/{SPACE}/secrets/{name}-credentials"))


def _add(name):
    setattr(Refusals, "test_" + name.replace("-", "_"), lambda self: self.refused(name))


for _name in ("wrong-keys", "no-bucket", "other-bucket", "no-endpoint", "no-archive", "not-empty", "other-major",
              "set-exists", "claim-exists", "other-image", "too-small", "into-source", "future", "past-the-end",
              "too-early", "in-a-gap", "to-the-end-of-a-gap", "no-version", "dump", "not-its-bucket", "not-its-prefix", "no-engine",
              "no-repository"):
    _add(_name)

if __name__ == "__main__":
    unittest.main()
