#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws mutants, by a seed, and writes them to Tests/Mutants.

    hack/mutants-draw.py --seed 7 --count 40 --first 101 --tree FOLDER --scratch FOLDER

What is there already and still applies stays; only the numbers that are free are drawn for. So whoever changes the
sources so much that a drawn mutant can't be refreshed removes its file and lets another one be drawn.

Draws of four kinds: a negated condition, a condition of a `guard` or `where` that is dropped, a deleted statement, and,
half as often, since most orders mean nothing, two neighbouring statements in the other order. Whatever does not compile
is drawn anew, and so is what behaves as before: Tests/Mutants/redrawn.txt names each of those, with the reason. Nobody
chooses otherwise; but the list of what is not drawn from was made longer once after a first draw had been looked at, of
which no mutant had been run.

Drawn from: Reconciler, ControlLoop and KubeClient, for what decides, remembers, asks and sends. Not from:
- KubeClient/Access (kubeconfig, tokens), which is not part of the simulation;
- tables and builders, which unit tests hold whole: Validation, Engines, Planner, RunRequest, the wording of findings;
- parsers of bytes and names, which unit tests and fuzzing hold;
- BackupRepository, ManagedService, RestorePlan, the progress of a run and the logs that are followed for it: they show
  what could be done or how far it has come, and no run decides on them;
- what only logs, announces or words a status, or shows how the loop is doing.
"""

import argparse
import hashlib
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import mutants

MODULES = ("Reconciler", "ControlLoop", "KubeClient")
NOT_FROM = re.compile(
    r"KubeClient/Access/|Reconciler/(Validation|Engines|BackupRepository|ManagedService|RestorePlan)/"
    r"|\+(Words|Notices|Findings|Progress|Lines)\.swift"
    r"|/(Planner|RunRequest|RunStatus|Finding|BackupURI|RequestTarget|LineMatcher|LineReading|LogMoment|Following"
    r"|RestoringContainer|LoopEvents|Announcing|LoopState)\.swift")
# Lines that only tell something, and functions of such lines.
TELLS = re.compile(
    r"\b(note|announce|log|showFollowers|noteFailure|noteQuiet|noteProgress|finishProgress|describe)\(|\.note\("
    r"|\.(working|waiting|progressing|notReady|ready|set)\(\w*[\".]|\bset\(\"|RunCondition\.|auditHead|observedGeneration"
    r"|\bmessage\b|\bprint\(|\.state\.update|\bfacts\.|\bjournal\b|LoopEvents\.|\btold\b|\b[nN]otices?\b")
TELLING = re.compile(r"\bfunc (notices?|describe|words|explanation|note|noteFailure|noteQuiet|fields)\b")
STATEMENT = re.compile(r"^(try await |try |await )?[A-Za-z_][\w.?]*(\[[^\]]*\])?[?]?(\.[\w.?]+)?(\(.*\)| [-+]?= .+)$")
KEYWORDS = re.compile(
    r"^(let|var|return|throw|case|default|if|guard|for|while|repeat|switch|defer|func|init|self\.init|super|import|static"
    r"|private|package|public|internal|mutating|struct|enum|extension|protocol|break|continue|else|do|precondition"
    r"|self\.[a-z]\w* = )\b")
NEGATED, DROPPED, DELETED, SWAPPED = KINDS = (
    "negated condition", "dropped precondition", "deleted statement", "swapped order")
TURNS = (NEGATED, DROPPED, DELETED, NEGATED, DROPPED, DELETED, SWAPPED)


@dataclass(frozen=True)
class Draft:
    kind: str
    path: str
    # the first line that changes, counted from 0
    line: int
    old: tuple[str, ...]
    # with `mutant(#)` for the switch
    new: tuple[str, ...]
    what: str


def split_top(text: str, separator: str) -> list[str] | None:
    """Splits outside of strings and brackets; `None` when the text is not balanced."""
    parts, depth, start, index = [], 0, 0, 0
    in_string = False
    while index < len(text):
        char = text[index]
        if in_string:
            if char == "\\":
                index += 1
            elif char == '"':
                in_string = False
        elif char == '"':
            in_string = True
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
            if depth < 0:
                return None
        elif depth == 0 and text.startswith(separator, index):
            parts.append(text[start:index])
            index += len(separator)
            start = index
            continue
        index += 1
    if depth != 0 or in_string:
        return None
    return parts + [text[start:]]


def condition_of(line: str) -> tuple[str, str, str, str] | None:
    """Head, keyword, conditions and the rest of a line that holds a whole `if`, `guard` or `while`."""
    match = re.match(r"^(\s*(?:\} else )?)(if|guard|while) (.*)$", line)
    if not match:
        return None
    text = match[3]
    depth = 0
    in_string = False
    for index, char in enumerate(text):
        if char == '"' and (index == 0 or text[index - 1] != "\\"):
            in_string = not in_string
        elif in_string:
            continue
        elif char in "([":
            depth += 1
        elif char in ")]":
            depth -= 1
        elif depth == 0 and (char == "{" or text.startswith("else {", index)):
            return match[1], match[2], text[:index].rstrip(), " " + text[index:]
    return None


def is_plain(clause: str) -> bool:
    return clause != "true" and not re.match(r"^\s*(let|var|case|#)\b|^$", clause) and " = " not in clause


def only_tells(lines: list[str], number: int) -> bool:
    """Whether all that depends on the condition of a line is that something is told."""
    found = condition_of(lines[number])
    if not found:
        return False
    depth = len(lines[number]) - len(lines[number].lstrip()) + (0 if found[1] == "guard" else 4)
    starts = []
    for line in lines[number + 1 :]:
        indent = len(line) - len(line.lstrip())
        if line.strip() and indent < depth:
            break
        if line.strip() and indent == depth and line.strip()[0] not in ")]}":
            starts.append(line)
    return bool(starts) and all(TELLS.search(line) for line in starts)


def of_conditions(path: str, number: int, lines: list[str]) -> list[Draft]:
    line = lines[number]
    found = condition_of(line)
    if not found or only_tells(lines, number):
        return []
    head, keyword, text, rest = found
    clauses = split_top(text, ", ")
    drafts = []
    for index, clause in enumerate(clauses or []):
        if not is_plain(clause) or TELLS.search(clause):
            continue
        wrapped = clause.strip()

        def changed(new: str) -> tuple[str, ...]:
            return (f"{head}{keyword} {', '.join(clauses[:index] + [new] + clauses[index + 1:])}{rest}",)

        drafts.append(Draft(
            NEGATED, path, number, (line,), changed(f"mutant(#) != ({wrapped})"), f"`{wrapped}` is negated"))
        if keyword == "guard":
            drafts.append(Draft(
                DROPPED, path, number, (line,), changed(f"(mutant(#) || ({wrapped}))"), f"`{wrapped}` is not asked"))
    return drafts


def of_where(path: str, number: int, line: str) -> list[Draft]:
    match = re.match(r"^(\s*(?:case|for) .*) where (.*?)(:| \{)(.*)$", line)
    if not match or not is_plain(match[2]) or split_top(match[2], ", ") != [match[2]]:
        return []
    new = f"{match[1]} where mutant(#) || ({match[2]}){match[3]}{match[4]}"
    return [Draft(DROPPED, path, number, (line,), (new,), f"`where {match[2]}` is not asked")]


def is_statement(line: str) -> bool:
    text = line.strip()
    if not line.startswith("        ") or KEYWORDS.match(text) or TELLS.search(text) or "//" in text:
        return False
    return bool(STATEMENT.match(text)) and split_top(text, "\0") is not None and not text.startswith(".")


def changes(text: str) -> str | None:
    """What a statement assigns to, or the object that it calls; `None` for a call of the own."""
    found = re.match(r"(?:try )?(?:await )?([A-Za-z_]\w*(?:\??\.\w+|\[\w+\])*)", text.strip())
    path = found[1] if found else ""
    if re.match(re.escape(path) + r"[\w.?\[\]]* [-+]?= ", re.sub(r"^(try )?(await )?", "", text.strip())):
        return path
    return path.rpartition(".")[0] or None


def may_matter(one: str, other: str) -> bool:
    """Whether the order of two statements may: the one touches what the other reads or writes, or one of them waits."""
    if "await " in one or "await " in other:
        return True
    pair = (changes(one), changes(other))
    if one.strip().split("(")[0] == other.strip().split("(")[0] and " = " not in one:
        return False  # two calls of the same are taken to commute
    if pair == (None, None):
        return True
    for path, text in ((pair[0], other), (pair[1], one)):
        tokens = re.findall(r"(?<![\w.\"])[A-Za-z_]\w*(?:\??\.\w+|\[\w+\])*", text)
        if path and any(f"{token}.".startswith(f"{path}.") or f"{path}.".startswith(f"{token}.") for token in tokens):
            return True
    return False


def of_statements(path: str, number: int, lines: list[str]) -> list[Draft]:
    line = lines[number]
    # A line that belongs to an expression over several lines is no statement.
    before = lines[number - 1].rstrip()
    if not is_statement(line) or not re.search(r"([{};:)]|^|^\s*//.*| in|[\w\"\]?!])$", before) or before.endswith(","):
        return []
    pad = line[: len(line) - len(line.lstrip())]
    text = line.strip()
    drafts = [Draft(
        DELETED, path, number, (line,), (f"{pad}if !mutant(#) {{ {text} }}",), f"`{text}` is left out")]
    after = lines[number + 1]
    if is_statement(after) and after.startswith(pad) and after[len(pad)] != " " and may_matter(text, after):
        both = (f"{pad}if mutant(#) {{", f"{pad}    {after.strip()}", f"{pad}    {text}", f"{pad}}} else {{",
                f"{pad}    {text}", f"{pad}    {after.strip()}", f"{pad}}}")
        drafts.append(Draft(SWAPPED, path, number, (line, after), both, f"`{after.strip()}` comes before `{text}`"))
    return drafts


def candidates(root: Path) -> dict[str, list[Draft]]:
    found: dict[str, list[Draft]] = {kind: [] for kind in KINDS}
    for module in MODULES:
        for file in sorted((root / "Sources" / module).rglob("*.swift")):
            path = str(file.relative_to(root))
            if NOT_FROM.search(path):
                continue
            lines = file.read_text().split("\n")
            in_text = False
            telling: int | None = None
            for number in range(1, len(lines) - 1):
                indent = len(lines[number]) - len(lines[number].lstrip())
                if telling is None and TELLING.search(lines[number]):
                    telling = indent
                elif telling is not None and lines[number].startswith(" " * telling + "}"):
                    telling = None
                if lines[number].count('"""') == 1:
                    in_text = not in_text
                if in_text or telling is not None or lines[number].lstrip().startswith("//"):
                    continue
                for draft in (
                    of_conditions(path, number, lines) + of_where(path, number, lines[number])
                    + of_statements(path, number, lines)
                ):
                    found[draft.kind].append(draft)
    return found


def shuffled(drafts: list[Draft], seed: int) -> list[Draft]:
    """Keyed: a line that comes or goes elsewhere does not change the order of the others."""

    def key(draft: Draft) -> str:
        return hashlib.sha256(f"{seed}/{draft.kind}/{draft.path}/{draft.old}/{draft.new}".encode()).hexdigest()

    return sorted(drafts, key=key)


def slug(draft: Draft) -> str:
    word = draft.kind.split(" ")[0]
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", Path(draft.path).stem).replace("+", "-").lower()
    return f"{word}-in-{name}"


def name_of(draft: Draft) -> str:
    return f"{draft.path}: {draft.kind}: {draft.what}"


def redrawn() -> set[str]:
    """What is not to be drawn again; each stands in a line, and its reason in the next one, set in."""
    file = mutants.PATCHES / "redrawn.txt"
    lines = file.read_text().splitlines() if file.is_file() else []
    return {line for line in lines if line.strip() and not line.startswith((" ", "#"))}


def write(draft: Draft, number: int, seed: int) -> mutants.Mutant:
    mutant = mutants.Mutant(number, slug(draft), {
        "Title": f"{draft.kind[0].upper()}{draft.kind[1:]}: {draft.what[:160]}", "Class": "drawn",
        "Breaks": "not chosen, drawn", "Shows": "in any story", "Seed": f"{seed}, {draft.kind}"})
    source = (mutants.ROOT / draft.path).read_text().split("\n")
    new = [line.replace("mutant(#)", f"mutant({number})") for line in draft.new]
    source[draft.line : draft.line + len(draft.old)] = new
    mutants.write_patch(mutant, {draft.path: source})
    return mutant


def build(tree: Path, scratch: Path) -> list[tuple[str, int]]:
    """Places of errors; empty when it builds."""
    # Not optimised: it is only about what compiles, and so only what has changed is compiled again.
    command = ["swift", "build", "--package-path", str(tree), "--scratch-path", str(scratch), "--target", "Wiring"]
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode == 0:
        return []
    pattern = re.compile(r"^" + re.escape(str(tree)) + r"/(\S+?):(\d+):\d+: error:", re.MULTILINE)
    places = sorted({(match[1], int(match[2])) for match in pattern.finditer(ran.stdout + ran.stderr)})
    if not places:
        sys.exit("the build fails, and names no place:\n" + (ran.stdout + ran.stderr)[-2000:])
    return places


def culprits(tree: Path, places: list[tuple[str, int]], drawn: dict[int, Draft]) -> set[int]:
    found = set()
    for path, line in places:
        lines = (tree / path).read_text().split("\n")
        for distance in range(0, 12):
            near = {int(number) for at in (line - 1 - distance, line - 1 + distance) if 0 <= at < len(lines)
                    for number in mutants.SWITCH.findall(lines[at])}
            if near:
                break
        if not near & drawn.keys():
            sys.exit(f"{path}:{line} does not compile, and nothing drawn is near")
        found |= near & drawn.keys()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--first", type=int, default=101, help="the first number")
    parser.add_argument("--tree", type=Path, required=True, help="folder for the sources with the mutants in them")
    parser.add_argument("--scratch", type=Path, required=True, help="folder for the build")
    settings = parser.parse_args()
    taken: dict[str, set[int]] = {}
    there = mutants.read_all()
    for mutant in there:
        for path in mutant.files:
            source = (mutants.ROOT / path).read_text().split("\n")
            for edit in mutants.edits(mutant, path, source):
                taken.setdefault(path, set()).update(range(edit.begin, max(edit.end, edit.begin + 1)))
    queues = {kind: shuffled(drafts, settings.seed) for kind, drafts in candidates(mutants.ROOT).items()}
    print(", ".join(f"{len(drafts)} places for a {kind}" for kind, drafts in queues.items()))
    drawn: dict[int, Draft] = {}
    unwanted = redrawn()
    wanted = range(settings.first, settings.first + settings.count)
    free = sorted(set(wanted) - {mutant.number for mutant in there})
    while True:
        for number in free:
            kind = TURNS[(number - settings.first) % len(TURNS)]
            while queues[kind]:
                draft = queues[kind].pop(0)
                lines = set(range(draft.line, draft.line + len(draft.old)))
                if not lines & taken.setdefault(draft.path, set()) and name_of(draft) not in unwanted:
                    taken[draft.path] |= lines
                    drawn[number] = draft
                    write(draft, number, settings.seed)
                    break
        mutants.make_tree(settings.tree, mutants.read_all())
        free = sorted(culprits(settings.tree, build(settings.tree, settings.scratch), drawn))
        for number in free:
            print(f"does not compile: {drawn[number].path}:{drawn[number].line + 1} {drawn[number].what}")
            (mutants.PATCHES / f"{number:02d}-{slug(drawn[number])}.patch").unlink()
            del drawn[number]
        if not free:
            break
    for number, draft in sorted(drawn.items()):
        print(f"{number} {name_of(draft)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
