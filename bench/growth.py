"""growth: cost against size, for plan, dispatch and backup: CPU seconds of ours and of a peer or floor, each at several sizes,
drawn as growth.svg beside this file. A straight line at 45 degrees is a cost that grows as the size does.

Each point is the best of ROUNDS. The backup is the second one of a directory in which nothing changed; it needs root. SCALE
divides all sizes, for a try.
"""

import os
import subprocess
import sys
import tempfile
import time

import dispatch
import measure
import plan
import svg

SCALE = int(os.environ.get("SCALE", "1"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
SIZES = {
    "plan": (10_000, 30_000, 100_000, 300_000, 1_000_000),
    "dispatch": (300, 1_000, 3_000, 10_000),
    "backup": (1_000, 10_000, 30_000, 100_000),
}


def sizes(kind):
    """The sizes of one kind of work, in hundreds, because dispatch has a hundred groups."""
    return sorted({max(size // SCALE // 100, 1) * 100 for size in SIZES[kind]})


def planned(size, folder):
    """The contenders of plan.py on so many nodes."""
    seq, pairs, _, _ = plan.write(folder, size)
    contenders = [("seqfile --check", [measure.built("seqfile"), "--check", seq], None)]
    if floor := measure.compiled("hash_words.c", folder):
        contenders.append(("C hash table", [floor, seq], None))
    if tsort := measure.found("tsort"):
        contenders.append(("tsort", [tsort, pairs], None))
    return contenders


def dispatched(size, folder):
    """The contenders of dispatch.py on so many nodes."""
    dispatch.NODES = size
    wanted = ("cstartup", "C loop", "ninja")
    return [contender for contender in dispatch.programs(folder, [dispatch.TRUE]) if contender[0] in wanted]


def backed_up(size, folder):
    """habackup, find and rsync on so many files, after a first copy of each."""
    for name in ("shared", "at", "files", "copies"):
        os.mkdir(os.path.join(folder, name))
    files, copies = os.path.join(folder, "files"), os.path.join(folder, "copies")
    for number in range(size):
        inside = os.path.join(files, str(number // 100))
        os.makedirs(inside, exist_ok=True)
        with open(os.path.join(inside, f"file{number}"), "w", encoding="utf-8") as out:
            out.write("x" * (number * 37 % 4096))
    config = os.path.join(folder, "ha.toml")
    with open(config, "w", encoding="utf-8") as out:
        out.write(
            f'[[host]]\nname = "bench1"\n[[host]]\nname = "bench2"\n[asset]\nkind = "bind"\nsource = "{folder}/shared"\n'
            f'[[asset.mount]]\nat = "{folder}/at"\n[backup]\ndirectory = "{folder}/at/store"\ninclude = ["{files}"]\n'
            'keep = 100\nmax_age = "2h"\nrequire_services = false\n'
        )
    os.environ.update(ORDERLY_HOST="bench1", ORDERLY_STATE_DIR=os.path.join(folder, "state"))
    subprocess.run(["mount", "--bind", os.path.join(folder, "shared"), os.path.join(folder, "at")], check=True)
    # A time within two seconds proves nothing to habackup, and it reads such a file again.
    time.sleep(3)
    habackup = [measure.built("habackup"), "--config", config, "-q"]
    measure.output(habackup)
    contenders = [("habackup", habackup, None), ("find -ls", [measure.found("find"), files, "-ls"], None)]
    if rsync := measure.found("rsync"):
        measure.output([rsync, "-aHAX", f"{files}/", f"{copies}/0/"])
        again = [rsync, "-aHAX", f"--link-dest={copies}/0", f"{files}/", f"{copies}/1/"]
        contenders.append(("rsync --link-dest", again, None))
    return contenders


def points(kind, contenders_of):
    """For each contender of one kind of work: (size, CPU seconds), from the smallest size on."""
    curves = {}
    for size in sizes(kind):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["ORDERLY_CONFIG_DIR"] = os.environ["ORDERLY_STATE_DIR"] = folder
            copy = os.path.join(folder, "copies", "1")
            try:
                contenders = contenders_of(size, folder)
                best = measure.beside(contenders, ROUNDS, lambda _: subprocess.run(["rm", "-rf", copy], check=True))
            finally:
                if kind == "backup":
                    subprocess.run(["umount", os.path.join(folder, "at")], check=False)
        for name, (_, cpu, _) in best.items():
            curves.setdefault(name, []).append((size, max(cpu, 1e-4)))
    return curves


def main():
    alone = os.geteuid() == 0
    if alone:
        measure.privately("growth")
    report = measure.Report("growth", "CPU seconds against size")
    drawn = []
    for kind, unit, contenders_of in (
        ("plan", "nodes", planned), ("dispatch", "nodes", dispatched), ("backup", "files, nothing changed", backed_up)
    ):
        if kind == "backup" and not alone:
            measure.left_out("backup", "needs root")
            continue
        curves = points(kind, contenders_of)
        drawn.append((f"{kind}: {unit}", curves))
        for name, curve in curves.items():
            said = "  ".join(f"{size}: {cpu:.4f}" for size, cpu in curve)
            print(f"  {kind + ': ' + name:28} {said}")
            report.rows.append({"work": kind, "program": name, "cpu_seconds": curve})
    os.makedirs(measure.RESULTS, exist_ok=True)
    path = os.path.join(measure.RESULTS, "growth.svg")
    with open(path, "w", encoding="utf-8") as out:
        out.write(svg.drawing("CPU seconds against size", drawn))
    print(f"\n  drawn: {os.path.relpath(path)}")
    report.write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
