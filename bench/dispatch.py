"""dispatch: 10,000 nodes in 100 groups, each group after the one before it, action `true`, at most 64
processes at once; beside a C loop of posix_spawn and wait (the floor), and programs that start many.

Only make, ninja and ours know an order; xargs, pdsh and clush run all of it at once. ninja and make
start a shell for what needs one; `true` alone does not in make. Before anything is measured, each of them
runs once with an action that notes its node: all nodes have to be there, each once, and in order where an
order is known. Set NODES for another number.
"""

import json
import os
import shutil
import sys
import tempfile

import measure

GROUPS = 100
NODES = max(int(os.environ.get("NODES", "10000")) // GROUPS, 1) * GROUPS
FANOUT = 64
TRUE = shutil.which("true")


def group(number):
    """Returns the nodes of a group."""
    size = NODES // GROUPS
    return [f"n{node}" for node in range(number * size, (number + 1) * size)]


def ours(folder, action):
    """Writes what cstartup reads; it has one command for each node, which has to name it, and nothing to ask."""
    with open(os.path.join(folder, "inventory.json"), "w", encoding="utf-8") as out:
        json.dump({"nodes": [{"name": f"n{number}"} for number in range(NODES)]}, out)
    with open(os.path.join(folder, "order"), "w", encoding="utf-8") as out:
        out.writelines(f"g{number}: {' '.join(group(number))}\n" for number in range(GROUPS))
        out.write(" > ".join(f"g{number}" for number in range(GROUPS)) + "\n")
    with open(os.path.join(folder, "cluster.toml"), "w", encoding="utf-8") as out:
        out.write(f'inventory = "{folder}/inventory.json"\nlog_dir = "{folder}/log"\n')
        out.write(f'sequence = {{ start = "{folder}/order", shut = "{folder}/shut" }}\n')
        words = ", ".join(f'"{word}"' for word in [*action, "{node}"])
        out.write(f'[power]\ndriver = "command"\non = [{words}]\noff = ["{TRUE}", "{{node}}"]\n')
        out.write(f'[probe]\ndriver = "none"\n[limits]\nfanout = {FANOUT}\n')
    os.makedirs(os.path.join(folder, "log"), exist_ok=True)
    return [measure.built("cstartup"), "--config", os.path.join(folder, "cluster.toml"), "-q", "ALL"]


def makefile(folder, action):
    """Writes the same order for make; a group is done when its stamp is."""
    path = os.path.join(folder, "Makefile")
    words = " ".join([*action, *(["$@"] if len(action) > 1 else [])])
    with open(path, "w", encoding="utf-8") as out:
        out.write(f".PHONY: all\nall: g{GROUPS - 1}\n")
        for number in range(GROUPS):
            nodes = " ".join(group(number))
            before = f" | g{number - 1}" if number else ""
            out.write(f".PHONY: g{number} {nodes}\ng{number}: {nodes}\n{nodes}:{before}\n\t@{words}\n")
    return path


def build_ninja(folder, action):
    """Writes the same order for ninja."""
    path = os.path.join(folder, "build.ninja")
    with open(path, "w", encoding="utf-8") as out:
        out.write(f"rule run\n  command = {' '.join([*action, *(['$out'] if len(action) > 1 else [])])}\n")
        for number in range(GROUPS):
            before = f" || g{number - 1}" if number else ""
            out.writelines(f"build {node}: run{before}\n" for node in group(number))
            out.write(f"build g{number}: phony {' '.join(group(number))}\n")
        out.write(f"default g{GROUPS - 1}\n")
    return path


def programs(folder, action):
    """All contenders with this action; one of several words gets the node as its last."""
    names = os.path.join(folder, "names")
    with open(names, "w", encoding="utf-8") as out:
        out.writelines(f"n{number}\n" for number in range(NODES))
    contenders = [("cstartup", ours(folder, action), None)]
    if loop := measure.compiled("spawn_loop.c", folder):
        contenders.append(("C loop", [loop, str(NODES), str(FANOUT), *action], None))
    fan, all_nodes = str(FANOUT), f"n[0-{NODES - 1}]"
    noting = len(action) > 1
    for name, argv, stdin in [
        ("xargs", ["-P", fan, "-n", "1", *action], names),
        ("make", ["-s", "-j", fan, "-f", makefile(folder, action)], None),
        ("ninja", ["--quiet", "-j", fan, "-C", folder, "-f", build_ninja(folder, action)], None),
        ("pdsh", ["-R", "exec", "-f", fan, "-w", all_nodes, *action, *(["%h"] if noting else [])], None),
        ("clush", ["-R", "exec", "-f", fan, "-w", all_nodes, *action, *(["%h"] if noting else [])], None),
    ]:
        if "peers" not in os.environ.get("SKIP", "") and (path := measure.found(name)):
            contenders.append((name, [path, *argv], stdin))
    return contenders


def check(folder):
    """Ends the bench unless every contender acts once on each node, in order where it knows one."""
    note, notes = os.path.join(folder, "note"), os.path.join(folder, "notes")
    with open(note, "w", encoding="utf-8") as out:
        out.write('#!/bin/sh\necho "${2-}" >>"$1"\n')
    os.chmod(note, 0o755)
    for name, argv, stdin in programs(folder, [note, notes]):
        open(notes, "w", encoding="utf-8").close()
        measure.output(argv, stdin)
        with open(notes, encoding="utf-8") as lines:
            noted = lines.read().split("\n")[:-1]
        # The loop knows no names.
        if name == "C loop":
            noted = [f"n{number}" for number in range(len(noted))]
        if sorted(noted) != sorted(f"n{number}" for number in range(NODES)):
            measure.wrong(f"{name} acted {len(noted)} times, on {len(set(noted))} of {NODES} nodes")
        groups = [int(node[1:]) // (NODES // GROUPS) for node in noted]
        if name in ("cstartup", "make", "ninja") and groups != sorted(groups):
            measure.wrong(f"{name} began a group before the one before it had ended")


def main():
    rounds = int(os.environ.get("ROUNDS", "3"))
    report = measure.Report("dispatch", f"{NODES} nodes in {GROUPS} groups, action true, {FANOUT} at once")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ORDERLY_CONFIG_DIR"] = os.environ["ORDERLY_STATE_DIR"] = folder
        check(folder)
        best = measure.beside(programs(folder, [TRUE]), rounds)
    report.table("dispatch", best, "cstartup")
    if "C loop" in best:
        for key, at, words in [("wall", 0, "wall time"), ("cpu", 1, "CPU time")]:
            ratio = best["cstartup"][at] / best["C loop"][at]
            report.at_most(f"c_loop_{key}_ratio", ratio, 1.10, f"{{:.2f}} times the C loop's {words}")
    report.ahead("peers_ahead", best, "cstartup", ["C loop"])
    report.write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
