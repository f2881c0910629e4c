"""redfish: 256 BMCs are asked how their nodes stand, and then switch them on, over TLS; beside one curl that only does the
same requests (the floor), a curl for each BMC, 64 at once, and a loop of curl.

The BMCs are sushy-tools' emulator, one process at 256 addresses of loopback, which is slower than 256 BMCs are. A BMC takes a
reset at once, and its node is on up to a second later; so each program switches, and then reads each second until all are
on. What each program did is read from the BMCs. Set NODES for another number.
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time

import measure

NODES = int(os.environ.get("NODES", "256"))
FANOUT = 64
# Seconds between two readings of power, for each program.
INTERVAL = 1
TOP = os.path.dirname(measure.HERE)
PEERS = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(TOP, "target")), "peers")
USER, PASSWORD = "admin", "bench"


def host(number):
    return f"127.0.{90 + number // 200}.{1 + number % 200}"


def path(number):
    return f"/redfish/v1/Systems/{number:08d}-0000-4000-8000-000000000000"


def certificate(folder):
    """Makes a certificate for all the addresses, which is its own CA."""
    names = ",".join(f"IP:{host(number)}" for number in range(1, NODES + 1))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=bench", "-addext", f"subjectAltName={names}", "-keyout", "key.pem", "-out", "ca.pem"],
        cwd=folder, check=True, stderr=subprocess.DEVNULL,
    )


def emulator(folder):
    """Starts the BMCs; returns the process and its port."""
    settings = {"folder": folder, "systems": {}, "count": NODES, "user": USER, "password": PASSWORD,
                "certificate": os.path.join(folder, "ca.pem"), "key": os.path.join(folder, "key.pem")}
    with open(os.path.join(folder, "settings"), "w", encoding="utf-8") as out:
        json.dump(settings, out)
    python = os.path.join(PEERS, "sushy", "bin", "python")
    argv = [python, os.path.join(TOP, "tests", "fakes", "redfish", "emulator.py"), os.path.join(folder, "settings")]
    child = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    port = os.path.join(folder, "port")
    while not os.path.exists(port):
        if child.poll() is not None:
            sys.exit("bench: the BMCs did not start")
        time.sleep(0.05)
    with open(port, encoding="utf-8") as said:
        return child, said.read()


def private(name, text):
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as out:
        out.write(text)
    return name


def ours(folder, port):
    """Writes what cstartup reads; its curl is counted where CURLS names a file."""
    os.environ["ORDERLY_CONFIG_DIR"] = os.environ["ORDERLY_STATE_DIR"] = folder
    nodes = [{"name": f"n{number}", "bmc": f"{host(number)}:{port}", "system": path(number)}
             for number in range(1, NODES + 1)]
    private(os.path.join(folder, "inventory.json"), json.dumps({"nodes": nodes}))
    password = private(os.path.join(folder, "password"), PASSWORD + "\n")
    order = private(os.path.join(folder, "order"), f"all: n[1-{NODES}]\n")
    shut = private(os.path.join(folder, "shut"), f"all: n[1-{NODES}]\n")
    counting = private(os.path.join(folder, "counting"), f'#!/bin/sh\necho "$$" >>"{folder}/curls"\nexec curl "$@"\n')
    os.chmod(counting, 0o700)
    text = (f'inventory = "{folder}/inventory.json"\nlog_dir = "{folder}/log"\n'
            f'sequence = {{ start = "{order}", shut = "{shut}" }}\n[probe]\ndriver = "none"\ninterval = "{INTERVAL}s"\n'
            f'[power]\ndriver = "redfish"\nuser = "{USER}"\npassword_file = "{password}"\n'
            f'ca_file = "{folder}/ca.pem"\n')
    private(os.path.join(folder, "cluster.toml"), text)
    private(os.path.join(folder, "counted.toml"), text + f'program = "{counting}"\n')
    return [measure.built("cstartup"), "-q", "ALL"]


class Bmcs:
    """The BMCs as curl sees them."""

    def __init__(self, folder, port):
        self.folder, self.port = folder, port

    def config(self, name, reset=None):
        """Writes what one curl reads that asks all of them, or sends all of them a ResetType; its name."""
        post = f'url = "{{url}}/Actions/ComputerSystem.Reset"\ndata = "{{{{\\"ResetType\\":\\"{reset}\\"}}}}"\n'
        post += 'header = "Content-Type: application/json"\n'
        lines = post if reset else 'url = "{url}"\n'
        sections = [
            lines.format(url=f"https://{host(number)}:{self.port}{path(number)}")
            + f'user = "{USER}:{PASSWORD}"\noutput = "{self.folder}/{number}.body"\n'
            + f'cacert = "{self.folder}/ca.pem"\nhttp1.1\nfail\n'
            for number in range(1, NODES + 1)
        ]
        head = f"parallel-immediate\nparallel-max = {min(NODES, 250)}\nno-progress-meter\n"
        return private(os.path.join(self.folder, name), head + "next\n".join(sections))

    def each(self, parallel, reset=None):
        """The words by which xargs runs a curl for each BMC."""
        netrc = private(os.path.join(self.folder, "netrc"), f"default login {USER} password {PASSWORD}\n")
        argv = ["-sf", "--http1.1", "--netrc-file", netrc, "--cacert", os.path.join(self.folder, "ca.pem")]
        if reset:
            argv += ["-H", "Content-Type: application/json", "-d", json.dumps({"ResetType": reset})]
        return ["xargs", "-P", str(parallel), "-n", "1", "curl", "--disable", *argv]

    def urls(self, name, ending=""):
        """Writes the addresses that xargs reads; its name."""
        lines = (f"https://{host(number)}:{self.port}{path(number)}{ending}\n" for number in range(1, NODES + 1))
        return private(os.path.join(self.folder, name), "".join(lines))

    def all_are(self, power):
        """Tells whether all of them say this power."""
        measure.output(["curl", "--disable", "--parallel", "--config", "-"], self.config("look"))
        for number in range(1, NODES + 1):
            with open(os.path.join(self.folder, f"{number}.body"), encoding="utf-8") as body:
                if json.load(body)["PowerState"] != power:
                    return False
        return True

    def all_off(self):
        """Switches all of them off, and waits until they are."""
        measure.output(["curl", "--disable", "--parallel", "--config", "-"], self.config("switch", "ForceOff"))
        while not self.all_are("Off"):
            time.sleep(0.1)

    def by_hand(self, name, switch, read):
        """Writes a script that switches, and then reads until all are on; the words that run it."""
        lines = f"""#!/bin/sh
set -eu
{switch} >/dev/null
until [ "$({read} | grep -o '"PowerState": *"On"' | wc -l)" = {NODES} ]; do sleep {INTERVAL}; done
"""
        script = private(os.path.join(self.folder, name), lines)
        return ["sh", script]

    def with_curls(self, parallel):
        """The words of a script with a curl for each BMC."""
        ways = []
        for reset, urls in (("On", self.urls("resets", "/Actions/ComputerSystem.Reset")), (None, self.urls("urls"))):
            ways.append(f"{shlex.join(self.each(parallel, reset))} <{urls}")
        return self.by_hand(f"each{parallel}", *ways)

    def with_one_curl(self):
        """The words of a script with one curl for all BMCs."""
        way = "curl --disable --parallel --config - <{}"
        read = f"{way.format(self.config('floor'))} && cat {self.folder}/*.body"
        return self.by_hand("one", way.format(self.config("on", "On")), read)


def counted(folder, flags):
    """Ours, once, with its curls counted; what it prints, and how many there were."""
    curls = os.path.join(folder, "curls")
    open(curls, "w", encoding="utf-8").close()
    argv = [measure.built("cstartup"), "--config", os.path.join(folder, "counted.toml"), "--json", *flags, "ALL"]
    out = measure.output(argv)
    with open(curls, encoding="utf-8") as lines:
        return [json.loads(line) for line in out.splitlines()], len(lines.readlines())


def status(report, folder, bmcs, rounds):
    """All are asked; all are off."""
    bmcs.all_off()
    asked, curls = counted(folder, ["--status"])
    told = {record["node"]: record["power"] for record in asked if record["record"] == "state"}
    if told != {f"n{number}": "off" for number in range(1, NODES + 1)} :
        measure.wrong(f"cstartup says that {list(told.values()).count('off')} of {NODES} nodes are off")
    contenders = [
        ("cstartup", [*ours(folder, bmcs.port), "-k"], None),
        ("one curl", ["curl", "--disable", "--parallel", "--config", "-"], bmcs.config("floor")),
        ("a curl each", bmcs.each(FANOUT), bmcs.urls("urls")),
        ("a loop of curl", bmcs.each(1), bmcs.urls("urls")),
    ]
    best = measure.beside(contenders, rounds)
    report.table("status", best, "cstartup")
    report.at_most("status_processes", curls, 1, "status: {} process for all nodes")
    ratio = best["cstartup"][0] / best["one curl"][0]
    report.fact("one_curl_wall_ratio", round(ratio, 3), f"status: {ratio:.2f} times the wall time of one curl alone")
    report.ahead("status_ahead", best, "cstartup", ["one curl"])


def switch(report, folder, bmcs, rounds):
    """All are switched on, from off, and looked at after each program."""
    bmcs.all_off()
    records, curls = counted(folder, [])
    counts = next(record["counts"] for record in records if record["record"] == "report")
    if counts != {"up": NODES} or not bmcs.all_are("On"):
        measure.wrong(f"cstartup reports {counts} of {NODES} nodes")
    def after(name):
        if not bmcs.all_are("On"):
            measure.wrong(f"{name} leaves nodes off")

    contenders = [
        ("cstartup", ours(folder, bmcs.port), None),
        ("one curl", bmcs.with_one_curl(), None),
        ("a curl each", bmcs.with_curls(FANOUT), None),
        ("a loop of curl", bmcs.with_curls(1), None),
    ]
    best = measure.beside(contenders, rounds, lambda _: bmcs.all_off(), after)
    report.table("switch", best, "cstartup")
    # One asks how they stand, one switches, and others read until all are on; none is for a single node.
    report.at_most("switch_processes", curls, max(8, NODES // 32), "switch: {} processes for all nodes")
    report.ahead("switch_ahead", best, "cstartup", ["one curl"])


def main():
    rounds = int(os.environ.get("ROUNDS", "3"))
    if not measure.found("curl") or not measure.found("openssl"):
        measure.impossible("redfish", "needs curl and openssl")
    if not os.path.exists(os.path.join(PEERS, "sushy", "bin", "python")):
        measure.impossible("redfish", "needs sushy-tools (bench/needs.sh)")
    measure.left_out("redfishpower", "Debian's powerman comes without it")
    report = measure.Report("redfish", f"the power of {NODES} nodes, each behind a BMC of its own")
    with tempfile.TemporaryDirectory() as folder:
        certificate(folder)
        child, port = emulator(folder)
        try:
            ours(folder, port)
            bmcs = Bmcs(folder, port)
            status(report, folder, bmcs, rounds)
            switch(report, folder, bmcs, rounds)
        finally:
            child.kill()
            child.wait()
    report.write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
