"""start: how long a program takes before it does anything, beside programs that do as little."""

import json
import os
import tempfile

import measure

CLUSTER = '[power]\ndriver = "simulator"\n[shell]\ndriver = "simulator"\n[probe]\ndriver = "simulator"\n'
# The imagined nodes answer at once: what they take by default (20 ms an answer) is not the program's.
CLUSTER += '[simulator]\nlatency = "0s"\n'


def main():
    seqfile, cstartup = measure.built("seqfile"), measure.built("cstartup")
    report = measure.Report("start", "seqfile --version, and cstartup -k on 100 nodes")
    with tempfile.TemporaryDirectory() as folder:
        nodes = [{"name": f"n{number}", "boot_server": "n0"} if number else {"name": "n0"} for number in range(100)]
        names = ("inventory.json", "cluster.toml", "build.ninja")
        inventory, cluster, build = (os.path.join(folder, name) for name in names)
        os.environ["ORDERLY_CONFIG_DIR"] = os.environ["ORDERLY_STATE_DIR"] = folder
        with open(inventory, "w", encoding="utf-8") as out:
            json.dump({"nodes": nodes}, out)
        with open(cluster, "w", encoding="utf-8") as out:
            out.write(f'inventory = "{inventory}"\nlog_dir = "{folder}"\n' + CLUSTER)
        with open(build, "w", encoding="utf-8") as out:
            out.write("rule r\n  command = true\nbuild n0: r\n")
            out.writelines(f"build n{number}: r n0\n" for number in range(1, 100))
        contenders = [("seqfile --version", [seqfile, "--version"], None)]
        contenders.append(("seqfile, 100 nodes", [seqfile, "-i", inventory], None))
        contenders.append(("cstartup -k, 100 nodes", [cstartup, "-k", "ALL"], None))
        for name, flags in [("true", []), ("ninja", ["-n", "-f", build, "-C", folder]), ("cluset", ["-e", "n[1-100]"])]:
            path = measure.found(name)
            if path:
                contenders.append((name, [path, *flags], None))
        best = measure.beside(contenders, 20)
        report.table("start", best, "seqfile --version")
        over = (best["seqfile --version"][0] - best.get("true", (0,))[0]) * 1000
        report.fact("over_true_ms", round(over, 2), f"{over:.2f} ms more than true (5 promised)", over <= 5)
        over = (best["cstartup -k, 100 nodes"][0] - best.get("true", (0,))[0]) * 1000
        report.fact("cstartup_over_true_ms", round(over, 2), f"cstartup -k: {over:.2f} ms (5 promised)", over <= 5)
        if "cluset" in best:
            ratio = best["cluset"][0] / best["seqfile --version"][0]
            report.fact("cluset_ratio", round(ratio, 1), f"{ratio:.0f} times as fast as cluset (10 promised)", ratio >= 10)
        count = measure.instructions([seqfile, "-i", inventory])
        if count is not None:
            report.fact("instructions_100", count, f"{count} instructions for 100 nodes")
    report.write()


main()
