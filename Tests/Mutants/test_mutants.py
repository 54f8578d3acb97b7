# SPDX-License-Identifier: Apache-2.0
"""hack/mutants.py and hack/mutants-run.py: what they refuse, and what counts as caught."""

import argparse
import importlib.util
import sys
import tempfile
import unittest
from pathlib import Path

HACK = Path(__file__).resolve().parent.parent.parent / "hack"
sys.path.insert(0, str(HACK))

import mutants  # noqa: E402

spec = importlib.util.spec_from_file_location("mutants_run", HACK / "mutants-run.py")
run = importlib.util.module_from_spec(spec)
sys.modules["mutants_run"] = run
spec.loader.exec_module(run)

SOURCE = ["one", "two", "three", "four", "five", "six", "seven", "eight", ""]


class Patches(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.folder = self.root / "Tests" / "Mutants"
        self.folder.mkdir(parents=True)
        (self.root / "Sources" / "Toy").mkdir(parents=True)
        self.write_source(SOURCE)

    def write_source(self, lines):
        (self.root / "Sources" / "Toy" / "Toy.swift").write_text("\n".join(lines))

    def make(self, number, line, new, kind="logic", **header):
        """A patch that replaces one line of the source."""
        mutant = mutants.Mutant(number, "toy", {
            "Title": "a toy", "Class": kind, "Breaks": "nothing", "Shows": "never", **header})
        changed = list(SOURCE)
        changed[line] = new
        mutants.write_patch(mutant, {"Sources/Toy/Toy.swift": changed}, self.root, self.folder)
        return self.folder / mutant.file_name

    def mutated(self):
        return mutants.mutated(mutants.read_all(self.folder), self.root)["Sources/Toy/Toy.swift"].split("\n")

    def refused(self, words):
        with self.assertRaisesRegex(mutants.Wrong, words):
            self.mutated()

    def test_neighbouring_lines_may_be_changed_by_two(self):
        self.make(1, 2, "if !mutant(1) { three }")
        self.make(2, 3, "if !mutant(2) { four }")
        wanted = ["one", "two", "if !mutant(1) { three }", "if !mutant(2) { four }", *SOURCE[4:]]
        self.assertEqual(self.mutated(), wanted)

    def test_one_line_changed_by_two_is_refused_and_both_are_named(self):
        self.make(1, 2, "if !mutant(1) { three }")
        self.make(2, 2, "if mutant(2) { three }")
        self.refused("01-toy.patch and 02-toy.patch touch the same line, 3")

    def test_a_patch_that_does_not_apply_any_more_is_named(self):
        self.make(7, 4, "mutant(7)")
        self.write_source(["other" if line == "four" else line for line in SOURCE])
        self.refused("07-toy.patch does not apply to Sources/Toy/Toy.swift near line 2")

    def test_refresh_finds_the_place_as_long_as_there_is_one(self):
        path = self.make(7, 4, "mutant(7)")
        moved = ["new"] * 20 + ["other" if line == "two" else line for line in SOURCE]
        mutant = mutants.parse(path)
        found = mutants.edits(mutant, "Sources/Toy/Toy.swift", moved, fuzzy=True)
        self.assertEqual(mutants.apply(moved, found)[24], "mutant(7)")
        with self.assertRaises(mutants.Wrong):
            mutants.edits(mutant, "Sources/Toy/Toy.swift", moved + moved, fuzzy=True)

    def test_another_mutants_number_is_refused(self):
        self.make(7, 4, "mutant(8)")
        self.refused(r"07-toy.patch: its code must ask for mutant\(7\)")

    def test_a_header_that_lacks_something_is_refused(self):
        self.make(7, 4, "mutant(7)", kind="drawn")
        self.refused("07-toy.patch: it is drawn, and its header has no Seed")
        self.make(7, 4, "mutant(7)", Breaks="")
        self.refused("07-toy.patch: its header has no Breaks")

    def test_a_patch_is_one_for_itself_too(self):
        text = self.make(7, 4, "mutant(7)").read_text()
        self.assertIn("--- a/Sources/Toy/Toy.swift\n+++ b/Sources/Toy/Toy.swift\n@@ -2,7 +2,7 @@\n", text)

    def test_the_patches_of_this_repository_apply_to_its_sources(self):
        all_of_them = mutants.read_all()
        self.assertGreaterEqual(len(all_of_them), 60)
        self.assertGreaterEqual(sum(mutant.kind == "drawn" for mutant in all_of_them), 30)
        mutants.mutated(all_of_them)


class Verdicts(unittest.TestCase):
    def judge(self, code, output="", errors="mutant reached\n", kind="stale", number=3):
        mutant = mutants.Mutant(number, "toy", {"Class": kind})
        return run.judge(mutant, (code, output, errors, 1.0), 60)

    def test_a_violation_is_caught_with_its_words_and_its_number(self):
        result = self.judge(1, "FAILED 16: the row says running\nmore\n")
        self.assertEqual((result.is_caught, result.seeds, result.by), (True, 17, "the row says running"))
        result = self.judge(1, "FAILED without any fault: clone: it stands still\n")
        self.assertEqual((result.is_caught, result.seeds), (True, 0))

    def test_a_crash_and_a_hang_are_caught_and_said_to_be_that(self):
        self.assertEqual((self.judge(-4).is_caught, self.judge(-4).by), (True, "(crash: signal 4)"))
        self.assertEqual((self.judge(None).is_caught, self.judge(None).by), (True, "(hang: not ended after 60 s)"))

    def test_nothing_found_is_not_caught_and_says_when_the_code_never_ran(self):
        self.assertEqual((self.judge(0).outcome, self.judge(0).by), ("not caught", ""))
        self.assertEqual(self.judge(0, errors="").by, "(the changed code never ran)")

    def test_a_simulation_that_does_not_work_is_nobodys_success(self):
        with self.assertRaises(run.Broken):
            self.judge(2, errors="simulate: unknown option '--seeds'\n")

    def results(self, caught, missed, kind):
        return [self.judge(-4, kind="drawn", number=1)] * caught + [self.judge(0, kind=kind)] * missed

    def test_the_bar_is_95_percent_and_all_of_crash_and_stale(self):
        self.assertEqual(run.verdict(self.results(95, 5, "logic"), {}), [])
        self.assertIn("less than 95%", run.verdict(self.results(94, 6, "logic"), {})[0])
        self.assertIn("was not caught", run.verdict(self.results(99, 1, "stale"), {})[0])
        self.assertEqual(run.verdict(self.results(99, 1, "stale"), {3: "why"}), [])

    def test_what_is_argued_and_caught_is_argued_no_more(self):
        self.assertIn("take it out of", run.verdict([self.judge(-4)], {3: "why"})[0])

    def test_the_summary_names_each_survivor(self):
        settings = argparse.Namespace(seeds=10)
        text = run.summary(self.results(1, 1, "logic"), {3: "it can't matter"}, settings, 60)
        self.assertIn("| **not caught** it can't matter |", text)
        self.assertIn("1 of 2 mutants caught", text)


if __name__ == "__main__":
    unittest.main()
