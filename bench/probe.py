"""probe: 10,000 TCP probes of loopback ports, refused and open, beside a C loop of non-blocking connects.

Ours is `cstartup -k`, which asks how all nodes stand and starts nothing. What it takes with no probes at all (reading its
files, writing its plan) is measured in the same way and subtracted. Each node has a loopback address of its own, because
two nodes of one address are rejected; the port is open, or closed, at all of them. Set NODES for another number.
"""

import json
import os
import socket
import sys
import tempfile

import measure

NODES = int(os.environ.get("NODES", "10000"))
WINDOW = 4096


def address(number):
    """The loopback address of a node; connect_loop.c counts in the same way."""
    return f"127.{1 + number // 65536}.{number // 256 % 256}.{number % 256}"


def site(folder, name, probe):
    """Writes what `cstartup -k` reads, and returns it as a contender."""
    here = os.path.join(folder, name.replace(" ", "-"))
    os.mkdir(here)
    config = os.path.join(here, "cluster.toml")
    with open(config, "w", encoding="utf-8") as out:
        out.write(f'inventory = "{folder}/inventory.json"\nlog_dir = "{here}"\n')
        out.write(f'sequence = {{ start = "{folder}/order", shut = "{folder}/shut" }}\n')
        out.write(f'[power]\ndriver = "none"\n[probe]\n{probe}\n')
    return name, [measure.built("cstartup"), "--config", config, "-k", "ALL"], None


def check(kind, ours, loop):
    """Ends the bench unless both find all ports open, or none."""
    plan = next(line for line in map(json.loads, measure.output([*ours, "--json"]).splitlines()) if line["record"] == "plan")
    up = len(plan["already_up"])
    opened = int(measure.output(loop)) if loop else up
    want = NODES if kind == "open" else 0
    for name, got in (("cstartup", up), ("connect_loop", opened)):
        if got != want:
            measure.wrong(f"{kind}: {name} finds {got} of {want} ports open")
    if sum(wave["count"] for wave in plan["waves"]) != NODES - want:
        measure.wrong(f"{kind}: cstartup would not start {NODES - want} nodes")


def listeners(count):
    """Sockets that together have an open port; the kernel limits how many connections wait at each."""
    sockets = []
    for _ in range(count):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind(("", sockets[0].getsockname()[1] if sockets else 0))
        one.listen(4096)
        one.setblocking(False)
        sockets.append(one)
    return sockets


def empty(sockets):
    """Takes the connections that wait, so that the next program finds room."""
    for one in sockets:
        try:
            while True:
                one.accept()[0].close()
        except BlockingIOError:
            pass


def compare(report, folder, kind, port, loop, sockets):
    """Measures one kind of port."""
    rounds = int(os.environ.get("ROUNDS", "5"))
    ours = site(folder, f"cstartup {kind}", f'driver = "tcp"\nport = {port}')
    contenders = [ours, site(folder, f"nothing {kind}", 'driver = "none"')]
    if loop:
        loop = [loop, str(NODES), str(port), str(WINDOW)]
        contenders.append(("C loop", loop, None))
    check(kind, ours[1], loop)
    best = measure.beside(contenders, rounds, before=lambda _: empty(sockets))
    report.table(kind, best, ours[0])
    wall, cpu = (max(best[ours[0]][at] - best[f"nothing {kind}"][at], 1e-9) for at in (0, 1))
    limit = kind == "refused"
    if limit:
        report.at_least("refused_per_second", NODES / wall, 20000, "refused: {:,.0f} a second")
    if loop:
        for key, own, at in (("wall", wall, 0), ("cpu", cpu, 1)):
            ratio = own / best["C loop"][at]
            words = f"{kind}: {{:.2f}} times the C loop's {'wall' if at == 0 else 'CPU'} time"
            if limit:
                report.at_most(f"{kind}_{key}_ratio", ratio, 1.3, words)
            else:
                report.fact(f"{kind}_{key}_ratio", round(ratio, 3), words.format(ratio))


def main():
    report = measure.Report("probe", f"{NODES} TCP probes on loopback")
    with tempfile.TemporaryDirectory() as folder, socket.socket() as closed:
        os.environ["ORDERLY_STATE_DIR"] = folder
        nodes = [{"name": f"n{number}", "address": address(number)} for number in range(NODES)]
        with open(os.path.join(folder, "inventory.json"), "w", encoding="utf-8") as out:
            json.dump({"nodes": nodes}, out)
        with open(os.path.join(folder, "order"), "w", encoding="utf-8") as out:
            out.write(f"all: n[0-{NODES - 1}]\n")
        # Bound and not listening: nobody else can take the port, and it refuses.
        closed.bind(("", 0))
        # Room for both checks, however unevenly the kernel fills them.
        sockets = listeners(NODES // 1000 + 2)
        loop = measure.compiled("connect_loop.c", folder)
        compare(report, folder, "refused", closed.getsockname()[1], loop, sockets)
        if "open" not in os.environ.get("SKIP", ""):
            compare(report, folder, "open", sockets[0].getsockname()[1], loop, sockets)
    report.write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
