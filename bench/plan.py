"""plan: a sequence file is read, checked and ordered, beside tsort and ninja on the same order, and a C program that only
puts each of its words into a hash table (the floor).

The answers are checked first: the waves of seqfile are computed anew here, tsort and ninja have to name everything after
what it waits for, and one order against the others has to be rejected as a cycle. BENCH_NODES sets another number.
"""

import json
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
        ninja.write("rule r\n  command = true\n  description = $out\n")
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


def check_waves(seqfile, seq):
    """Ends the bench unless each node is in the wave after the last one that its group waits for."""
    groups = NODES // 10
    waves = [0] * groups
    # Orders lead from lower to higher numbers.
    for before, after in sorted(edges(groups, 3 * groups)):
        waves[after] = max(waves[after], waves[before] + 1)
    told = json.loads(measure.output([seqfile, "--read", seq, "--json"]))["waves"]
    got = [None] * NODES
    for number, wave in enumerate(told):
        for name in wave:
            got[int(name[1:])] = number
    for node, number in enumerate(got):
        if number != waves[node // 10]:
            measure.wrong(f"seqfile puts n{node} into wave {number} instead of {waves[node // 10]}")


def check_cycle(seqfile, seq, folder):
    """Ends the bench unless one order against the others is rejected."""
    around = os.path.join(folder, "around")
    with open(seq, encoding="utf-8") as text, open(around, "w", encoding="utf-8") as out:
        for line in text:
            out.write(line)
        before, after = next(iter(edges(NODES // 10, 1)))
        out.write(f"g{after} > g{before}\n")
    measure.output([seqfile, "--check", around], statuses=(3,))
    os.remove(around)


def check_lines(name, out, pairs):
    """Ends the bench unless a peer printed the left of each pair before its right."""
    places = {line: place for place, line in enumerate(out)}
    with open(pairs, encoding="utf-8") as lines:
        for line in lines:
            before, after = line.split()
            # ninja does not print groups, which are phony.
            if before in places and after in places and places[before] >= places[after]:
                measure.wrong(f"{name} puts {after} before {before}")
    if sum(line[0] == "n" for line in places) != NODES:
        measure.wrong(f"{name} does not name {NODES} nodes")


def contenders_of(folder, seqfile):
    """Who orders the file, each after its answer was looked at."""
    seq, pairs, groups, build = write(folder, NODES)
    check_waves(seqfile, seq)
    check_cycle(seqfile, seq, folder)
    contenders = [("seqfile --check", [seqfile, "--check", seq], None)]
    if floor := measure.compiled("hash_words.c", folder):
        different = int(measure.output([floor, seq]).split()[1])
        if different != NODES + NODES // 10 + 1:
            measure.wrong(f"hash_words finds {different} different words")
        contenders.append(("C hash table", [floor, seq], None))
    if tsort := measure.found("tsort"):
        check_lines("tsort", measure.output([tsort, pairs]).split(), pairs)
        contenders.append(("tsort, same graph", [tsort, pairs], None))
        contenders.append(("tsort, no nodes", [tsort, groups], None))
    if ninja := measure.found("ninja"):
        argv = [ninja, "-n", "-f", build, "-C", folder]
        printed = measure.output(argv).split("\n")
        check_lines("ninja", [line.split()[-1] for line in printed if line.startswith("[")], pairs)
        contenders.append(("ninja -n, same graph", argv, None))
    return contenders


def main():
    rounds = int(os.environ.get("ROUNDS", "3"))
    seqfile = measure.built("seqfile")
    report = measure.Report("plan", f"{NODES} nodes in {NODES // 10} groups, {3 * NODES // 10} orders")
    with tempfile.TemporaryDirectory() as folder:
        best = measure.beside(contenders_of(folder, seqfile), rounds)
        report.table("order", best, "seqfile --check")
        wall, cpu, memory = best["seqfile --check"]
        if "tsort, same graph" in best:
            ratio = best["tsort, same graph"][0] / wall
            report.at_least("tsort_ratio", ratio, 10, "{:.1f} times as fast as tsort")
        if "C hash table" in best:
            report.at_most("floor_ratio", wall / best["C hash table"][0], 3, "{:.2f} times the C program's wall time")
        report.at_most("bytes_a_node", memory * 1024 / NODES, 120, "{:.0f} bytes of peak memory a node")
        tenth = write(folder, NODES // 10)[0]
        fewer = measure.beside([("tenth", [seqfile, "--check", tenth], None)], max(rounds, 5))["tenth"][1]
        report.at_most("growth", cpu / fewer, 12, "ten times the nodes take {:.1f} times the CPU time")
    report.write()


if __name__ == "__main__":
    main()
