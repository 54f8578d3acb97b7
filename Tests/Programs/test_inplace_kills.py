# SPDX-License-Identifier: Apache-2.0
"""The program `inplace`, killed before any of its commands: nothing is lost, and both ways out of it lead there.

    make sweep      all commands; the tests of the programs try some
"""
import os
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from inplace_harness import ROWS, InPlaceTest, snapshot, wait_until  # noqa: E402
from support import BIN  # noqa: E402

MUTATING = ("mkdir", "chown", "chmod", "rm", "rmdir", "cp", "mv", "tee", "touch", "sync", "perl", "wal-g", "postgres",
            "psql", "flock", "ln")
WHOLE = os.environ.get("REPRISE_SWEEP") == "all"


class KilledTest(InPlaceTest):
    def setUp(self):
        super().setUp()
        self.stopping_tools()

    def stopping_tools(self):
        """The tools that change a volume; the n-th call of all waits, instead of running, to be killed."""
        tools = self.scratch / "bin"
        tools.mkdir()
        for name in MUTATING:
            real = {"wal-g": self.tools / name, "sync": shutil.which("true"), "postgres": BIN / name,
                    "psql": BIN / name}.get(name) or shutil.which(name)
            (tools / name).write_text(
                f"#!/bin/dash\nif [ -n \"${{STOP_AT:-}}\" ] && [ \"$1\" != wal-fetch ]; then\n"
                f"echo {name} \"$@\" | head -n 1 >>{self.scratch}/calls\n"
                f"if [ \"$(wc -l <{self.scratch}/calls)\" = \"$STOP_AT\" ]; then\n"
                f"  : >{self.scratch}/stopped; exec sleep 60; fi\nfi\n"
                f"exec {real} \"$@\"\n")
            (tools / name).chmod(0o755)
        for name in ("pg_isready", "pg_controldata"):
            (tools / name).symlink_to(BIN / name)
        self.tools = tools
        self.scratch.chmod(0o777)
        self.clear_calls()

    def clear_calls(self):
        (self.scratch / "stopped").unlink(missing_ok=True)
        (self.scratch / "calls").write_text("")
        (self.scratch / "calls").chmod(0o666)

    def text_of(self, name):  # the server's programs come in front of PATH: ours have to stand before those
        front = "/usr/lib/postgresql/$MAJOR/bin:$PATH"
        return super().text_of(name).replace(front, ":".join(reversed(front.split(":"))))

    def kill_at(self, number, action, **environment):
        self.clear_calls()
        self.start_program(action, STOP_AT=str(number), **environment)
        # A restore takes seconds, and half a minute on a machine that has much else to do.
        wait_until((self.scratch / "stopped").exists, seconds=90, what=f"command {number} of {action}")
        self.kill_tree()

    def calls(self, action, **environment):
        """What the program does when nobody kills it."""
        self.clear_calls()
        result = self.inplace(action, STOP_AT="0", **environment)
        self.assertEqual(result["code"], "OK", result)
        return (self.scratch / "calls").read_text().splitlines()

    def put(self, saved, place):
        subprocess.run(["rm", "-rf", place], check=True)
        subprocess.run(["cp", "-a", saved, place], check=True)

    def chosen(self, calls, mark, *which):
        """All commands, or those that come right after the n-th that begins like this."""
        if WHOLE:
            return range(1, len(calls) + 1)
        found = [number + 1 for number, call in enumerate(calls, 1) if call.startswith(mark)]
        return [found[one] for one in which]

    def sweep(self, action, numbers, calls, old, further):
        """Kills the action before each of these commands; then it is repeated, or undone."""
        begin, killed = Path(f"{self.volume}-begin"), Path(f"{self.volume}-killed")
        seen = set()
        for number in numbers:
            with self.subTest(f"{action}, before command {number}, {calls[number - 1][:60]}"):
                self.put(begin, self.volume)
                self.kill_at(number, action, **further)
                state = self.state(old, further)
                seen.add(state)
                self.put(self.volume, killed)
                result = self.inplace(action, **further)
                self.assertDone(result)
                self.assertTrue(all(check["passed"] for check in result["checks"]))
                self.assertEqual(self.state(old, further), "new")
                self.put(killed, self.volume)
                undone = self.inplace("undo", **further)
                self.assertEqual((undone["code"], undone.get("swapped", False)), ("OK", state == "new"))
                self.assertEqual(self.state(old, further), "new" if state == "new" else "old")
                if state == "held":
                    self.assertTrue(undone["undone"])
        return seen

    def state(self, old, further):
        """What is in PGDATA's place; anything else fails."""
        if (self.data / "held-by-reprise").exists():
            self.assertEqual((self.data / "held-by-reprise").read_text(), further["REPRISE_RUN_UID"] + "\n")
            self.assertFalse((self.data / "global").exists())
            return "held"
        if not self.data.exists():
            return "absent"
        return "old" if snapshot(self.data) == old else "new"

    def begun(self):
        self.put(self.volume, f"{self.volume}-begin")

    def test_restore(self):
        for exchange in ("true", "false"):
            old = self.service()
            self.begun()
            further = {"REPRISE_RUN_UID": "run-1", "REPRISE_EXCHANGE": exchange} | self.check(1, ROWS, "1112")
            calls = self.calls("restore", **further)
            # held, while it is verified, swapped; and with renames in the middle of both
            chosen = [("perl", 0, 1), ("psql", 3)] if exchange == "true" else [("mv -T", 0, 3)]
            numbers = sorted({number for one in chosen for number in self.chosen(calls, *one)})
            seen = self.sweep("restore", numbers, calls, old, further)
            self.assertLessEqual({"held", "new"} if exchange == "true" else {"absent"}, seen)
            shutil.rmtree(self.data.parent)
            shutil.rmtree(self.volume / ".reprise")

    def test_rollback_to_what_was_killed(self):
        """What that server had not archived yet has two names meanwhile."""
        self.own_archive()
        self.service("killed")
        self.assertDone(self.restore(REPRISE_OWN_TAIL="true", REPRISE_EXPECT_SEGMENT=self.newest))
        old = snapshot(self.data)
        self.begun()
        further = {"REPRISE_RUN_UID": "run-2", "REPRISE_ROLLBACK_OF": "run-1"} | self.check(1, ROWS, "1143")
        calls = self.calls("rollback", **further)
        self.assertLessEqual({"held"}, self.sweep("rollback", self.chosen(calls, "ln", 0), calls, old, further))

    def test_rollback(self):
        self.service()
        self.assertDone(self.restore("time", self.moment))
        old = snapshot(self.data)
        self.begun()
        further = {"REPRISE_RUN_UID": "run-2", "REPRISE_ROLLBACK_OF": "run-1"} | self.check(1, ROWS, "1112")
        calls = self.calls("rollback", **further)
        numbers = self.chosen(calls, "perl", 0, 1)
        self.assertLessEqual({"held", "new"}, self.sweep("rollback", numbers, calls, old, further))

    def test_undo(self):
        old = self.service()
        further = {"REPRISE_RUN_UID": "run-1", "REPRISE_EXCHANGE": "false"} | self.check(1, ROWS, "1112")
        self.kill_at(next(number for number, call in enumerate(self.dry_calls(further), 1)
                          if "restore-tmp" in call and call.startswith("mv -T")), "restore", **further)
        self.begun()
        calls = self.calls("undo", **further)
        for number in self.chosen(calls, "mv -T", 0, 1):
            with self.subTest(f"before command {number}, {calls[number - 1][:60]}"):
                self.put(f"{self.volume}-begin", self.volume)
                self.kill_at(number, "undo", **further)
                self.assertIn(self.state(old, further), ("old", "held", "absent"))
                undone = self.inplace("undo", **further)
                self.assertEqual((undone["code"], undone["undone"]), ("OK", True))
                self.assertEqual(snapshot(self.data), old)
                self.assertFalse((self.workspace / "restore-tmp").exists())
        self.assertDone(self.inplace("restore", **further))

    def test_tidy(self):
        """Beside the running server: half of what was replaced never passes for data, and the rest goes with the next."""
        old = self.service()
        self.assertDone(self.restore())
        new = snapshot(self.data)
        self.begun()
        further = {"REPRISE_TIDY": "run-1 gone"}
        calls = self.calls("tidy", **further)
        for number in range(1, len(calls) + 1):
            with self.subTest(f"before command {number}, {calls[number - 1][:60]}"):
                self.put(f"{self.volume}-begin", self.volume)
                self.kill_at(number, "tidy", **further)
                self.assertEqual(snapshot(self.data), new)
                left = self.inplace("inspect", REPRISE_RUN_UID="run-2")["leftovers"]
                if any(one["hasPreRestore"] for one in left):
                    self.assertEqual(snapshot(self.workspace / "pre-restore"), old)
                tidied = self.inplace("tidy", **further)
                self.assertEqual((tidied["code"], tidied["tidied"], tidied["kept"]), ("OK", ["run-1", "gone"], []))
                self.assertEqual([one.name for one in (self.volume / ".reprise").iterdir()], ["lock"])
                self.assertEqual(snapshot(self.data), new)

    def dry_calls(self, further):
        """The commands of a restore, on a copy."""
        self.begun()
        calls = self.calls("restore", **further)
        self.put(f"{self.volume}-begin", self.volume)
        return calls


if __name__ == "__main__":
    unittest.main()
