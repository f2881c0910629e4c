"""The table and the goals of backup.sh, from its rows: name, wall seconds, CPU seconds, peak KiB. The median of the rounds
counts, because what a file system does later disturbs the best one as much as others; of memory, the most.
"""

import os
import sys

import measure

PEERS = ("rsync", "restic", "borg")


def read(path):
    """For each kind of work its contenders with their figures."""
    runs = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            name, *figures = line.split()
            work, _, program = name.partition(".")
            runs.setdefault(work, {}).setdefault(program, []).append(tuple(map(float, figures)))
    middle = lambda figures: sorted(figures)[(len(figures) - 1) // 2]
    return {
        work: {program: (*middle(all_of_it)[:2], max(one[2] for one in all_of_it)) for program, all_of_it in programs.items()}
        for work, programs in runs.items()
    }


def main():
    path, files, large, many = sys.argv[1:]
    for program in ("cp", "find", "tar", "zstd", *(PEERS if os.environ.get("PEERS", "yes") == "yes" else PEERS[:1])):
        measure.found(program)
    report = measure.Report("backup", f"{files} files and {large} MiB; {many} files for the memory")
    best = read(path)
    for work, programs in best.items():
        report.table(work, programs, "habackup")
    same, first = best["same"], best["first"]
    ratio = same["rsync"][0] / same["habackup"][0]
    report.at_least("same_rsync_ratio", ratio, 4, "nothing changed: {:.1f} times as fast as rsync")
    ratio = same["habackup"][0] / same["find"][0]
    report.at_most("same_find_ratio", ratio, 2, "nothing changed: {:.2f} times the wall time of find -ls")
    report.ahead("same_ahead", same, "habackup", ["find"])
    ratio = first["habackup"][0] / first["cp"][0]
    report.at_most("first_cp_ratio", ratio, 1.2, "first: {:.2f} times the wall time of cp -a")
    for name, (_, _, memory) in best.get("mem", {}).items():
        if name.split("-")[0] in PEERS:
            report.fact(f"mem_{name}", round(memory / 1024, 1), f"{many} files: {name} takes {memory / 1024:.1f} MiB")
        else:
            report.at_most(f"mem_{name}", memory / 1024, 200, f"{many} files: {name} takes {{:.1f}} MiB")
    report.write()


main()
