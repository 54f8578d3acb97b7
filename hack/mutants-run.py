#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the simulation with one mutant switched on at a time, and prints which were noticed. See hack/mutants.sh.

Caught is a mutant with which the simulation finds a violation, dies, or does not come to an end. First it must find
nothing without a mutant, or the figures would mean nothing. Exits with 1 when fewer than 95 % were caught, or one of the
classes crash and stale was not; those that stand in Tests/Mutants/argued.txt, with the reason, are excused the latter.
"""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import mutants

ARGUED = mutants.PATCHES / "argued.txt"
BAR = 0.95
MUST_BE_CAUGHT = ("crash", "stale")
# "without any fault": the story itself goes wrong
FAILED = re.compile(r"^FAILED (?:(?:seed )?(\d+)|without any fault): ?(.*)$", re.MULTILINE)
MEMORY = 8 << 30


@dataclass
class Result:
    number: int
    name: str
    kind: str
    # caught, not caught
    outcome: str
    # what the simulation said, or how it ended
    by: str
    # how many schedules it took; 0: the stories without any fault
    seeds: int | None
    seconds: float
    # whether the changed code ran at all
    reached: bool

    @property
    def is_caught(self) -> bool:
        return self.outcome == "caught"


class Broken(Exception):
    """The simulation itself does not work; says how."""


def simulate(settings: argparse.Namespace, number: int, timeout: float | None) -> tuple[int | None, str, str, float]:
    """Exit code (`None`: it did not end in time), its output, its errors, seconds."""
    environment = dict(os.environ, REPRISE_MUTANT=str(number), SWIFT_BACKTRACE="enable=no")
    command = [str(settings.program), "--seeds", str(settings.seeds), "--stop-at-first", *settings.extra]
    began = time.monotonic()
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
    )
    resource.prlimit(process.pid, resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.prlimit(process.pid, resource.RLIMIT_CORE, (0, 0))
    try:
        output, errors = process.communicate(timeout=timeout)
        code: int | None = process.returncode
    except subprocess.TimeoutExpired:
        process.kill()
        output, errors = process.communicate()
        code = None
    return code, output, errors, time.monotonic() - began


def judge(mutant: mutants.Mutant, ran: tuple[int | None, str, str, float], limit: float) -> Result:
    code, output, errors, seconds = ran
    found = FAILED.search(output)
    result = Result(
        mutant.number, mutant.name, mutant.kind, "caught", "", None, round(seconds, 1), "mutant reached" in errors)
    if found:
        result.seeds, result.by = int(found[1]) + 1 if found[1] else 0, " ".join(found[2].split())
    elif code is None:
        result.by = f"(hang: not ended after {limit:.0f} s)"
    elif code < 0 or code >= 128:
        said = [line for line in errors.splitlines() if "Fatal" in line]
        result.by = f"(crash: signal {-code if code < 0 else code - 128}) {said[0].strip() if said else ''}".strip()
    elif code == 0:
        result.outcome = "not caught"
        result.by = "" if result.reached else "(the changed code never ran)"
    else:
        tail = (errors or output).strip().splitlines()[-3:]
        raise Broken(f"simulate ended with {code} and named no violation: " + " / ".join(tail))
    return result


def argued() -> dict[int, str]:
    reasons = {}
    for line in ARGUED.read_text().splitlines() if ARGUED.is_file() else []:
        if match := re.match(r"^(\d+)\s+(\S.*)$", line):
            reasons[int(match[1])] = match[2]
    return reasons


def verdict(results: list[Result], reasons: dict[int, str]) -> list[str]:
    """What speaks against these figures; empty when nothing does."""
    caught = sum(result.is_caught for result in results)
    wrong = []
    if caught < BAR * len(results):
        wrong.append(f"{caught} of {len(results)} caught, which is less than {BAR:.0%}")
    for result in results:
        is_excused = result.kind not in MUST_BE_CAUGHT or result.number in reasons
        if not result.is_caught and not is_excused:
            wrong.append(f"mutant {result.number} ({result.name}, {result.kind}) was not caught")
        if result.is_caught and result.number in reasons:
            wrong.append(f"mutant {result.number} was caught: take it out of {ARGUED.name}")
    return wrong


def totals(results: list[Result]) -> list[tuple[str, int, int]]:
    rows = []
    for kind in (*mutants.CLASSES, "all"):
        of_kind = [result for result in results if kind in (result.kind, "all")]
        rows.append((kind, sum(result.is_caught for result in of_kind), len(of_kind)))
    return rows


def summary(results: list[Result], reasons: dict[int, str], settings: argparse.Namespace, seconds: float) -> str:
    lines = [
        f"{sum(r.is_caught for r in results)} of {len(results)} mutants caught, with at most {settings.seeds} schedules "
        f"for each, in {seconds / 60:.0f} minutes.", "", "| class | caught | of |", "|---|---|---|",
    ]
    lines += [f"| {kind} | {caught} | {count} |" for kind, caught, count in totals(results)]
    lines += ["", "| mutant | class | caught by | schedules | seconds |", "|---|---|---|---|---|"]
    for r in results:
        by = r.by if r.is_caught else f"**not caught** {reasons.get(r.number, r.by)}".strip()
        by = by[:160].replace("|", "\\|")
        lines.append(f"| {r.number} {r.name} | {r.kind} | {by} | {'' if r.seeds is None else r.seeds} | {r.seconds:.0f} |")
    return "\n".join(lines) + "\n"


def show(result: Result) -> None:
    seeds = "-" if result.seeds is None else f"{result.seeds}"
    by = result.by if result.is_caught else f"NOT CAUGHT {result.by}"
    print(f"{result.number:3d} {result.name:44.44s} {result.kind:6s} {seeds:>5s} {result.seconds:6.1f}s  {by[:110]}", flush=True)


def run(wanted: list[mutants.Mutant], settings: argparse.Namespace) -> list[Result]:
    code, output, errors, seconds = simulate(settings, 0, None)
    if code != 0:
        found = FAILED.search(output)
        raise Broken(
            f"without a mutant the simulation must find nothing, and ended with {code}: "
            + (found[0] if found else (errors or output).strip()[-400:]))
    if "mutant reached" in errors:
        raise Broken("a mutant was on although none was chosen")
    # Two at a time share the machine, and more may be going on on it.
    limit = max(120.0, 3 * seconds)
    print(f"without a mutant: nothing found with {settings.seeds} schedules, {seconds:.0f} s", flush=True)
    lock = threading.Lock()

    def one(mutant: mutants.Mutant) -> Result:
        result = judge(mutant, simulate(settings, mutant.number, limit), limit)
        with lock:
            show(result)
        return result

    with ThreadPoolExecutor(settings.jobs) as pool:
        return list(pool.map(one, wanted))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=Path, help="simulate, built with all mutants in it")
    parser.add_argument("--seeds", type=int, default=1200, help="schedules for each mutant, at most")
    parser.add_argument("--jobs", type=int, default=2, help="mutants at the same time")
    parser.add_argument("--only", default="", help="numbers, with commas between")
    parser.add_argument("--results", type=Path, required=True, help="folder for summary.md and results.json")
    parser.add_argument("extra", nargs="*", help="more for simulate, after --")
    settings = parser.parse_args()
    numbers = {int(number) for number in settings.only.split(",") if number}
    reasons = argued()
    began = time.monotonic()
    try:
        wanted = [mutant for mutant in mutants.read_all() if not numbers or mutant.number in numbers]
        results = run(wanted, settings)
    except (Broken, mutants.Wrong) as error:
        print(f"mutants: {error}", file=sys.stderr)
        return 2
    seconds = time.monotonic() - began
    settings.results.mkdir(parents=True, exist_ok=True)
    (settings.results / "summary.md").write_text(summary(results, reasons, settings, seconds))
    (settings.results / "results.json").write_text(json.dumps([asdict(r) for r in results], indent=1) + "\n")
    print(f"\n{'class':8s} caught     of")
    for kind, caught, count in totals(results):
        print(f"{kind:8s} {caught:6d} {count:6d}")
    print(f"{seconds:.0f} s; {settings.results}/summary.md")
    wrong = verdict(results, reasons)
    for line in wrong:
        print(f"mutants: {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
