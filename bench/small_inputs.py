"""small_inputs: small inputs of large cost. Each parser reads its worst shapes in doubling sizes, up to 4 MiB: twice the text
may take 2.3 times the CPU time, and 100 bytes of memory for each of its bytes. The worst of each counts, because a parser may
reject what is larger. A shape that takes seconds is not doubled again.

What a run on two of what the parser's first shape repeats takes is subtracted. The shapes are those of
tests/scenarios/growth.rs, where instructions are counted on shorter ones. Whether each is accepted or rejected is checked.
BYTES sets the largest size.
"""

import os
import sys
import tempfile

import measure

BYTES = int(os.environ.get("BYTES", 4 << 20))
# A run shorter than this many CPU seconds is measured by its clock's ticks, not by its work.
SHORTEST = 0.05
# A text that takes longer than this many CPU seconds is the last of its shape.
LONGEST = 2


def joined(count, between, one):
    return between.join(one(at) for at in range(count))


def groups(count):
    return joined(count, "\n", lambda at: f"g{at}: n{at}")


def tangle(count):
    """Long loops through one another."""
    after = lambda at, step: (at // 2 + step) * 2 % count
    return joined(count, "\n", lambda at: f"g{at}: n{at}\ng{at} > g{after(at, 1)}, g{after(at, 1) + 1}")


def thresholds(count):
    members = joined(count, " ", lambda at: f"n{at}")
    return f"g: {members}\n" + joined(count, "\n", lambda at: f"h{at}: m{at}\ng({at % 16 + 1}) > h{at}")


SEQUENCE = {
    "a chain of groups": (0, lambda n: f"{groups(n)}\n" + joined(n, " > ", lambda at: f"g{at}")),
    "a chain of shared nodes": (0, lambda n: joined(n, "\n", lambda at: f"g{at}: n{at} m\nh: g{at}")),
    "one long cycle": (3, lambda n: joined(n, "\n", lambda at: f"g{at}: n{at}\ng{at} > g{(at + 1) % n}")),
    "many cycles": (3, lambda n: joined(n, "\n", lambda at: f"a{at}: n{at}\nb{at}: m{at}\na{at} > b{at}\nb{at} > a{at}")),
    "a tangle of loops": (3, tangle),
    "undefined groups": (3, lambda n: joined(n, "\n", lambda at: f"g{at} > h{at}")),
    "one group with commas": (0, lambda n: "g: " + joined(n, ",", lambda at: f"n{at}")),
    "one group with differences": (0, lambda n: "g: " + joined(n, "!", lambda at: f"n{at}")),
    "one member in many groups": (0, lambda n: joined(n, "\n", lambda at: f"g{at}: n1")),
    "crossed ranges": (None, lambda n: "g: n[" + joined(n, ",", lambda at: f"{at}-{at + 2}") + "]"),
    "long ranges": (3, lambda n: joined(n, "\n", lambda at: f"g{at}: n[1-3999999]")),
    "one long range": (3, lambda n: "g: n[1-3999999]" + " m" * n),
    "thresholds of a large group": (0, thresholds),
    "open brackets": (3, lambda n: "g: " + "[1," * n),
    "parentheses": (3, lambda n: "g: " + "(n" * n),
    "backslashes": (3, lambda n: "g: " + "\\ " * n + "x"),
    "two long names": (3, lambda n: f"{'g' * n}a: n1\n{'g' * n}b > {'g' * n}a"),
}


def nodes_json(nodes):
    return f'{{"format":"orderly-inventory/1","nodes":[{nodes}]}}'


JSON = {
    "nodes": (0, lambda n: nodes_json(joined(n, ",", lambda at: f'{{"name":"n{at}","number":{at + 1}}}'))),
    "attributes of one node": (
        0,
        lambda n: nodes_json('{"name":"n",' + joined(n, ",", lambda at: f'"a{at}":1') + "}"),
    ),
    "one circle of servers": (
        3,
        lambda n: nodes_json(joined(n, ",\n", lambda at: f'{{"name":"n{at}","boot_server":"n{(at + 1) % n}"}}')),
    ),
    "a chain of servers": (
        0,
        lambda n: nodes_json('{"name":"n0"},' + joined(n, ",", lambda at: f'{{"name":"n{at + 1}","boot_server":"n{at}"}}')),
    ),
    "groups of one node": (
        0,
        lambda n: nodes_json('{"name":"n","groups":[' + joined(n, ",", lambda at: f'"g{at}"') + "]}"),
    ),
    "brackets": (3, lambda n: "[" * n),
}
GENDERS = {
    "attributes of one node": (0, lambda n: "n " + joined(n, ",", lambda at: f"a{at}=1") + "\n"),
    "one node line by line": (0, lambda n: joined(n, "\n", lambda at: f"n a{at}")),
    "%n in long values": (None, lambda n: f"n[1-{n // 8 + 1}] a=" + "%n" * n),
    "names of one line": (0, lambda n: joined(n, ",", lambda at: f"n{at}") + " a\n"),
    "long ranges": (3, lambda n: joined(n, "\n", lambda at: f"n[{at * 16000 + 1}-{at * 16000 + 16000}] a{at}")),
}


def ansible_group(at):
    return f'"g{at}":{{"hosts":["n{at}"],"children":["g{at + 1}"],"vars":{{"v":1}}}}'


def groups_above(count):
    """Hosts in a group each, all of which are below all other groups."""
    below = joined(count, ",", lambda at: f'"h{at}"')
    own = joined(count, ",", lambda at: f'"h{at}":["n{at}"]')
    above = joined(count, ",", lambda at: f'"g{at}":{{"children":["base"],"vars":{{"v{at}":1}}}}')
    return f'{{"base":{{"children":[{below}]}},{own},{above}}}'


ANSIBLE = {
    "a chain of groups": (
        None,
        lambda n: f'{{"g{n}":["n"],' + joined(n, ",", lambda at: f'"g{at}":{{"children":["g{at + 1}"]}}') + "}",
    ),
    "a chain of groups with hosts": (
        None,
        lambda n: f"{{{joined(n, ',', ansible_group)}}}",
    ),
    "groups above all others": (None, groups_above),
    "hosts of one group": (0, lambda n: '{"g":[' + joined(n, ",", lambda at: f'"n{at}"') + "]}"),
    "variables of one host": (
        0,
        lambda n: '{"_meta":{"hostvars":{"n":{' + joined(n, ",", lambda at: f'"a{at}":1') + '}}},"g":["n"]}',
    ),
}
WAREWULF = {
    "nodes": (0, lambda n: "{" + joined(n, ",", lambda at: f'"n{at}":{{"profiles":["p"]}}') + "}"),
    "networks of one node": (
        0,
        lambda n: '{"n":{"network devices":{' + joined(n, ",", lambda at: f'"e{at}":{{"ipaddr":"1"}}') + "}}}",
    ),
    "tags of one node": (0, lambda n: '{"n":{"tags":{' + joined(n, ",", lambda at: f'"t{at}":"1"') + "}}}"),
}
XCAT = {
    "nodes": (0, lambda n: joined(n, "\n", lambda at: f"n{at}:\n  objtype=node")),
    "attributes of one node": (0, lambda n: "n:\n" + joined(n, "\n", lambda at: f"  a{at}=1")),
    "interfaces in one line": (0, lambda n: "n:\n  nicips=" + joined(n, ",", lambda at: f"e{at}!10.0.0.1")),
}
TOML = {
    "unknown keys": (3, lambda n: joined(n, "\n", lambda at: f"a{at} = 1")),
    "nested arrays": (3, lambda n: "a = " + "[" * n),
    "a long command": (3, lambda n: "x.on = [" + joined(n, ",", lambda at: f'"w{at}"') + "]"),
}


def parsers(seqfile, cstartup, release, path):
    """Each parser: its name, the words that have it read the text, and its shapes."""
    yield "sequence", [seqfile, "--check", path], SEQUENCE
    for name, shapes in (
        ("json", JSON), ("genders", GENDERS), ("ansible", ANSIBLE), ("warewulf", WAREWULF), ("xcat", XCAT)
    ):
        yield name, [seqfile, "-i", path, "--from", name], shapes
    yield "cluster.toml", [cstartup, "--config", path, "-k", "ALL"], TOML
    yield "ha.toml", [release, "--config", path, "-n"], TOML


def count_for(make, size):
    """How many of what a shape repeats make a text of about this size."""
    # How long one more is depends on how many there are.
    count = 64
    while len(make(count)) < size:
        count *= 2
    return max(int(count * size / len(make(count))), 1)


def cost(argv, statuses, text, rounds):
    """CPU seconds and KiB of a run that reads this text."""
    path = next(word for word in argv if os.path.basename(word) == "input")
    with open(path, "w", encoding="utf-8") as out:
        out.write(text + "\n")
    os.chmod(path, 0o600)
    runs = [measure.run_once(argv, statuses=statuses) for _ in range(rounds)]
    return min(run[1] for run in runs), min(run[2] for run in runs)


def measured(argv, statuses, make, base, rounds):
    """CPU seconds, KiB and length of doubling texts of one shape, from a 256th of the largest on, above the base."""
    cpu, memory = base
    costs = []
    count = count_for(make, BYTES)
    for halved in range(8, -1, -1):
        text = make(max(count >> halved, 2))
        figures = cost(argv, statuses, text, rounds)
        costs.append((max(figures[0] - cpu, 0), max(figures[1] - memory, 0), len(text)))
        if len(costs) > 1 and costs[-1][0] > LONGEST:
            break
    return costs


def main():
    rounds = int(os.environ.get("ROUNDS", "3"))
    programs = [measure.built(name) for name in ("seqfile", "cstartup", "ha-release")]
    report = measure.Report("small_inputs", f"the worst texts of up to {BYTES} bytes, beside half of each")
    print(f"  {'':48} {'cpu s':>8} {'of half':>8} {'ratio':>6} {'bytes a byte':>13} {'KiB':>6}")
    slow, large, skipped = {}, {}, 0
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ORDERLY_CONFIG_DIR"] = os.environ["ORDERLY_STATE_DIR"] = folder
        path = os.path.join(folder, "input")
        for parser, argv, shapes in parsers(*programs, path):
            base = cost(argv, (0, 3), next(iter(shapes.values()))[1](2), 5)
            for shape, (status, make) in shapes.items():
                statuses = (0, 3) if status is None else (status,)
                costs = measured(argv, statuses, make, base, rounds)
                pairs = [(half, whole) for (half, _, _), (whole, _, _) in zip(costs, costs[1:]) if half >= SHORTEST]
                half, whole = max(pairs, key=lambda pair: pair[1] / pair[0], default=(costs[-2][0], costs[-1][0]))
                ratio = whole / half if pairs else None
                each = max(memory * 1024 / length for _, memory, length in costs)
                length = costs[-1][2]
                skipped += ratio is None
                said = f"{ratio:6.2f}" if ratio else f"{'short':>6}"
                print(f"  {parser + ': ' + shape:48} {whole:8.3f} {half:8.3f} {said} {each:13.0f} {length // 1024:6}")
                row = {"work": parser, "shape": shape, "bytes": length, "cpu_ratio": ratio and round(ratio, 3)}
                report.rows.append({**row, "bytes_a_byte": round(each, 1)})
                slow[f"{parser}: {shape}"], large[f"{parser}: {shape}"] = ratio or 0, each
    print()
    for key, all_of_them, limit, words in (
        ("cpu_ratio", slow, 2.3, "twice the text takes at most {:.2f} times the CPU time"),
        ("bytes_a_byte", large, 100, "at most {:.0f} bytes of memory a byte"),
    ):
        worst = max(all_of_them, key=all_of_them.get)
        above = sorted((name for name, value in all_of_them.items() if value > limit), key=all_of_them.get, reverse=True)
        named = "; ".join(f"{name} {all_of_them[name]:.1f}" for name in above[:8]) + ("; ..." if len(above) > 8 else "")
        report.at_most(key, all_of_them[worst], limit, f"{words} ({named or worst})")
    report.fact("short", skipped, f"{skipped} shapes take less than {SHORTEST * 1000:.0f} ms for half the text: no ratio")
    report.write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
