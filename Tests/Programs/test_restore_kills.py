# SPDX-License-Identifier: Apache-2.0
"""The program `restore` of the init container, ended before each of its commands, and in the fetch.

    python3 -m unittest Tests/Programs/test_restore_kills.py      (as root; needs moto_server, PostgreSQL 15, lz4)
"""
import os
import shutil
import signal
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import test_restore  # noqa: E402
from harness import snapshot  # noqa: E402
from support import wait_until  # noqa: E402


class CrashTest(test_restore.RestoreProgramTest):
    MUTATING = ("mkdir", "chown", "chmod", "rm", "cp", "mv", "tee", "touch", "sync", "wal-g")

    def stopping_tools(self):
        """The tools that change a volume; the n-th call of all waits, instead of running, to be killed."""
        tools = self.scratch / "bin"
        tools.mkdir()
        for name in self.MUTATING:
            # what is on disk makes no difference to a kill, and other programs may have much to write
            real = {"wal-g": self.tools / name, "sync": shutil.which("true")}.get(name) or shutil.which(name)
            (tools / name).write_text(
                f"#!/bin/dash\necho {name} >>{self.scratch}/calls\n"
                f"if [ \"$(wc -l <{self.scratch}/calls)\" = \"$STOP_AT\" ]; then\n"
                f"  : >{self.scratch}/stopped; exec sleep 60; fi\n"
                f"exec {real} \"$@\"\n")
            (tools / name).chmod(0o755)
        self.tools = tools
        self.scratch.chmod(0o777)
        self.clear_scratch()

    def kill_at(self, number):
        """Runs the program up to its n-th command and kills all of its processes at once, as a container ends."""
        self.run_program("restore", **self.variables("time", self.moment, STOP_AT=str(number)))
        wait_until((self.scratch / "stopped").exists, what=f"command {number}")
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                session = int((folder / "stat").read_text().rpartition(") ")[2].split()[3])
            except OSError:
                continue
            if session == self.process.pid:
                os.kill(int(folder.name), signal.SIGKILL)
        self.process.communicate(timeout=60)
        self.clear_scratch()

    def clear_scratch(self):
        for left in self.scratch.glob("reprise.*"):
            shutil.rmtree(left)
        (self.scratch / "stopped").unlink(missing_ok=True)
        (self.scratch / "calls").write_text("")
        (self.scratch / "calls").chmod(0o666)

    def test_ended_before_any_command_it_can_be_repeated(self):
        self.wrapper = ["setsid"]  # a session of its own, by which its processes are found
        self.stopping_tools()
        self.assertEqual(self.restore("time", self.moment).json["code"], "OK")
        whole = snapshot(self.volume)
        calls = (self.scratch / "calls").read_text().split()
        outcomes = {}
        for number in range(1, len(calls) + 1):
            with self.subTest(f"before command {number}, {calls[number - 1]}"):
                for path in self.volume.iterdir():
                    shutil.rmtree(path)
                self.clear_scratch()
                self.kill_at(number)
                result = self.restore("time", self.moment).json
                self.assertEqual(result["code"], "OK")
                self.assertEqual(snapshot(self.volume), whole)
                self.assertFalse(self.staging.exists())
                outcomes.setdefault(result["already"], []).append(number)
        self.assertGreater(len(outcomes[False]), 20)
        # all that comes after the rename: making it durable, and the end of the program
        self.assertGreaterEqual(len(outcomes[True]), 2)
        self.assertLess(max(outcomes[False]), min(outcomes[True]))

    def fetching(self):
        result = self.run_program("restore", **self.variables(WALG_STAND_IN_DELAY="60"))
        while not self.process.stdout.readline().startswith("reprise-step fetch"):
            self.assertIsNone(self.process.poll())
        wait_until(lambda: self.fetchers(), what="wal-g")
        return result

    def fetchers(self):
        """Processes that fetch into this volume."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if b"backup-fetch\0" + os.fsencode(self.staging) in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                pass
        return found

    def test_sigterm_ends_the_fetch_at_once(self):
        result = self.fetching()
        began = time.monotonic()
        self.process.terminate()
        self.assertEqual(result().json["code"], "Interrupted")
        self.assertLess(time.monotonic() - began, 5)
        self.assertEqual(self.fetchers(), [])
        self.assertTrue(self.staging.exists() and not self.data.exists())
        self.assertEqual(self.restore().json["code"], "OK")

    def test_killed_in_the_fetch_it_can_be_repeated(self):
        self.fetching()
        self.process.kill()
        for process in self.fetchers():
            os.kill(process, signal.SIGKILL)
        self.process.communicate()
        shutil.rmtree(next(self.scratch.glob("reprise.*")))
        self.assertEqual(self.restore().json["code"], "OK")
        self.assertEqual(self.recovered().sql("select count(*) from t"), "1112")


if __name__ == "__main__":
    unittest.main()
