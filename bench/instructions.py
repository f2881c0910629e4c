"""instructions: how many instructions each of the six programs takes on a small input, counted by callgrind, which no other
load changes. Each count is compared with the one in results/instructions.json, within 5%.

Counts are kept for each rustc, C library and target, because each of these changes them. What has no count yet is recorded;
so is a count that is more than 5% lower. RECORD=yes records all of them anew. Runs that need namespaces of their own are left
out where there is no root.
"""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time

import measure
import plan

NODES = 100
FILES = 200
WITHIN = 0.05


def key(program):
    """What the counts depend on beside our source: the compiler in a program, its C library, its target."""
    with open(program, "rb") as file:
        binary = file.read()
    rustc = re.search(rb"rustc version ([^ )\0]+)", binary)
    musl = b"/ld-linux" not in binary
    libc = "musl" if musl else os.confstr("CS_GNU_LIBC_VERSION")
    target = f"{platform.machine()}-unknown-linux-{'musl' if musl else 'gnu'}"
    return f"rustc {rustc.group(1).decode() if rustc else 'unknown'}; {libc}; {target}"


def write(folder, name, text):
    """Writes a file; its path."""
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)
    return path


def nodes(folder):
    """Runs of seqfile, cstartup and cshutdown, on simulated nodes."""
    inventory = [{"name": f"n{number}", "boot_server": "n0"} if number else {"name": "n0"} for number in range(NODES)]
    inventory = write(folder, "inventory.json", json.dumps({"nodes": inventory}))
    order = f"first: n0\nothers: n[1-{NODES - 1}]\n"
    start, shut = write(folder, "start", order + "first > others\n"), write(folder, "shut", order + "others > first\n")
    text = f'inventory = "{inventory}"\nlog_dir = "{folder}"\nsequence = {{ start = "{start}", shut = "{shut}" }}\n'
    text += "".join(f'{table}.driver = "simulator"\n' for table in ("power", "shell", "probe"))
    text += '[simulator]\nlatency = "0s"\ninitial = '
    off, up = (write(folder, f"{state}.toml", f'{text}"{state}"\n') for state in ("off", "up"))
    names = ", ".join(f'"n{number:06}"' for number in range(12000) if number % 7)
    names = write(folder, "names", f'{{"format": "orderly-sequence/1", "groups": [{{"name": "g", "members": [{names}]}}]}}')
    seqfile = measure.built("seqfile")
    yield "seqfile --version", [seqfile, "--version"]
    yield f"seqfile -i, {NODES} nodes", [seqfile, "-i", inventory]
    yield "seqfile --check, 10000 nodes", [seqfile, "--check", plan.write(folder, 10_000)[0]]
    yield "seqfile --fold, 10000 names", [seqfile, "--from-json", names, "--fold"]
    yield f"cstartup -k, {NODES} nodes", [measure.built("cstartup"), "--config", off, "-k", "ALL"]
    yield f"cshutdown -k, {NODES} nodes", [measure.built("cshutdown"), "--config", up, "-k", "ALL"]


def pair(folder):
    """Runs of habackup, ha-release and ha-takeover, on a bind mount in this mount namespace."""
    for name in ("shared", "at", "files"):
        os.mkdir(os.path.join(folder, name))
    paths = [write(os.path.join(folder, "files"), f"f{number}", "x" * (number * 37 % 4096)) for number in range(FILES)]
    # So many that the mounts of the machine, which all three read, weigh little beside them.
    include = ", ".join(f'"{path}"' for path in paths)
    # A time within two seconds proves nothing to habackup, and it reads such a file again.
    time.sleep(3)
    config = write(
        folder,
        "ha.toml",
        f'[[host]]\nname = "bench1"\n[[host]]\nname = "bench2"\n[asset]\nkind = "bind"\nsource = "{folder}/shared"\n'
        f'[[asset.mount]]\nat = "{folder}/at"\n[backup]\ndirectory = "{folder}/at/store"\ninclude = [{include}]\n'
        'keep = 5\nmax_age = "2h"\nrequire_services = false\n',
    )
    takeover = [measure.built("ha-takeover"), "--config", config, "-n", "--peer-down", "bench2"]
    yield "ha-takeover -n", takeover
    subprocess.run(["mount", "--bind", os.path.join(folder, "shared"), os.path.join(folder, "at")], check=True)
    try:
        habackup = [measure.built("habackup"), "--config", config]
        yield f"habackup, {FILES} files", [*habackup, "-q"]
        # Two snapshots within a second are one more thing to tell apart.
        time.sleep(2)
        yield f"habackup, {FILES} files again", [*habackup, "-q"]
        yield f"habackup --verify, {FILES} files", [*habackup, "--verify"]
        # It says that it is not safe without a proof, and ends with that: 5.
        yield "ha-release -n", [measure.built("ha-release"), "--config", config, "-n", "--no-backup", "--skip", "proof"]
    finally:
        subprocess.run(["umount", os.path.join(folder, "at")], check=True)


def compare(report, counts, name, count):
    """Compares a count with the recorded one, and records it where there is none, or it fell."""
    recorded = counts.get(name)
    if recorded is None or os.environ.get("RECORD") == "yes":
        counts[name] = count
        report.fact(name, count, f"{name}: {count:,}, recorded")
        return
    ratio = count / recorded
    words = f"{name}: {count:,}, {ratio - 1:+.1%} against {recorded:,}"
    if ratio < 1 - WITHIN:
        counts[name] = count
        words += ", recorded anew"
    report.goal(name, count, words, f"at most {WITHIN:+.0%}", ratio <= 1 + WITHIN)


def main():
    if not shutil.which("valgrind"):
        measure.impossible("instructions", "needs valgrind")
    alone = os.geteuid() == 0 and shutil.which("unshare") is not None
    if alone:
        measure.privately("instructions")
    measure.found("valgrind")
    old = os.path.join(measure.RESULTS, "instructions.json")
    counts = {}
    if os.path.exists(old):
        with open(old, encoding="utf-8") as file:
            counts = json.load(file)["counts"]
    own = key(measure.built("seqfile"))
    report = measure.Report("instructions", f"instructions on small inputs; {own}")
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(ORDERLY_CONFIG_DIR=folder, ORDERLY_STATE_DIR=folder, ORDERLY_HOST="bench1")
        for kind in (nodes, pair):
            if kind is pair and not alone:
                measure.left_out("habackup, ha-release, ha-takeover", "need root and unshare")
                continue
            here = os.path.join(folder, kind.__name__)
            os.mkdir(here)
            for name, argv in kind(here):
                statuses = (5,) if name.startswith("ha-release") else (0,)
                compare(report, counts.setdefault(own, {}), name, measure.instructions(argv, statuses))
    report.write(counts=counts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
