"""holders: who keeps a file system busy, among 5,000 processes with 50,000 open files, beside fuser and lsof.

All three are asked for the same mount, which 20 of the processes use. Needs root and a C compiler; the
mount is in a mount namespace of the bench's own. PROCESSES and FILES (a process) set other numbers.
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


def compare(asset):
    """Runs the contenders once they agree, and returns the best figures of each."""
    ours = [measure.built("ha-release"), "--holders", asset]
    contenders = [("ha-release --holders", ours, None)]
    named = {"ha-release": told([*ours, "--json"], by_ours)}
    for name, flags, terse in [("fuser", ["-m", asset], []), ("lsof", [asset], ["-t"])]:
        path = measure.found(name)
        if path:
            contenders.append((name, [path, *flags], None))
            named[name] = told([path, *terse, *flags], by_words)
    for name, pids in named.items():
        if len(pids) != HOLDERS or pids != named["ha-release"]:
            sys.exit(f"bench: {name} names {len(pids)} holders of {HOLDERS}")
    return measure.beside(contenders, int(os.environ.get("ROUNDS", "5")))


def main():
    if not measure.privately("holders"):
        return 0
    report = measure.Report("holders", f"{HOLDERS} of {PROCESSES} processes, {PROCESSES * FILES} open files")
    with tempfile.TemporaryDirectory() as folder:
        program = measure.compiled("open_files.c", folder)
        if program is None:
            return 0
        others, asset = os.path.join(folder, "others"), os.path.join(folder, "asset")
        os.mkdir(others)
        os.mkdir(asset)
        subprocess.run(["mount", "-t", "tmpfs", "asset", asset], check=True)
        command = [program, str(PROCESSES), str(FILES), others, str(HOLDERS), asset]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as crowd:
            try:
                if crowd.stdout.readline() != b"ready\n":
                    sys.exit("bench: open_files failed")
                best = compare(asset)
            finally:
                crowd.stdin.close()
                crowd.wait()
                subprocess.run(["umount", asset], check=True)
        report.table("holders", best, "ha-release --holders")
        if "fuser" in best:
            ratio = best["fuser"][0] / best["ha-release --holders"][0]
            report.fact("fuser_ratio", round(ratio, 2), f"{ratio:.1f} times as fast as fuser (10 promised)", ratio >= 10)
    report.write()
    return 0


sys.exit(main())
