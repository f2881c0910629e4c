"""start: how long a program takes before it does anything, beside programs that do as little.

`true` is the floor: to load a program and to end it. What each program prints is checked before anything is measured.
"""

import json
import os
import tempfile

import measure

NODES = 100

CLUSTER = '[power]\ndriver = "simulator"\n[shell]\ndriver = "simulator"\n[probe]\ndriver = "simulator"\n'
# The imagined nodes answer at once: what they take by default (20 ms an answer) is not the program's.
CLUSTER += '[simulator]\nlatency = "0s"\n'


def write(folder):
    """Writes 100 nodes of which one leads all others, as each program reads them; the paths."""
    nodes = [{"name": f"n{number}", "boot_server": "n0"} if number else {"name": "n0"} for number in range(NODES)]
    inventory, cluster, build = (os.path.join(folder, name) for name in ("inventory.json", "cluster.toml", "build.ninja"))
    with open(inventory, "w", encoding="utf-8") as out:
        json.dump({"nodes": nodes}, out)
    with open(cluster, "w", encoding="utf-8") as out:
        out.write(f'inventory = "{inventory}"\nlog_dir = "{folder}"\nsequence.start = "{folder}/order"\n' + CLUSTER)
    with open(os.path.join(folder, "order"), "w", encoding="utf-8") as out:
        out.write(f"first: n0\nothers: n[1-{NODES - 1}]\nfirst > others\n")
    with open(build, "w", encoding="utf-8") as out:
        out.write("rule r\n  command = true\n  description = $out\nbuild n0: r\n")
        out.writelines(f"build n{number}: r n0\n" for number in range(1, NODES))
    return inventory, build


def check(contenders):
    """Ends the bench unless each program prints what it should."""
    others = [f"n{node}" for node in range(1, NODES)]
    for name, argv, _ in contenders:
        if name.startswith("cstartup"):
            plan = json.loads(measure.output([*argv, "--json"]))
            right = [wave["nodes"] for wave in plan["waves"]] == ["n0", f"n[1-{NODES - 1}]"]
        else:
            words = measure.output(argv).split()
            right = {
                "seqfile --version": lambda: words[0] == "seqfile" and words[1][0].isdigit(),
                "seqfile, 100 nodes": lambda: sorted(set(words) & {"n0", *others}) == sorted(["n0", *others]),
                "true": lambda: not words,
                "ninja": lambda: [word for word in words if word[0] == "n"][1] == "n0" and set(others) < set(words),
                "cluset": lambda: words == [*others, f"n{NODES}"],
            }[name]()
        if not right:
            measure.wrong(f"{name} does not print what it should")


def main():
    rounds = int(os.environ.get("ROUNDS", "20"))
    seqfile, cstartup = measure.built("seqfile"), measure.built("cstartup")
    report = measure.Report("start", "seqfile --version, and cstartup -k on 100 nodes")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ORDERLY_CONFIG_DIR"] = os.environ["ORDERLY_STATE_DIR"] = folder
        inventory, build = write(folder)
        contenders = [
            ("seqfile --version", [seqfile, "--version"], None),
            ("seqfile, 100 nodes", [seqfile, "-i", inventory], None),
            ("cstartup -k, 100 nodes", [cstartup, "-k", "ALL"], None),
        ]
        for name, flags in [("true", []), ("ninja", ["-n", "-f", build, "-C", folder]), ("cluset", ["-e", "n[1-100]"])]:
            if path := measure.found(name):
                contenders.append((name, [path, *flags], None))
        check(contenders)
        best = measure.beside(contenders, rounds)
    report.table("start", best, "seqfile --version")
    # The 5 ms that were asked for first are about eight times what `true` takes on the machine they were asked for.
    for name in ("seqfile --version", "cstartup -k, 100 nodes"):
        ratio = best[name][0] / best["true"][0]
        report.at_most(f"{name.split()[0]}_ratio", ratio, 8, f"{name}: {{:.1f}} times the wall time of true")
    if "cluset" in best:
        ratio = best["cluset"][0] / best["seqfile --version"][0]
        report.at_least("cluset_ratio", ratio, 10, "{:.0f} times as fast as cluset")
    report.write()


if __name__ == "__main__":
    main()
