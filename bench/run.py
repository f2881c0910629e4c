"""Runs all benches, or those that are named, and ends with one table of what was met, missed and left out; `make bench` calls
it. The exit status is 1 when a bench failed, such as by a wrong answer. A goal that is missed is no failure.
"""

import json
import os
import subprocess
import sys

import measure

# In the order of bench/README.md.
ALL = (
    "dispatch", "plan", "makespan", "batch", "redfish", "look", "straggler", "probe", "start", "fold", "ssh", "backup",
    "holders", "handover", "small_inputs", "why", "instructions", "growth",
)


def command(name):
    """The words that run a bench."""
    script = os.path.join(measure.HERE, name)
    if os.path.exists(f"{script}.sh"):
        return ["sh", f"{script}.sh"]
    if not os.path.exists(f"{script}.py"):
        sys.exit(f"bench: there is no {name}; one of: {' '.join(ALL)}")
    return [sys.executable, "-B", f"{script}.py"]


def results(name):
    """What a bench wrote, or None."""
    path = os.path.join(measure.RESULTS, f"{name}.json")
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def summed_up(name, status):
    """The lines of the summary for one bench, and how many goals it met and missed."""
    if status == measure.LEFT_OUT:
        return [f"  {name:13} did not run"], 0, 0
    if status != 0:
        return [f"  {name:13} FAILED: it ended with {status}"], 0, 0
    written = results(name)
    goals = [fact for fact in written["facts"].values() if "met" in fact]
    lines = [
        f"  {name if at == 0 else '':13} {'met   ' if fact['met'] else 'MISSED'}  {fact['words']} (goal: {fact['goal']})"
        for at, fact in enumerate(goals)
    ]
    for at, what in enumerate(written["left_out"]):
        lines.append(f"  {name if at == 0 and not goals else '':13} without {what}")
    met = sum(fact["met"] for fact in goals)
    return lines or [f"  {name:13} no goal"], met, len(goals) - met


def main():
    names = sys.argv[1:] or ALL
    commands = {name: command(name) for name in names}
    statuses = {}
    os.environ.setdefault("BENCH_LOAD", str(os.getloadavg()[0]))
    for name, argv in commands.items():
        sys.stdout.flush()
        statuses[name] = subprocess.run(argv, check=False).returncode
    met = missed = 0
    rows_missed = []
    print("\nsummary\n")
    for name, status in statuses.items():
        lines, more_met, more_missed = summed_up(name, status)
        print("\n".join(lines))
        met, missed = met + more_met, missed + more_missed
        if more_missed:
            rows_missed.append(name)
    failed = [name for name, status in statuses.items() if status not in (0, measure.LEFT_OUT)]
    without = [name for name, status in statuses.items() if status == measure.LEFT_OUT]
    print(f"\n  goals: {met} met, {missed} missed; rows with a goal missed: {', '.join(rows_missed) or 'none'}")
    print(f"  did not run: {', '.join(without) or 'none'}; failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
