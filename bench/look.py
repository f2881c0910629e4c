"""look: `cstartup -k` and `cstartup --status` on 100,000 simulated nodes that answer at once, beside the same on 10,000.

The order has a hundred groups. What both say of the nodes is checked first. Set NODES for another number.
"""

import json
import os
import sys
import tempfile

import measure

GROUPS = 100
NODES = max(int(os.environ.get("NODES", "100000")) // (10 * GROUPS), 1) * 10 * GROUPS


def site(folder, nodes):
    """Writes a simulated cluster of so many nodes; the words by which cstartup looks at it."""
    here = os.path.join(folder, str(nodes))
    os.mkdir(here)
    with open(os.path.join(here, "inventory.json"), "w", encoding="utf-8") as out:
        json.dump({"nodes": [{"name": f"n{number}"} for number in range(nodes)]}, out)
    size = nodes // GROUPS
    with open(os.path.join(here, "order"), "w", encoding="utf-8") as out:
        out.writelines(f"g{at}: n[{at * size}-{at * size + size - 1}]\n" for at in range(GROUPS))
        out.write(" > ".join(f"g{at}" for at in range(GROUPS)) + "\n")
    config = os.path.join(here, "cluster.toml")
    with open(config, "w", encoding="utf-8") as out:
        out.write(f'inventory = "{here}/inventory.json"\nlog_dir = "{here}/log"\nsequence.start = "{here}/order"\n')
        out.write('power.driver = "simulator"\nshell.driver = "simulator"\nprobe.driver = "simulator"\n')
        out.write(f'[simulator]\nlatency = "0s"\nstate = "{here}/simulator.json"\n')
    return [measure.built("cstartup"), "--config", config]


def check(nodes, argv):
    """Ends the bench unless all nodes are planned, wave by wave, and told apart."""
    plan = json.loads(measure.output([*argv, "-k", "--json", "ALL"]).splitlines()[0])
    size = nodes // GROUPS
    want = [f"n[{at * size}-{at * size + size - 1}]" for at in range(GROUPS)]
    if [wave["nodes"] for wave in plan["waves"]] != want:
        measure.wrong(f"the plan of {nodes} nodes is not that of their {GROUPS} groups")
    states = [json.loads(line) for line in measure.output([*argv, "--json", "--status", "ALL"]).splitlines()]
    off = {state["node"] for state in states if (state["power"], state["probe"]) == ("off", "down")}
    if off != {f"n{number}" for number in range(nodes)}:
        measure.wrong(f"--status says of {len(off)} of {nodes} nodes that they are off and down")


def main():
    rounds = int(os.environ.get("ROUNDS", "3"))
    report = measure.Report("look", f"{NODES} simulated nodes, beside {NODES // 10}")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ORDERLY_STATE_DIR"] = folder
        sites = {nodes: site(folder, nodes) for nodes in (NODES, NODES // 10)}
        for nodes, argv in sites.items():
            check(nodes, argv)
        for flag in ("-k", "--status"):
            contenders = [(f"{flag}, {nodes} nodes", [*argv, flag, "ALL"], None) for nodes, argv in sites.items()]
            best = measure.beside(contenders, rounds)
            large, small = (name for name, _, _ in contenders)
            report.table("look", best, small)
            for key, at, unit in (("wall", 0, "wall time"), ("cpu", 1, "CPU time"), ("memory", 2, "memory")):
                ratio = best[large][at] / best[small][at]
                words = f"{flag}: ten times the nodes take {{:.1f}} times the {unit}"
                report.at_most(f"{flag.strip('-')}_{key}", ratio, 12, words)
    report.write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
