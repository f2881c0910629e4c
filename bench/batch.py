"""batch: 4,096 nodes are powered on through powerman, beside one client process a node (xargs).

powermand is a real one, with 256 virtual controllers (vpcd) of 16 plugs each. The order has four groups, so there are four
ready sets. The clients are counted, and the plugs are read after each program: all of them have to be on. What powermand and
its controllers take is not counted: they do the same for both. Set NODES for another number.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import measure

PLUGS = 16
GROUPS = 4
NODES = max(int(os.environ.get("NODES", "4096")) // (PLUGS * GROUPS), 1) * PLUGS * GROUPS
# With 32 clients at once some of them wait for ever for powermand (2.3.27).
FANOUT = 16


class Powermand:
    """A daemon on loopback with its controllers."""

    def __init__(self, folder, daemon, client, vpcd):
        self.client = client
        # An address that no other daemon has; the port is let go for it.
        with socket.socket() as free:
            free.bind((f"127.77.{os.getpid() // 250 % 250}.{1 + os.getpid() % 250}", 0))
            address, port = free.getsockname()
        self.host = f"{address}:{port}"
        lines = [f'listen "{self.host}"\ninclude "/etc/powerman/vpc.dev"\n']
        for at in range(NODES // PLUGS):
            lines.append(f'device "v{at}" "vpc" "{vpcd} |&"\n')
            lines.append(f'node "n[{at * PLUGS}-{at * PLUGS + PLUGS - 1}]" "v{at}" "[0-{PLUGS - 1}]"\n')
        path = os.path.join(folder, "powerman.conf")
        with open(path, "w", encoding="utf-8") as out:
            out.writelines(lines)
        self.log = open(os.path.join(folder, "powermand.log"), "w+b")
        self.daemon = subprocess.Popen([daemon, "-f", "-c", path], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        while True:
            try:
                socket.create_connection((address, port)).close()
                break
            except OSError:
                if self.daemon.poll() is not None:
                    self.log.seek(0)
                    sys.exit(f"bench: powermand ended: {self.log.read().decode(errors='replace')}")
                time.sleep(0.05)

    def set_all(self, state):
        """Switches all plugs, and waits until they are as wanted."""
        while self.count(state) < NODES:
            measure.output([self.client, "-h", self.host, "-1" if state == "on" else "-0", f"n[0-{NODES - 1}]"])

    def count(self, state):
        """How many plugs read so."""
        lines = measure.output([self.client, "-h", self.host, "-x", "-q", f"n[0-{NODES - 1}]"]).splitlines()
        return sum(line.endswith(f": {state}") for line in lines)

    def end(self):
        """Ends the daemon; its controllers end with their terminals."""
        self.daemon.kill()
        self.daemon.wait()
        self.log.close()


def ours(folder, host, client):
    """Writes what cstartup reads, with this client."""
    config = os.path.join(folder, f"{os.path.basename(client)}.toml")
    with open(os.path.join(folder, "inventory.json"), "w", encoding="utf-8") as out:
        json.dump({"nodes": [{"name": f"n{number}"} for number in range(NODES)]}, out)
    size = NODES // GROUPS
    for name in ("start", "shut"):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as out:
            out.writelines(f"g{at}: n[{at * size}-{at * size + size - 1}]\n" for at in range(GROUPS))
            out.write(" > ".join(f"g{at}" for at in range(GROUPS)) + "\n")
    with open(config, "w", encoding="utf-8") as out:
        out.write(f'inventory = "{folder}/inventory.json"\nlog_dir = "{folder}/log"\n')
        out.write(f'sequence = {{ start = "{folder}/start", shut = "{folder}/shut" }}\n')
        out.write(f'[power]\ndriver = "powerman"\nhost = "{host}"\nprogram = "{client}"\n[probe]\ndriver = "none"\n')
    return [measure.built("cstartup"), "--config", config, "ALL"]


def count_clients(folder, powermand):
    """How many clients ours starts, in a run that switches all nodes on."""
    calls, counting = os.path.join(folder, "calls"), os.path.join(folder, "counting")
    with open(counting, "w", encoding="utf-8") as out:
        out.write(f'#!/bin/sh\nprintf "%s\\n" "$*" >>"{calls}"\nexec {powermand.client} "$@"\n')
    os.chmod(counting, 0o755)
    powermand.set_all("off")
    records = map(json.loads, measure.output([*ours(folder, powermand.host, counting), "--json"]).splitlines())
    counts = next(record["counts"] for record in records if record["record"] == "report")
    if counts != {"up": NODES}:
        measure.wrong(f"cstartup reports {counts} of {NODES} nodes")
    with open(calls, encoding="utf-8") as lines:
        return len(lines.readlines())


def main():
    rounds = int(os.environ.get("ROUNDS", "3"))
    programs = {name: measure.found(name) for name in ("powermand", "powerman", "vpcd", "xargs") if name != "vpcd"}
    programs["vpcd"] = shutil.which("vpcd", path=os.environ["PATH"] + ":/usr/local/sbin:/usr/sbin:/sbin")
    if None in programs.values() or not os.path.exists("/etc/powerman/vpc.dev"):
        measure.impossible("batch", "needs powermand, powerman, vpcd and xargs")
    report = measure.Report("batch", f"{NODES} nodes are powered on through powerman, in {GROUPS} ready sets")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ORDERLY_CONFIG_DIR"] = os.environ["ORDERLY_STATE_DIR"] = folder
        names = os.path.join(folder, "names")
        with open(names, "w", encoding="utf-8") as out:
            out.writelines(f"n{number}\n" for number in range(NODES))
        client = programs["powerman"]
        powermand = Powermand(folder, programs["powermand"], client, programs["vpcd"])
        try:
            clients = count_clients(folder, powermand)

            def after(name):
                if (on := powermand.count("on")) != NODES:
                    measure.wrong(f"{name} leaves {on} of {NODES} plugs on")

            each = ["timeout", "600", programs["xargs"], "-P", str(FANOUT), "-n", "1", client, "-h", powermand.host, "-1"]
            contenders = [("cstartup", [*ours(folder, powermand.host, client), "-q"], None), ("a client each", each, names)]
            best = measure.beside(contenders, rounds, lambda _: powermand.set_all("off"), after)
        finally:
            powermand.end()
    report.table("on", best, "cstartup")
    report.at_least("processes_ratio", NODES / clients, 20, f"{clients} processes: {{:.0f}} times fewer")
    report.at_least("cpu_ratio", best["a client each"][1] / best["cstartup"][1], 10, "{:.1f} times less CPU time")
    report.write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
