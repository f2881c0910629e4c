"""why: the chain because of which one node waits for another, in a large order, beside planning that order."""

import json
import os
import tempfile

import measure
from plan import edges

GROUPS = int(os.environ.get("BENCH_GROUPS", 100_000))


def write(folder):
    """Writes a cluster of as many nodes as groups, and its order: a random one, and a chain through all groups."""
    with open(os.path.join(folder, "genders"), "w") as genders:
        genders.writelines(f"n{node} compute\n" for node in range(GROUPS))
    with open(os.path.join(folder, "cluster.toml"), "w") as cluster:
        cluster.write(f'inventory = "{folder}/genders"\ninventory_format = "genders"\n')
        cluster.write('power.driver = "simulator"\nprobe.driver = "simulator"\n')
    for kind in ("random", "chain"):
        with open(os.path.join(folder, kind), "w") as seq:
            seq.writelines(f"g{group}: n{group}\n" for group in range(GROUPS))
            seq.writelines(f"g{before} > g{after}\n" for before, after in orders_of(kind))


def orders_of(kind):
    """The orders of one of the two files."""
    return list(edges(GROUPS, 3 * GROUPS)) if kind == "random" else [(group, group + 1) for group in range(GROUPS - 1)]


def farthest(orders):
    """A group that waits the longest, and one without leaders at the beginning of its longest chain."""
    level, leader = [0] * GROUPS, [None] * GROUPS
    for before, after in sorted(orders):
        if level[before] >= level[after]:
            level[after], leader[after] = level[before] + 1, before
    last = first = max(range(GROUPS), key=level.__getitem__)
    while leader[first] is not None:
        first = leader[first]
    return first, last


def check(why, orders, first, last):
    """Ends the bench unless the chain leads from the first group to the last by orders that were written."""
    answer = json.loads(measure.output([*why, "--json"]))
    links = [tuple(int(name[1:]) for name in link["says"].split(" > ")) for link in answer["chain"] if link["kind"] == "order"]
    ends = [first, *(after for _, after in links)]
    if not set(links) <= set(orders) or ends[:-1] != [before for before, _ in links] or ends[-1] != last:
        measure.wrong(f"--why does not lead from n{first} to n{last}: {links[:5]}...")


def main():
    rounds = int(os.environ.get("ROUNDS", "3"))
    cstartup, seqfile = measure.built("cstartup"), measure.built("seqfile")
    report = measure.Report("why", f"{GROUPS} groups of one node; 3 orders a group, or a chain of all")
    with tempfile.TemporaryDirectory() as folder:
        write(folder)
        os.environ.update(ORDERLY_CONFIG_DIR=folder, ORDERLY_STATE_DIR=folder)
        for kind in ("random", "chain"):
            seq, inventory = os.path.join(folder, kind), os.path.join(folder, "genders")
            orders = orders_of(kind)
            first, last = farthest(orders)
            why = [cstartup, "--sequence", seq, "--why", f"n{last}", f"n{first}"]
            plan = [cstartup, "--sequence", seq, "-k", "ALL"]
            waves = [seqfile, "--read", seq, "-i", inventory, "--from", "genders", "--waves"]
            check(why, orders, first, last)
            contenders = [("cstartup --why", why, None), ("cstartup -k", plan, None), ("seqfile --waves", waves, None)]
            best = measure.beside(contenders, rounds)
            report.table(kind, best, "cstartup --why")
            cpu = best["cstartup --why"][1]
            ratio = cpu / best["cstartup -k"][1]
            report.at_most(f"{kind}_ratio", ratio, 1, f"{kind}: --why takes {{:.2f}} times the CPU time of cstartup -k")
            ratio = cpu / best["seqfile --waves"][1]
            words = f"{kind}: --why takes {ratio:.2f} times the CPU time of seqfile --waves"
            report.fact(f"{kind}_waves_ratio", round(ratio, 2), words)
    report.write()


if __name__ == "__main__":
    main()
