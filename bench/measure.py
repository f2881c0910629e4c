"""Runs programs beside each other and reports how they compare.

Every program runs several times, in turn with the others, and its best run counts: a slower run was disturbed by something
else. Only ratios are comparable between machines, so the table and the file in bench/results give ratios; the seconds beside
them are for reading the table.

A bench first checks the answers of all programs and ends with an error when one is wrong. A goal that is missed is no error:
it is marked in the table, in the file and in the summary of `make bench`.
"""

import atexit
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
RESULTS = os.environ.get("RESULTS", os.path.join(HERE, "results"))
# The exit status of a bench that this machine cannot run.
LEFT_OUT = 77

# How a program prints its version where that is not --version; only its first line with a number in it is read.
VERSION = {
    "ipmipower": ["--version"],
    "lsof": ["-v"],
    "openssl": ["version"],
    "pdsh": ["-V"],
    "powerman": ["-V"],
    "restic": ["version"],
    "ssh": ["-V"],
    "sshd": ["-V"],
}
versions = {}
missing = []
kept = None


def built(program):
    """The path of the release build of one of our programs."""
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(os.path.dirname(HERE), "target"))
    path = os.path.abspath(os.path.join(os.environ.get("BIN_DIR", os.path.join(target, "release")), program))
    if not os.access(path, os.X_OK):
        sys.exit(f"bench: {path} does not exist; run: make all")
    return path


def version(path):
    """The version that a program reports, or "unknown"."""
    name = os.path.basename(path)
    argv = [path, *VERSION.get(name, ["--version"])]
    out = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    lines = out.stdout.decode(errors="replace").splitlines()
    # lsof prints its history first.
    preferred = [line for line in lines if re.search(r"revision: *\d", line)]
    found_in = re.search(r"\d+(\.\d+)+(p\d+)?", "\n".join(preferred or lines))
    return found_in.group() if found_in else "unknown"


def found(program):
    """The path of a peer, or None, which is reported."""
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin")
    if path is None:
        left_out(program, "not installed")
    elif program not in versions:
        versions[program] = version(path)
    return path


def left_out(what, why):
    """Reports what this machine cannot run."""
    print(f"did not run: {what}: {why}")
    missing.append(what)


def impossible(name, why):
    """Ends a bench that this machine cannot run at all."""
    left_out(name, why)
    sys.exit(LEFT_OUT)


def wrong(words):
    """Ends a bench in which a program gave a wrong answer."""
    sys.exit(f"bench: wrong answer: {words}")


def compiled(source, folder, flags=()):
    """The path of the program that a C source of this directory makes, or None, which is reported."""
    compiler = shutil.which("cc")
    if compiler is None:
        left_out(os.path.splitext(source)[0], "needs a C compiler")
        return None
    program = os.path.join(folder, os.path.splitext(source)[0])
    subprocess.run([compiler, "-O2", *flags, "-o", program, os.path.join(HERE, source)], check=True)
    return program


def privately(name, *namespaces):
    """Continues in new mount and process namespaces, and in those that are named; ends the bench where that cannot be."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        impossible(name, "needs root and unshare")
    if os.environ.get("BENCH_PRIVATE") == name:
        return
    os.environ["BENCH_PRIVATE"] = name
    apart = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--mount-proc", *namespaces]
    if subprocess.run([*apart, "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        impossible(name, "this machine permits no namespaces")
    os.execvp("unshare", [*apart, sys.executable, "-B", *sys.argv])


def output(argv, stdin=None, statuses=(0,)):
    """What a program prints on standard output; ends the bench when it exits with another status."""
    with open(stdin or os.devnull, "rb") as source:
        ended = subprocess.run(argv, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if ended.returncode not in statuses:
        errors = ended.stderr.decode(errors="replace")[-2000:]
        sys.exit(f"bench: {' '.join(argv)[:500]} ended with {ended.returncode}: {errors}")
    return ended.stdout.decode(errors="replace")


def timer():
    """The path of timed.c, compiled for as long as this bench runs; ends the bench without a C compiler."""
    global kept
    if kept is None:
        kept = tempfile.TemporaryDirectory()
        atexit.register(kept.cleanup)
    program = os.path.join(kept.name, "timed")
    if not os.path.exists(program) and compiled("timed.c", kept.name) is None:
        impossible("all benches", "timed.c measures them")
    return program


def run_once(argv, stdin=None, statuses=(0,)):
    """Wall seconds, CPU seconds and peak KiB of one run, whose output is discarded."""
    program = timer()
    figures = f"{program}.figures"
    path = shutil.which(argv[0]) or argv[0]
    with open(stdin or os.devnull, "rb") as source, open(os.devnull, "wb") as sink, tempfile.TemporaryFile() as errors:
        subprocess.run([program, figures, path, *argv[1:]], stdin=source, stdout=sink, stderr=errors, check=True)
        with open(figures, encoding="utf-8") as out:
            wall, cpu, memory, status = out.read().split()
        if int(status) not in statuses:
            errors.seek(0)
            said = errors.read().decode(errors="replace")[-2000:]
            sys.exit(f"bench: {' '.join(argv)[:500]} ended with {status}: {said}")
    return float(wall), float(cpu), int(memory)


def beside(contenders, rounds, before=None, after=None):
    """Runs every contender `rounds` times, in turn; the best figures of each, by name.

    `before` and `after` are called around each run with the contender's name: to set back what a run changes, and to
    look at what it did.
    """
    best = {}
    for _ in range(rounds):
        for name, argv, stdin in contenders:
            if before:
                before(name)
            figures = run_once(argv, stdin)
            if after:
                after(name)
            best[name] = tuple(map(min, best.get(name, figures), figures))
    return best


def instructions(argv, statuses=(0,)):
    """The instructions that one run takes, whatever else the machine does; None without valgrind."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out")
        command = [valgrind, "--tool=callgrind", f"--callgrind-out-file={out}", *argv]
        output(command, statuses=statuses)
        with open(out, encoding="utf-8") as text:
            totals = [line for line in text if line.startswith(("summary:", "totals:"))]
    return int(totals[0].split()[1])


class Report:
    """The table on standard output, and the same as bench/results/NAME.json."""

    def __init__(self, name, title):
        self.name = name
        self.title = title
        self.rows = []
        self.facts = {}
        # Before the first bench of several, not after the one before.
        self.load = float(os.environ.get("BENCH_LOAD") or os.getloadavg()[0])
        print(f"\n{name}: {title}\n")
        if self.load > 1:
            print(f"  The load of this machine is {self.load:.1f}: the figures are not those of a quiet machine.\n")

    def table(self, work, best, ours):
        """Prints one comparison; the others are measured against the contender named `ours`."""
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

    def fact(self, key, value, words):
        """Adds a figure without a goal."""
        print(f"          {words}")
        self.facts[key] = {"value": value, "words": words}

    def goal(self, key, value, words, goal, met):
        """Adds a figure with the goal it has to reach."""
        print(f"  {'met   ' if met else 'MISSED'}  {words} (goal: {goal})")
        self.facts[key] = {"value": value, "words": words, "goal": goal, "met": bool(met)}

    def at_most(self, key, value, limit, words):
        """Adds a figure that may not exceed a limit; `words` has a place for it, as in "{:.2f} times the floor"."""
        self.goal(key, round(value, 3), words.format(value), f"at most {limit:,}", value <= limit)

    def at_least(self, key, value, limit, words):
        """Adds a figure that has to reach a limit."""
        self.goal(key, round(value, 3), words.format(value), f"at least {limit:,}", value >= limit)

    def ahead(self, key, best, ours, floors=()):
        """Adds the peers that were faster than ours: there should be none; floors are no peers."""
        faster = [name for name in best if name not in (ours, *floors) and best[name][0] < best[ours][0]]
        self.goal(key, faster, f"faster than {ours}: {', '.join(faster) or 'no peer'}", "no peer", not faster)

    def write(self, **more):
        """Writes the file, with `more` at its end; its versions and what was left out were collected on the way."""
        if versions:
            print(f"\n  versions: {', '.join(f'{name} {number}' for name, number in versions.items())}")
        os.makedirs(RESULTS, exist_ok=True)
        path = os.path.join(RESULTS, f"{self.name}.json")
        result = {
            "format": "orderly-bench/1",
            "name": self.name,
            "title": self.title,
            "machine": f"{platform.machine()}, {os.cpu_count()} processors, {platform.system()}",
            "load": round(self.load, 1),
            "versions": versions,
            "left_out": missing,
            "rows": self.rows,
            "facts": self.facts,
            **more,
        }
        with open(path, "w", encoding="utf-8") as out:
            json.dump(result, out, indent=2)
            out.write("\n")
        print(f"\n  written: {os.path.relpath(path)}")
