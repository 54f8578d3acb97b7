#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mutants: small bugs, each a patch file, all of them in one build behind a switch.

hack/mutants.sh is the way in. This reads the patches of Tests/Mutants, applies them all to a copy of the sources, runs
the simulation with one of them switched on at a time, and says which were noticed.

A patch is a unified diff against the sources as they are, for itself: `patch -p1` takes it. Before it stands a header:

    Title: what the bug is, in a few words
    Class: crash | stale | ledger | logic | drawn
    Breaks: what a user would suffer
    Shows: the story in which it must show
    Seed: of a drawn one, with what it was drawn by

Its number, that of the file's name, is the one that its code asks for: `mutant(17)`.
"""

import argparse
import difflib
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATCHES = ROOT / "Tests" / "Mutants"
CLASSES = ("crash", "stale", "ledger", "logic", "drawn")
HEADER = ("Title", "Class", "Breaks", "Shows")
FILE_NAME = re.compile(r"^(\d{2,3})-([a-z0-9-]+)\.patch$")
HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
SWITCH = re.compile(r"\bmutant\((\d+)\)")
COPIED = ("Package.swift", "Sources", "Tests", "Benchmarks")

# Asked at each place that a patch has changed. Reads the environment once, and says once that it was asked for.
SWITCH_SOURCE = """\
// SPDX-License-Identifier: Apache-2.0
// Written by hack/mutants.sh.

import Glibc

private let chosen = getenv("REPRISE_MUTANT").map { Int(atoi($0)) } ?? 0
private let told: Void = {
    let line = Array("mutant reached\\n".utf8)
    _ = line.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
}()

func mutant(_ number: Int) -> Bool {
    guard number == chosen else { return false }
    told
    return true
}
"""


class Wrong(Exception):
    """Something about a patch is wrong; the message names it."""


@dataclass
class Hunk:
    start: int
    lines: list[str]

    @property
    def old(self) -> list[str]:
        return [line[1:] for line in self.lines if line[0] in " -"]


@dataclass
class Edit:
    """Lines of a file, counted from 0, that are replaced; none are when `begin` is `end`."""

    begin: int
    end: int
    new: list[str]
    patch: str


@dataclass
class Mutant:
    number: int
    name: str
    header: dict[str, str]
    files: dict[str, list[Hunk]] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        return self.header["Class"]

    @property
    def file_name(self) -> str:
        return f"{self.number:02d}-{self.name}.patch"


def parse(path: Path) -> Mutant:
    match = FILE_NAME.match(path.name)
    if not match:
        raise Wrong(f"{path.name}: not named NN-what-it-does.patch")
    mutant = Mutant(int(match[1]), match[2], {})
    hunks: list[Hunk] | None = None
    left = (0, 0)
    for line in path.read_text().splitlines():
        if hunks is not None and left != (0, 0):
            line = line or " "  # an editor may have taken away the blank of an empty context line
            if line[0] not in " +-":
                raise Wrong(f"{path.name}: a hunk is shorter than its head says")
            hunks[-1].lines.append(line)
            left = (left[0] - (line[0] != "+"), left[1] - (line[0] != "-"))
        elif line.startswith("+++ b/"):
            hunks = mutant.files.setdefault(line[6:].split("\t")[0], [])
        elif head := HUNK.match(line):
            if hunks is None:
                raise Wrong(f"{path.name}: a hunk before a file's name")
            hunks.append(Hunk(int(head[1]) - 1, []))
            left = (int(head[2] or 1), int(head[4] or 1))
        elif hunks is None and re.match(r"^[A-Z][a-z]+: ", line):
            key, value = line.split(": ", 1)
            mutant.header[key] = value
    if left != (0, 0):
        raise Wrong(f"{path.name}: its last hunk is shorter than its head says")
    check_form(mutant, path.name)
    return mutant


def check_form(mutant: Mutant, name: str) -> None:
    for key in HEADER:
        if not mutant.header.get(key):
            raise Wrong(f"{name}: its header has no {key}")
    if mutant.kind not in CLASSES:
        raise Wrong(f"{name}: no such class: {mutant.kind}; there are {', '.join(CLASSES)}")
    if mutant.kind == "drawn" and not mutant.header.get("Seed"):
        raise Wrong(f"{name}: it is drawn, and its header has no Seed")
    added = [line for hunks in mutant.files.values() for hunk in hunks for line in hunk.lines if line[0] == "+"]
    numbers = {int(number) for line in added for number in SWITCH.findall(line)}
    if numbers != {mutant.number}:
        raise Wrong(f"{name}: its code must ask for mutant({mutant.number}), and asks for {sorted(numbers)}")


def read_all(folder: Path = PATCHES) -> list[Mutant]:
    mutants = [parse(path) for path in sorted(folder.glob("*.patch"))]
    mutants.sort(key=lambda mutant: mutant.number)
    for one, other in zip(mutants, mutants[1:]):
        if one.number == other.number:
            raise Wrong(f"{one.file_name} and {other.file_name} have the same number")
    return mutants


# ---------------------------------------------------------------- applying


def places(block: list[str], source: list[str]) -> list[int]:
    last = len(source) - len(block)
    return [index for index in range(last + 1) if source[index : index + len(block)] == block]


def locate(hunk: Hunk, source: list[str], fuzzy: bool = False) -> tuple[int, list[str]] | None:
    """Where a hunk begins, and its lines; with less of its context if `fuzzy`, as long as that leaves one place."""
    found = places(hunk.old, source)
    if found:
        return min(found, key=lambda place: abs(place - hunk.start)), hunk.lines
    lines = list(hunk.lines)
    while fuzzy and (lines[0][0] == " " or lines[-1][0] == " "):
        lines = lines[1:] if lines[0][0] == " " else lines
        lines = lines[:-1] if lines[-1][0] == " " else lines
        found = places([line[1:] for line in lines if line[0] in " -"], source)
        if len(found) == 1:
            return found[0], lines
        if len(found) > 1:
            return None
    return None


def edits(mutant: Mutant, path: str, source: list[str], fuzzy: bool = False) -> list[Edit]:
    made = []
    for hunk in mutant.files[path]:
        found = locate(hunk, source, fuzzy)
        if found is None:
            raise Wrong(
                f"{mutant.file_name} does not apply to {path} near line {hunk.start + 1}: the sources have changed "
                "there. `hack/mutants.sh refresh` mends it if the place can still be told; else write it anew"
            )
        at, lines = found
        current: Edit | None = None
        for line in lines:
            if line[0] == " ":
                current = None
                at += 1
                continue
            if current is None:
                current = Edit(at, at, [], mutant.file_name)
                made.append(current)
            if line[0] == "-":
                at += 1
                current.end = at
            else:
                current.new.append(line[1:])
    return made


def apply(source: list[str], changes: list[Edit]) -> list[str]:
    """All of them at once, each against the source as it is. Two that touch the same lines are refused."""
    changes = sorted(changes, key=lambda edit: (edit.begin, edit.end))
    for one, other in zip(changes, changes[1:]):
        if other.begin < one.end or (other.begin == one.begin and one.patch != other.patch):
            raise Wrong(f"{one.patch} and {other.patch} touch the same line, {other.begin + 1}")
    result: list[str] = []
    at = 0
    for edit in changes:
        result += source[at : edit.begin] + edit.new
        at = edit.end
    return result + source[at:]


def mutated(mutants: list[Mutant], root: Path = ROOT) -> dict[str, str]:
    """The text of each source file that some mutant changes, with all of them in it."""
    changes: dict[str, list[Edit]] = {}
    for mutant in mutants:
        for path in mutant.files:
            if not path.startswith("Sources/") or not (root / path).is_file():
                raise Wrong(f"{mutant.file_name}: there is no source file {path}")
            source = (root / path).read_text().split("\n")
            changes.setdefault(path, []).extend(edits(mutant, path, source))
    texts = {}
    for path, made in changes.items():
        try:
            texts[path] = "\n".join(apply((root / path).read_text().split("\n"), made))
        except Wrong as error:
            raise Wrong(f"{path}: {error}") from None
    return texts


def write_patch(mutant: Mutant, changed: dict[str, list[str]], root: Path = ROOT, folder: Path = PATCHES) -> None:
    """Writes a mutant's file, from its header and the whole new text of each file that it changes."""
    lines = [f"{key}: {value}" for key, value in mutant.header.items()] + [""]
    for path, new in sorted(changed.items()):
        old = (root / path).read_text().split("\n")
        # The last line is empty, for the text ends with a line end: no file is changed there.
        lines += difflib.unified_diff(old[:-1], new[:-1], f"a/{path}", f"b/{path}", lineterm="", n=3)
    (folder / mutant.file_name).write_text("\n".join(lines) + "\n")


def refresh(mutants: list[Mutant]) -> int:
    """Writes each patch anew against the sources as they are. Returns how many could not be."""
    failures = 0
    for mutant in mutants:
        try:
            changed = {}
            for path in mutant.files:
                source = (ROOT / path).read_text().split("\n")
                changed[path] = apply(source, edits(mutant, path, source, fuzzy=True))
        except (Wrong, FileNotFoundError) as error:
            print(f"{error}", file=sys.stderr)
            failures += 1
            continue
        write_patch(mutant, changed)
    return failures


# ---------------------------------------------------------------- the tree


def put(path: Path, text: bytes) -> None:
    """Leaves a file alone that is so already: what has not changed is not built again."""
    if path.is_file() and path.read_bytes() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)


def make_tree(destination: Path, mutants: list[Mutant], root: Path = ROOT) -> None:
    texts = mutated(mutants, root)
    modules = sorted({path.split("/")[1] for path in texts})
    wanted: set[Path] = set()
    for name in COPIED:
        base = root / name
        for path in [base] if base.is_file() else sorted(base.rglob("*")):
            relative = path.relative_to(root)
            if path.is_dir() or "__pycache__" in relative.parts:
                continue
            text = texts[str(relative)].encode() if str(relative) in texts else path.read_bytes()
            if name == "Package.swift":
                # A mutant may leave something unused.
                text = text.replace(b"    .treatAllWarnings(as: .error),\n", b"")
            wanted.add(relative)
            put(destination / relative, text)
    for module in modules:
        relative = Path("Sources") / module / "Mutant.swift"
        wanted.add(relative)
        put(destination / relative, SWITCH_SOURCE.encode())
    for name in COPIED:
        for path in sorted((destination / name).rglob("*")):
            if path.is_file() and path.relative_to(destination) not in wanted:
                path.unlink()


def main() -> int:
    parser = argparse.ArgumentParser(description="Reads and applies the patches of Tests/Mutants.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check", help="each patch applies, and all of them together do")
    commands.add_parser("refresh", help="write the patches anew, after the sources have changed")
    tree = commands.add_parser("tree", help="copy the sources with all mutants in them")
    tree.add_argument("destination", type=Path)
    arguments = parser.parse_args()
    try:
        mutants = read_all()
        if arguments.command == "refresh":
            failures = refresh(mutants)
            print(f"{len(mutants) - failures} of {len(mutants)} patches are up to date")
            return 1 if failures else 0
        if arguments.command == "tree":
            make_tree(arguments.destination, mutants)
        else:
            mutated(mutants)
        counts = ", ".join(f"{sum(m.kind == kind for m in mutants)} {kind}" for kind in CLASSES)
        print(f"{len(mutants)} mutants apply: {counts}")
    except Wrong as error:
        print(f"{os.path.basename(sys.argv[0])}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
