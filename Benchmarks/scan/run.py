# SPDX-License-Identifier: Apache-2.0
"""What a scan of a large archive costs: the first one, and one with little that is new. Prints JSON.

    python3 Benchmarks/scan/run.py [AGENT] [--segments N] [--new N]     AGENT: the release build, or $REPRISE_AGENT

Seconds are by the wall clock and hold the server's work too (on another core, as far as there is one); CPU seconds and
memory are the agent's alone. Fails when a result is wrong or the memory is above the limit.
"""
import argparse
import base64
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
MEMORY_LIMIT_MB = 64


def decode(log):
    lines = [line.split(" ", 1)[1] for line in log.splitlines() if line.split(" ", 1)[0].isdigit()]
    return json.loads(gzip.decompress(base64.b64decode("".join(lines))))


def scan(agent, segments, new, known, folder):
    server = subprocess.Popen([sys.executable, str(HERE / "server.py"), str(segments), str(new)], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    port = server.stdout.readline().strip()
    environment = {"AWS_ENDPOINT": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": "key",
                   "AWS_SECRET_ACCESS_KEY": "secret", "REPRISE_TERMINATION_LOG": f"{folder}/termination"}
    command = [agent, "scan", "--repository", "--bucket", "bench"] + (["--known", known] if known else [])
    begin = time.monotonic()
    with open(f"{folder}/log", "wb") as log:
        child = subprocess.Popen(command, env=environment, stdout=log)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - begin
    counters = json.loads(server.communicate()[0])
    result = decode(Path(folder, "log").read_text())
    if child.returncode != 0 or result["code"] != "OK":
        sys.exit(f"the scan failed: {result['code']}: {result.get('message')}")
    return result, {
        "seconds": round(seconds, 2), "cpuSeconds": round(used.ru_utime + used.ru_stime, 2),
        "peakMemoryMB": round(used.ru_maxrss / 1024, 1), "requests": counters["requests"],
        "listings": counters["listings"], "objects": result["objects"], "resultBytes": len(json.dumps(result)),
        "serverCPUSeconds": counters["cpuSeconds"]}


def check(listing, segments, what):
    def number(name):
        return int(name[8:16], 16) * 256 + int(name[16:], 16)
    held = sum(number(one["last"]) - number(one["first"]) + 1 for one in listing["ranges"])
    facts = {"ranges": (len(listing["ranges"]), 3), "segments": (held, segments),
             "backups": (len(listing["backups"]), 20),
             "problems": (sum("problem" in one for one in listing["backups"]), 0),
             "timelines": ([(one["timeline"], one.get("parent")) for one in listing["timelines"]], [(2, 1), (3, 2)]),
             "segmentSize": (listing.get("segmentSize"), 16 << 20), "suspicion": (listing.get("suspicion"), None),
             "busiestHour": (listing["busiestHour"]["segments"], 360)}
    wrong = {name: pair for name, pair in facts.items() if pair[0] != pair[1]}
    if wrong:
        sys.exit(f"the {what} scan is wrong (found, expected): {wrong}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("agent", nargs="?", default=os.environ.get("REPRISE_AGENT"))
    parser.add_argument("--segments", type=int, default=1_000_000)
    parser.add_argument("--new", type=int, default=100)
    wanted = parser.parse_args()
    if not wanted.agent:
        parser.error("which agent?")
    with tempfile.TemporaryDirectory() as folder:
        result, first = scan(wanted.agent, wanted.segments, 0, None, folder)
        [archive] = result["archives"]
        check(archive["listing"], wanted.segments, "first")
        known = Path(folder, "known")
        known.mkdir()
        Path(known, "orders-15.json").write_text(json.dumps(archive["listing"]))
        result, second = scan(wanted.agent, wanted.segments, wanted.new, str(known), folder)
        [archive] = result["archives"]
        check(archive["listing"], wanted.segments + wanted.new, "second")
        if result["isFull"]:
            sys.exit("the second scan listed everything anew")
        result, third = scan(wanted.agent, wanted.segments, 0, str(known), folder)
        if result["archives"] != [{"path": "orders", "major": 15}]:
            sys.exit("an unchanged archive was reported again")
    print(json.dumps({"segments": wanted.segments, "new": wanted.new, "first": first, "second": second,
                      "unchanged": third}, indent=2))
    high = max(first["peakMemoryMB"], second["peakMemoryMB"])
    if high > MEMORY_LIMIT_MB:
        sys.exit(f"{high} MB at the peak; the limit is {MEMORY_LIMIT_MB}")


if __name__ == "__main__":
    main()
