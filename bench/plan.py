"""plan: a sequence file is read, checked and ordered, beside tsort and ninja on the same order."""

import os
import tempfile

import measure

NODES = int(os.environ.get("BENCH_NODES", 1_000_000))


def edges(groups, count):
    """Returns orders between groups, from lower to higher numbers: no cycle; always the same ones."""
    seed, reach = 1, max(1, groups // 150)
    for _ in range(count):
        seed = (seed * 6364136223846793005 + 1442695040888963407) % 2**64
        before = (seed >> 33) % (groups - 1)
        yield before, before + 1 + (seed >> 20) % min(groups - 1 - before, reach)


def write(folder, nodes):
    """Writes the order of so many nodes as each program reads it; a tenth as many groups, three orders a group."""
    groups = nodes // 10
    paths = [os.path.join(folder, f"{nodes}.{kind}") for kind in ("seq", "tsort", "groups", "ninja")]
    with open(paths[0], "w") as seq, open(paths[1], "w") as tsort, open(paths[2], "w") as only, open(
        paths[3], "w"
    ) as ninja:
        ninja.write("rule r\n  command = true\n")
        leading = {}
        for before, after in edges(groups, 3 * groups):
            leading.setdefault(after, set()).add(before)
        for group in range(groups):
            names = [f"n{node}" for node in range(group * 10, group * 10 + 10)]
            seq.write(f"g{group}: {' '.join(names)}\n")
            # tsort knows no groups: a beginning, the nodes, an end, which is what a group means.
            tsort.writelines(f"b{group} {name}\n{name} e{group}\n" for name in names)
            waits = "".join(f" e{before}" for before in sorted(leading.get(group, ())))
            ninja.write(f"build b{group}: phony{waits}\n")
            ninja.writelines(f"build {name}: r b{group}\n" for name in names)
            ninja.write(f"build e{group}: phony {' '.join(names)}\n")
        for before, after in edges(groups, 3 * groups):
            seq.write(f"g{before} > g{after}\n")
            tsort.write(f"e{before} b{after}\n")
            only.write(f"g{before} g{after}\n")
    return paths


def main():
    seqfile, tsort, ninja = measure.built("seqfile"), measure.found("tsort"), measure.found("ninja")
    report = measure.Report("plan", f"{NODES} nodes in {NODES // 10} groups, {3 * NODES // 10} orders")
    with tempfile.TemporaryDirectory() as folder:
        seq, pairs, groups, build = write(folder, NODES)
        contenders = [("seqfile --check", [seqfile, "--check", seq], None)]
        if tsort:
            contenders.append(("tsort, same graph", [tsort, pairs], None))
            contenders.append(("tsort, no nodes", [tsort, groups], None))
        if ninja:
            contenders.append(("ninja -n, same graph", [ninja, "-n", "-f", build, "-C", folder], None))
        best = measure.beside(contenders, 3)
        report.table("order", best, "seqfile --check")
        wall, _, memory = best["seqfile --check"]
        if tsort:
            ratio = best["tsort, same graph"][0] / wall
            report.fact("tsort_ratio", round(ratio, 2), f"{ratio:.1f} times as fast as tsort (3 promised)", ratio >= 3)
        each = memory * 1024 / NODES
        report.fact("bytes_a_node", round(each), f"{each:.0f} bytes of peak memory a node (300 promised)", each < 300)
        tenth = write(folder, NODES // 10)[0]
        fewer = measure.beside([("tenth", [seqfile, "--check", tenth], None)], 3)["tenth"][1]
        growth = best["seqfile --check"][1] / fewer if fewer else 0
        report.fact("growth", round(growth, 2), f"ten times the nodes take {growth:.1f} times the CPU", growth < 20)
        small = write(folder, 10_000)[0]
        count = measure.instructions([seqfile, "--check", small])
        if count is not None:
            report.fact("instructions_10000", count, f"{count} instructions for 10000 nodes")
    report.write()


if __name__ == "__main__":
    main()
