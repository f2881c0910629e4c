"""probe: 10,000 TCP probes of loopback ports, refused and open, beside a C loop of non-blocking connects.

Ours is `cstartup -k`, which asks how all nodes stand and starts nothing. What it takes with no probes
at all (reading its files, writing its plan) is measured in the same way and taken off.
"""

import json
import os
import socket
import sys
import tempfile

import measure

NODES = int(os.environ.get("NODES", "10000"))
WINDOW = 4096


def site(folder, name, probe):
    """Writes what `cstartup -k` reads, and returns it as a contender."""
    here = os.path.join(folder, name.replace(" ", "-"))
    os.mkdir(here)
    with open(os.path.join(here, "cluster.toml"), "w", encoding="utf-8") as out:
        out.write(f'inventory = "{folder}/inventory.json"\nlog_dir = "{here}"\n')
        out.write(f'sequence = {{ start = "{folder}/order", shut = "{folder}/order" }}\n')
        out.write(f'[power]\ndriver = "none"\n[probe]\n{probe}\n')
    config = os.path.join(here, "cluster.toml")
    return name, [measure.built("cstartup"), "--config", config, "-k", "ALL"], None


def main():
    rounds = int(os.environ.get("ROUNDS", "5"))
    report = measure.Report("probe", f"{NODES} TCP probes on loopback")
    with tempfile.TemporaryDirectory() as folder, socket.socket() as listening, socket.socket() as closed:
        os.environ["ORDERLY_STATE_DIR"] = folder
        nodes = [{"name": f"n{number}", "address": "127.0.0.1"} for number in range(NODES)]
        with open(os.path.join(folder, "inventory.json"), "w", encoding="utf-8") as out:
            json.dump({"nodes": nodes}, out)
        with open(os.path.join(folder, "order"), "w", encoding="utf-8") as out:
            out.write(f"all: n[0-{NODES - 1}]\n")
        # Bound and not listening: nobody else can take the port, and it refuses.
        closed.bind(("127.0.0.1", 0))
        listening.bind(("127.0.0.1", 0))
        listening.listen(65535)
        ports = {"refused": closed.getsockname()[1], "open": listening.getsockname()[1]}
        loop = measure.compiled("connect_loop.c", folder)
        kinds = ["refused"] if "open" in os.environ.get("SKIP", "") else ["refused", "open"]
        for kind in kinds:
            probe = f'driver = "tcp"\nport = {ports[kind]}'
            contenders = [site(folder, f"cstartup {kind}", probe), site(folder, f"nothing {kind}", 'driver = "none"')]
            if loop:
                contenders.append(("C loop", [loop, str(NODES), str(ports[kind]), str(WINDOW)], None))
            best = measure.beside(contenders, rounds if kind == "refused" else 1)
            report.table(kind, best, f"cstartup {kind}")
            own = [max(best[f"cstartup {kind}"][at] - best[f"nothing {kind}"][at], 1e-9) for at in (0, 1)]
            if kind == "refused":
                for key, at, unit in [("refused_per_second", 0, "a second"), ("refused_per_cpu_second", 1, "a CPU second")]:
                    rate = NODES / own[at]
                    report.fact(key, round(rate), f"{rate:.0f} {unit} (20,000 promised)", rate >= 20000)
            if loop:
                ratio = own[1] / best["C loop"][1]
                words = f"{kind}: {ratio:.2f} times the C loop's cpu (1.3 promised)"
                report.fact(f"{kind}_cpu_ratio", round(ratio, 2), words, ratio <= 1.3 if kind == "refused" else None)
    report.write()
    return 0


sys.exit(main())
