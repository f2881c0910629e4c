"""makespan: how long random starts take on the virtual clock, beside the bound that no schedule can beat, and beside waves
with barriers and first come, first served."""

import heapq
import json
import os
import random
import subprocess
import sys
import tempfile

import measure

ORDERS = int(os.environ.get("BENCH_ORDERS", 200))
NODES, GROUPS = 240, 48
LIMITS = (16, 32, 64, 0)  # 0 is none
MEDIAN, SPREAD = 120.0, 0.6  # seconds, and the deviation of their logarithm


def order(dice):
    """Returns the groups that each group waits for, which have lower numbers, and how long each node boots."""
    leading = [sorted({dice.randrange(group) for _ in range(dice.randint(0, 3))}) if group else [] for group in range(GROUPS)]
    return leading, [dice.lognormvariate(0, SPREAD) * MEDIAN for _ in range(NODES)]


def members(group):
    return range(group * NODES // GROUPS, (group + 1) * NODES // GROUPS)


def bound(leading, boots, limit):
    """Returns what no schedule beats: the longest path, and all work on so many at a time."""
    ends = []
    for group in range(GROUPS):
        ends.append(max((ends[other] for other in leading[group]), default=0.0) + max(boots[node] for node in members(group)))
    return max(max(ends), sum(boots) / limit if limit else 0.0)


def listed(ready, boots, limit, after=lambda node: ()):
    """Returns when the last of a list ends, begun in the order in which they may begin; `after` says who may then."""
    running, waiting, now = [], list(ready), 0.0
    while waiting or running:
        while waiting and (not limit or len(running) < limit):
            node = waiting.pop(0)
            heapq.heappush(running, (now + boots[node], node))
        now, node = heapq.heappop(running)
        waiting.extend(after(node))
    return now


def barriers(leading, boots, limit):
    """Returns how long waves take of which each waits for the end of the one before."""
    waves = []
    for group in range(GROUPS):
        waves.append(1 + max((waves[other] for other in leading[group]), default=-1))
    in_wave = lambda wave: [node for group in range(GROUPS) if waves[group] == wave for node in members(group)]
    return sum(listed(in_wave(wave), boots, limit) for wave in range(max(waves) + 1))


def first_come(leading, boots, limit):
    """Returns how long it takes where who may begin first is begun first."""
    left, missing = [len(members(group)) for group in range(GROUPS)], [len(groups) for groups in leading]
    of = [group for group in range(GROUPS) for _ in members(group)]

    def after(node):
        left[of[node]] -= 1
        if left[of[node]]:
            return []
        begun = []
        for group in range(GROUPS):
            if of[node] in leading[group]:
                missing[group] -= 1
                if not missing[group]:
                    begun.extend(members(group))
        return begun

    return listed([node for group in range(GROUPS) if not leading[group] for node in members(group)], boots, limit, after)


class Site:
    """A simulated cluster in a folder of its own."""

    def __init__(self, folder):
        self.folder, self.program = folder, measure.built("cstartup")
        self.environment = {**os.environ, "ORDERLY_CONFIG_DIR": folder, "ORDERLY_STATE_DIR": folder}
        self.write("genders", "".join(f"n{node} compute\n" for node in range(NODES)))

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w") as out:
            out.write(text)

    def rehearse(self, leading, boots, limit):
        """Returns how long our start takes, after a look at whether it went in order."""
        self.write(
            "cluster.toml",
            f'inventory = "{self.folder}/genders"\ninventory_format = "genders"\npower.driver = "simulator"\n'
            f'probe.driver = "simulator"\nlimits = {{ booting = {limit}, fanout = {NODES}, timeout = "10h" }}\n',
        )
        seconds = {f"n{node}": [round(boot, 3)] for node, boot in enumerate(boots)}
        for kind in ("", ".simulated"):
            self.write(f"start-history{kind}.json", json.dumps({"format": "orderly-history/1", "seconds": seconds}))
        lines = [f"g{group}: {' '.join(f'n{node}' for node in members(group))}\n" for group in range(GROUPS)]
        lines += [f"g{other} > g{group}\n" for group in range(GROUPS) for other in leading[group]]
        self.write("seq", "".join(lines))
        argv = [self.program, "--sequence", os.path.join(self.folder, "seq"), "--rehearse", "--json", "ALL"]
        ended = subprocess.run(argv, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if ended.returncode != 0:
            sys.exit(f"bench: {' '.join(argv)} ended with {ended.returncode}: {ended.stderr}")
        report = json.loads(ended.stdout.splitlines()[-1])
        spans = {int(node["node"][1:]): (node["began_seconds"], node["took_seconds"]) for node in report["nodes"]}
        for group in range(GROUPS):
            begins = min(spans[node][0] for node in members(group))
            for other in leading[group]:
                if begins < max(sum(spans[node]) for node in members(other)) - 0.02:
                    measure.wrong(f"g{group} began before g{other} was up")
        return report["seconds"]


def main():
    title = f"{ORDERS} random orders of {NODES} nodes in {GROUPS} groups, each booting about {MEDIAN:.0f} s"
    report = measure.Report("makespan", title)
    dice = random.Random(7)
    orders = [order(dice) for _ in range(ORDERS)]
    with tempfile.TemporaryDirectory() as folder:
        site = Site(folder)
        for limit in LIMITS:
            sums = {"cstartup": 0.0, "waves with barriers": 0.0, "first come, first served": 0.0}
            for leading, boots in orders:
                least = bound(leading, boots, limit)
                took = site.rehearse(leading, boots, limit)
                if took < 0.999 * least:
                    measure.wrong(f"{took} s is less than the bound of {least} s")
                sums["cstartup"] += took / least
                sums["waves with barriers"] += barriers(leading, boots, limit) / least
                sums["first come, first served"] += first_come(leading, boots, limit) / least
            said = f"{limit or 'any number'} at a time"
            for name, total in sums.items():
                over = 100 * (total / ORDERS - 1)
                key = f"{name.split(',')[0].replace(' ', '_')}_{limit or 'any'}"
                words = f"{said}: {name}: {{:.1f}}% over the bound"
                if name == "cstartup":
                    report.at_most(key, over, 3, words)
                else:
                    report.fact(key, round(over, 2), words.format(over))
    report.write()


if __name__ == "__main__":
    main()
