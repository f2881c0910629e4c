"""dispatch: 10,000 nodes in 100 groups, each group after the one before it, action `true`, at most 64
processes at once; beside a C loop of posix_spawn and wait (the floor), and programs that start many.

Only make, ninja and ours know an order; xargs, pdsh and clush run all of it at once. ninja and make
start a shell for what needs one; `true` alone does not in make. Set NODES for another number.
"""

import json
import os
import shutil
import sys
import tempfile

import measure

NODES = int(os.environ.get("NODES", "10000"))
GROUPS = 100
FANOUT = 64
TRUE = shutil.which("true")


def group(number):
    """Returns the nodes of a group."""
    size = NODES // GROUPS
    return [f"n{node}" for node in range(number * size, (number + 1) * size)]


def ours(folder):
    """Writes what cstartup reads; it has one command for each node and nothing to ask."""
    os.environ["ORDERLY_CONFIG_DIR"] = os.environ["ORDERLY_STATE_DIR"] = folder
    with open(os.path.join(folder, "inventory.json"), "w", encoding="utf-8") as out:
        json.dump({"nodes": [{"name": f"n{number}"} for number in range(NODES)]}, out)
    with open(os.path.join(folder, "order"), "w", encoding="utf-8") as out:
        out.writelines(f"g{number}: {' '.join(group(number))}\n" for number in range(GROUPS))
        out.write(" > ".join(f"g{number}" for number in range(GROUPS)) + "\n")
    with open(os.path.join(folder, "cluster.toml"), "w", encoding="utf-8") as out:
        out.write(f'inventory = "{folder}/inventory.json"\nlog_dir = "{folder}/log"\n')
        out.write(f'sequence = {{ start = "{folder}/order", shut = "{folder}/shut" }}\n')
        out.write(f'[power]\ndriver = "command"\non = ["{TRUE}"]\noff = ["{TRUE}"]\n')
        out.write(f'[probe]\ndriver = "none"\n[limits]\nfanout = {FANOUT}\n')
    os.mkdir(os.path.join(folder, "log"))
    return [measure.built("cstartup"), "-q", "ALL"]


def makefile(folder):
    """Writes the same order for make; a group is done when its stamp is."""
    path = os.path.join(folder, "Makefile")
    with open(path, "w", encoding="utf-8") as out:
        out.write(f".PHONY: all\nall: g{GROUPS - 1}\n")
        for number in range(GROUPS):
            nodes = " ".join(group(number))
            before = f" | g{number - 1}" if number else ""
            out.write(f".PHONY: g{number} {nodes}\ng{number}: {nodes}\n{nodes}:{before}\n\t@{TRUE}\n")
    return path


def build_ninja(folder):
    """Writes the same order for ninja."""
    path = os.path.join(folder, "build.ninja")
    with open(path, "w", encoding="utf-8") as out:
        out.write(f"rule run\n  command = {TRUE}\n")
        for number in range(GROUPS):
            before = f" || g{number - 1}" if number else ""
            out.writelines(f"build {node}: run{before}\n" for node in group(number))
            out.write(f"build g{number}: phony {' '.join(group(number))}\n")
        out.write(f"default g{GROUPS - 1}\n")
    return path


def main():
    rounds = int(os.environ.get("ROUNDS", "3"))
    title = f"{NODES} nodes in {GROUPS} groups, action true, {FANOUT} at once"
    report = measure.Report("dispatch", title)
    with tempfile.TemporaryDirectory() as folder:
        names = os.path.join(folder, "names")
        with open(names, "w", encoding="utf-8") as out:
            out.writelines(f"n{number}\n" for number in range(NODES))
        contenders = [("cstartup", ours(folder), None)]
        loop = measure.compiled("spawn_loop.c", folder)
        if loop:
            contenders.append(("C loop", [loop, str(NODES), str(FANOUT), TRUE], None))
        fan, all_nodes = str(FANOUT), f"n[0-{NODES - 1}]"
        for name, argv, stdin in [
            ("xargs", ["-P", fan, "-n", "1", TRUE], names),
            ("make", ["-s", "-j", fan, "-f", makefile(folder)], None),
            ("ninja", ["--quiet", "-j", fan, "-C", folder, "-f", build_ninja(folder)], None),
            ("pdsh", ["-R", "exec", "-f", fan, "-w", all_nodes, TRUE], None),
            ("clush", ["-R", "exec", "-f", fan, "-w", all_nodes, TRUE], None),
        ]:
            if "peers" not in os.environ.get("SKIP", "") and (path := measure.found(name)):
                contenders.append((name, [path, *argv], stdin))
        best = measure.beside(contenders, rounds)
    report.table("dispatch", best, "cstartup")
    wall, cpu, _ = best["cstartup"]
    if loop:
        for key, at, mine in [("wall", 0, wall), ("cpu", 1, cpu)]:
            ratio = mine / best["C loop"][at]
            words = f"{ratio:.2f} times the C loop's {key} (1.15 promised)"
            report.fact(f"c_loop_{key}_ratio", round(ratio, 3), words, ratio <= 1.15)
    slower = [name for name in best if name not in ("cstartup", "C loop") and best[name][0] < wall]
    words = f"faster than ours: {', '.join(slower) or 'no peer'}"
    report.fact("peers_ahead", slower, words, not slower)
    report.write()
    return 0


sys.exit(main())
