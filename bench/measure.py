"""Runs programs beside each other and tells how they compare.

A program is run several times, in turn with the others, and its best run counts: what is slower was
disturbed by something else. Only ratios leave the machine they were taken on, so the table and the
file in bench/results say ratios; the seconds beside them are for reading the table, not for comparing
machines.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
RESULTS = os.path.join(HERE, "results")


def built(program):
    """Returns the release build of one of our programs."""
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(os.path.dirname(HERE), "target"))
    folder = os.environ.get("BIN_DIR", os.path.join(target, "release"))
    path = os.path.join(folder, program)
    if not os.access(path, os.X_OK):
        sys.exit(f"bench: {path} is not there; run: make all")
    return path


def found(program):
    """Returns the path of a peer, or nothing, which is said."""
    path = shutil.which(program)
    if path is None:
        print(f"did not run: {program} is not installed")
    return path


def compiled(source, folder):
    """Returns the program that a C source of this folder makes, or nothing, which is said."""
    compiler = found("cc")
    if compiler is None:
        return None
    program = os.path.join(folder, os.path.splitext(source)[0])
    subprocess.run([compiler, "-O2", "-o", program, os.path.join(HERE, source)], check=True)
    return program


def privately(name):
    """Goes on in mount and process namespaces of its own; tells whether it could, and says where not."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        print(f"did not run: {name}: needs root and unshare")
        return False
    if os.environ.get("BENCH_PRIVATE") != name:
        os.environ["BENCH_PRIVATE"] = name
        apart = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--mount-proc"]
        os.execvp("unshare", [*apart, sys.executable, "-B", *sys.argv])
    return True


def run_once(argv, stdin=None):
    """Returns wall seconds, CPU seconds and peak KiB of one run; its output goes nowhere."""
    with open(stdin or os.devnull, "rb") as source, open(os.devnull, "wb") as sink:
        start = time.perf_counter()
        child = subprocess.Popen(argv, stdin=source, stdout=sink, stderr=subprocess.PIPE)
        said = child.stderr.read()
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        child.stderr.close()
    if child.returncode != 0:
        sys.exit(f"bench: {' '.join(argv)} ended with {child.returncode}: {said.decode(errors='replace')}")
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss


def beside(contenders, rounds):
    """Runs every contender `rounds` times, in turn, and returns the best figures of each by name."""
    best = {}
    for _ in range(rounds):
        for name, argv, stdin in contenders:
            wall, cpu, memory = run_once(argv, stdin)
            old = best.get(name, (wall, cpu, memory))
            best[name] = (min(old[0], wall), min(old[1], cpu), min(old[2], memory))
    return best


def instructions(argv):
    """Returns the instructions one run takes, which no other load changes; nothing without valgrind."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out")
        command = [valgrind, "--tool=callgrind", f"--callgrind-out-file={out}", *argv]
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        with open(out, encoding="utf-8") as text:
            totals = [line for line in text if line.startswith(("summary:", "totals:"))]
    return int(totals[0].split()[1])


class Report:
    """The table on standard output, and the same as bench/results/NAME.json."""

    def __init__(self, name, title):
        os.makedirs(RESULTS, exist_ok=True)
        self.name = name
        self.rows = []
        self.facts = {}
        print(f"\n{name}: {title}\n")

    def table(self, work, best, ours):
        """Prints one comparison; `ours` names the contender the others are measured against."""
        if not self.rows:
            print(f"  {'':34} {'wall s':>9} {'cpu s':>9} {'peak MiB':>9}  {'wall, we = 1':>12}")
        for name, (wall, cpu, memory) in best.items():
            ratio = wall / best[ours][0]
            print(f"  {work + ': ' + name:34} {wall:9.4f} {cpu:9.4f} {memory / 1024:9.1f}  {ratio:12.2f}")
            self.rows.append(
                {
                    "work": work,
                    "program": name,
                    "wall_ratio": round(ratio, 3),
                    "cpu_ratio": round(cpu / best[ours][1], 3) if best[ours][1] else None,
                    "memory_ratio": round(memory / best[ours][2], 3),
                }
            )

    def fact(self, key, value, words, holds=None):
        """Adds a figure of its own; `holds` says whether it meets what spec sheets promise."""
        mark = "" if holds is None else ("  met" if holds else "  MISSED")
        print(f"  {words}{mark}")
        self.facts[key] = value if holds is None else {"value": value, "met": holds}

    def write(self):
        os.makedirs(RESULTS, exist_ok=True)
        path = os.path.join(RESULTS, f"{self.name}.json")
        result = {
            "format": "orderly-bench/1",
            "name": self.name,
            "machine": f"{platform.machine()}, {os.cpu_count()} processors, {platform.system()}",
            "rows": self.rows,
            "facts": self.facts,
        }
        with open(path, "w", encoding="utf-8") as out:
            json.dump(result, out, indent=2)
            out.write("\n")
        print(f"\n  written: {os.path.relpath(path)}")
