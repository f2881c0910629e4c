"""why: the chain because of which one node waits for another, in a large order, beside planning that order."""

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
    for kind, orders in (
        ("random", edges(GROUPS, 3 * GROUPS)),
        ("chain", ((group, group + 1) for group in range(GROUPS - 1))),
    ):
        with open(os.path.join(folder, kind), "w") as seq:
            seq.writelines(f"g{group}: n{group}\n" for group in range(GROUPS))
            seq.writelines(f"g{before} > g{after}\n" for before, after in orders)


def main():
    cstartup, seqfile = measure.built("cstartup"), measure.built("seqfile")
    report = measure.Report("why", f"{GROUPS} groups of one node; 3 orders a group, or a chain of all")
    with tempfile.TemporaryDirectory() as folder:
        write(folder)
        os.environ.update(ORDERLY_CONFIG_DIR=folder, ORDERLY_STATE_DIR=folder)
        for kind in ("random", "chain"):
            seq, inventory = os.path.join(folder, kind), os.path.join(folder, "genders")
            why = [cstartup, "--sequence", seq, "--why", f"n{GROUPS - 1}", "n0"]
            plan = [cstartup, "--sequence", seq, "-k", "ALL"]
            waves = [seqfile, "--read", seq, "-i", inventory, "--from", "genders", "--waves"]
            contenders = [("cstartup --why", why, None), ("cstartup -k", plan, None), ("seqfile --waves", waves, None)]
            best = measure.beside(contenders, 3)
            report.table(kind, best, "cstartup --why")
            for name, key, promised in (("cstartup -k", "ratio", True), ("seqfile --waves", "waves_ratio", False)):
                ratio = best["cstartup --why"][1] / best[name][1]
                words = f"{kind}: --why takes {ratio:.2f} times the CPU of {name}" + (" (1 promised)" if promised else "")
                report.fact(f"{kind}_{key}", round(ratio, 2), words, ratio <= 1 if promised else None)
    report.write()


main()
