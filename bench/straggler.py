"""straggler: one of 100 nodes hangs for ever, beside clush and pdsh with a limit of two seconds a command.

For each program is told when the other 99 were done, with the one that hangs and without it, and when the one is named. Each
node's command notes when it ran, which no program can pretend. Ours is told the limit in `limits.timeout`.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time

import measure

NODES = 100
LIMIT = 2
FANOUT = 64
HANGS = "n50"
# Seconds that the command of each other node takes.
WORK = 0.2


def ours(folder, action):
    """Writes what cstartup reads."""
    config = os.path.join(folder, "cluster.toml")
    with open(os.path.join(folder, "inventory.json"), "w", encoding="utf-8") as out:
        json.dump({"nodes": [{"name": f"n{number}"} for number in range(NODES)]}, out)
    for name in ("start", "shut"):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as out:
            out.write(f"all: n[0-{NODES - 1}]\n")
    with open(config, "w", encoding="utf-8") as out:
        out.write(f'inventory = "{folder}/inventory.json"\nlog_dir = "{folder}/log"\n')
        out.write(f'sequence = {{ start = "{folder}/start", shut = "{folder}/shut" }}\n')
        out.write(f'[power]\ndriver = "command"\non = ["{action}", "{{node}}"]\noff = ["false", "{{node}}"]\n')
        out.write(f'[probe]\ndriver = "none"\n[limits]\nfanout = {FANOUT}\ntimeout = "{LIMIT}s"\n')
    return [measure.built("cstartup"), "--config", config]


def names_it(line):
    """Tells whether a line says that the node which hangs is late, not merely that it began."""
    words = line.lower().replace(":", " ").replace(",", " ").split()
    return HANGS in words and any(word in line.lower() for word in ("time", "limit", "fail", "killed"))


def watch(argv):
    """Runs a program; seconds until it names the node that hangs, or None, and until it ends."""
    begun = time.time()
    named = None
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in child.stdout:
        if named is None and names_it(line):
            named = time.time() - begun
    child.wait()
    return begun, named, time.time() - begun


def done(notes, begun, nodes):
    """Seconds until the last of these nodes had its command run; ends the bench unless each had, once."""
    with open(notes, encoding="utf-8") as lines:
        noted = [line.split() for line in lines]
    if sorted(node for node, _ in noted) != sorted(nodes):
        measure.wrong(f"{len(noted)} of {len(nodes)} commands ran")
    return max(float(when) for _, when in noted) - begun


def run(notes, pids, argv, nodes):
    """One run: seconds until all these nodes are done, until the one is named, and until the end; what it left running."""
    for path in (notes, pids):
        open(path, "w", encoding="utf-8").close()
    begun, named, ended = watch(argv)
    left = 0
    with open(pids, encoding="utf-8") as lines:
        for pid in map(int, lines):
            try:
                os.kill(pid, signal.SIGKILL)
                left += 1
            except ProcessLookupError:
                pass
    return done(notes, begun, nodes), named, ended, left


def summed_up(runs):
    """The least of each figure, but for when the one is named, which is the latest; None where it never was."""
    finished, named, ended, left, alone = zip(*runs)
    return min(finished), None if None in named else max(named), min(ended), max(left), min(alone)


def main():
    rounds = int(os.environ.get("ROUNDS", "3"))
    report = measure.Report("straggler", f"one of {NODES} nodes hangs for ever; a limit of {LIMIT} s")
    everyone = [f"n{number}" for number in range(NODES)]
    others = [node for node in everyone if node != HANGS]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ORDERLY_CONFIG_DIR"] = os.environ["ORDERLY_STATE_DIR"] = folder
        action, notes, pids = (os.path.join(folder, name) for name in ("action", "notes", "pids"))
        with open(action, "w", encoding="utf-8") as out:
            # What hangs tells its number, because a peer may leave it behind.
            hang = f'[ "$1" != {HANGS} ] || {{ echo $$ >>"{pids}"; exec sleep 3600; }}'
            out.write(f'#!/bin/sh\n{hang}\nsleep {WORK}\necho "$1 $(date +%s.%N)" >>"{notes}"\n')
        os.chmod(action, 0o755)
        start = ours(folder, action)
        contenders = {"cstartup": ([*start, "ALL"], [*start, "-x", HANGS, "ALL"])}
        for name in ("clush", "pdsh"):
            if path := measure.found(name):
                argv = [path, "-R", "exec", "-u", str(LIMIT), "-f", str(FANOUT), "-w"]
                contenders[name] = ([*argv, ",".join(everyone), action, "%h"], [*argv, ",".join(others), action, "%h"])
        print(f"  {'':34} {'99 done s':>9} {'alone s':>9} {'named s':>9} {'ended s':>9}")
        runs_of = {}
        for _ in range(rounds):
            for name, (all_of_them, without) in contenders.items():
                figures = (*run(notes, pids, all_of_them, others), run(notes, pids, without, others)[0])
                runs_of.setdefault(name, []).append(figures)
    for name, runs in runs_of.items():
        finished, named, ended, left, alone = summed_up(runs)
        said = "never" if named is None else f"{named:9.3f}"
        print(f"  {name:34} {finished:9.3f} {alone:9.3f} {said:>9} {ended:9.3f}")
        if name != "cstartup":
            words = f"{name}: the other {NODES - 1} take {finished / alone:.2f} times as long as without it"
            report.fact(f"{name}_others_ratio", round(finished / alone, 2), words)
            if left:
                report.fact(f"{name}_left_running", left, f"{name} leaves the command that hangs running")
            continue
        words = f"cstartup: the other {NODES - 1} take {{:.2f}} times as long as without it"
        report.at_most("others_ratio", finished / alone, 1.1, words)
        after = (named or float("inf")) - LIMIT
        words = f"cstartup names it {after:.2f} s after its limit"
        report.at_most("left_running", left, 0, "cstartup leaves {} commands running")
        report.goal("named_after_limit", round(after, 3), words, "at most 1 s", 0 <= after <= 1)
    report.write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
