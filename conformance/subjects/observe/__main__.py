"""Reproduces the table of what the two official SDKs do with a gateway, row by row.

    python3 conformance/subjects/observe [--mock PROGRAM] [--sdk python|node] [--only NAME] [--jobs N]

Prints what was expected and what was observed. Exit 0: all as expected; 1: a row differs; 2: wrong use.
"""

import argparse
import concurrent.futures
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time

from mock import SUBJECTS, Mock, Unmet
from rows import NODE, PYTHON, play, scenarios

ROOT = SUBJECTS.parent.parent
# What the table was seen with.
SEEN_WITH = {
    PYTHON: {"dingtalk-stream": "0.24.3", "websockets": "17.4", "requests": "2.34.2"},
    NODE: {"dingtalk-stream": "2.1.5", "ws": "8.23.0", "axios": "1.21.1"},
}


class Lab:
    """What all scenarios share."""

    def __init__(self, mock, folder):
        self.mock, self.folder = mock, folder
        self.versions = {}
        self.lock = threading.Lock()

    def note_versions(self, sdk, versions):
        with self.lock:
            self.versions[sdk] = versions


def program(chosen):
    """The mock to use: the one chosen, else the one that was built last."""
    if chosen:
        return chosen
    builds = [ROOT / "target" / profile / "mock-dingtalk" for profile in ("release", "debug")]
    builds = [build for build in builds if build.exists()]
    if not builds:
        sys.exit("error: no mock-dingtalk was built\ntry: cargo build -p mock-dingtalk, or --mock PROGRAM")
    return max(builds, key=lambda build: build.stat().st_mtime)


def order(result):
    number = re.match(r"\d+", result.row)
    return (int(number[0]) if number else 99, result.row, result.sdk, result.action)


def main():
    parser = argparse.ArgumentParser(prog="observe", description=__doc__.split("\n\n")[0])
    parser.add_argument("--mock", help="the program; the last build of this tree if not given")
    parser.add_argument("--sdk", choices=[PYTHON, NODE], help="only this one")
    parser.add_argument("--only", help="only scenarios whose name has this in it")
    parser.add_argument("--jobs", type=int, default=10, help="bots at a time (default 10)")
    chosen = parser.parse_args()
    jobs = [
        (scenario, sdk)
        for scenario, sdk in scenarios()
        if chosen.sdk in (None, sdk) and (chosen.only or "") in scenario.__name__
    ]
    for sdk in sorted({sdk for _, sdk in jobs}):
        subprocess.run([SUBJECTS / sdk / "run", "--install"], check=True)
    begin = time.monotonic()
    mock = Mock(program(chosen.mock))
    try:
        with tempfile.TemporaryDirectory() as folder:
            lab = Lab(mock, folder)
            with concurrent.futures.ThreadPoolExecutor(chosen.jobs) as pool:
                played = [pool.submit(play, lab, scenario, sdk) for scenario, sdk in jobs]
                results = [result for each in played for result in each.result()]
    finally:
        mock.stop()
    differ = 0
    for sdk, versions in sorted(lab.versions.items()):
        right = versions == SEEN_WITH[sdk]
        differ += not right
        print(f"{sdk}: {json.dumps(versions)} {'as pinned' if right else f'NOT {SEEN_WITH[sdk]}'}")
    for result in sorted(results, key=order):
        verdict = {True: "same", False: "DIFFERS", None: "seen"}[result.same]
        differ += result.same is False
        print(f"\n{result.row:>3} {result.sdk:<6} {result.action}: {verdict}")
        print(f"      expected  {result.expected}")
        print(f"      observed  {result.observed}")
    same = sum(result.same is True for result in results)
    print(f"\n{same} same, {differ} differ, in {time.monotonic() - begin:.0f} s")
    return 1 if differ else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Unmet, subprocess.CalledProcessError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
