"""holders: who keeps a file system busy, among 5,000 processes with 50,000 open files, beside fuser, lsof, and a C
program that reads the same links of /proc on all processors (the floor).

All of them are asked for the same mount, which 20 of the processes use, and have to name those before anything is measured.
Needs root and a C compiler; the mount is in a mount namespace of the bench's own. PROCESSES and FILES (a process) set other
numbers.
"""

import json
import os
import subprocess
import sys
import tempfile

import measure

PROCESSES = int(os.environ.get("PROCESSES", "5000"))
FILES = int(os.environ.get("FILES", "10"))
HOLDERS = 20


def told(argv, pick):
    """Returns the process numbers that a program names."""
    out = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout
    return sorted(pick(out.decode()))


def by_ours(out):
    return [use["pid"] for use in json.loads(out)["holders"]]


def by_words(out):
    return [int(word) for word in out.split()]


def compare(asset, folder):
    """Runs the contenders once they agree; the best figures of each."""
    ours = [measure.built("ha-release"), "--holders", asset]
    contenders = [("ha-release --holders", ours, None)]
    named = {"ha-release": told([*ours, "--json"], by_ours)}
    if floor := measure.compiled("read_links.c", folder):
        contenders.append(("C loop", [floor, str(os.cpu_count()), asset], None))
        named["read_links"] = told(contenders[-1][1], by_words)
    for name, flags, terse in [("fuser", ["-m", asset], []), ("lsof", [asset], ["-t"])]:
        if path := measure.found(name):
            contenders.append((name, [path, *flags], None))
            named[name] = told([path, *terse, *flags], by_words)
    for name, pids in named.items():
        if len(pids) != HOLDERS or pids != named["ha-release"]:
            measure.wrong(f"{name} names {len(pids)} holders of {HOLDERS}")
    return measure.beside(contenders, int(os.environ.get("ROUNDS", "5")))


def main():
    measure.privately("holders")
    measure.timer()
    report = measure.Report("holders", f"{HOLDERS} of {PROCESSES} processes, {PROCESSES * FILES} open files")
    with tempfile.TemporaryDirectory() as folder:
        program = measure.compiled("open_files.c", folder)
        others, asset = os.path.join(folder, "others"), os.path.join(folder, "asset")
        os.mkdir(others)
        os.mkdir(asset)
        subprocess.run(["mount", "-t", "tmpfs", "asset", asset], check=True)
        command = [program, str(PROCESSES), str(FILES), others, str(HOLDERS), asset]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as crowd:
            try:
                if crowd.stdout.readline() != b"ready\n":
                    sys.exit("bench: open_files failed")
                best = compare(asset, folder)
            finally:
                crowd.stdin.close()
                crowd.wait()
                subprocess.run(["umount", asset], check=True)
    report.table("holders", best, "ha-release --holders")
    if "C loop" in best:
        ratio = best["ha-release --holders"][0] / best["C loop"][0]
        report.at_most("floor_ratio", ratio, 1.25, "{:.2f} times the C loop's wall time")
    report.ahead("peers_ahead", best, "ha-release --holders", ["C loop"])
    report.write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
