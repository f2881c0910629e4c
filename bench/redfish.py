"""redfish: 256 BMCs are asked how their nodes stand, over TLS; beside one curl that asks them the same (the floor) and a
curl for each BMC, 64 at once.

The BMCs are sushy-tools' emulator, one process at 256 addresses of loopback, which is slower than 256 BMCs are. Set NODES
for another number.
"""

import json
import os
import subprocess
import sys
import tempfile
import time

import measure

NODES = int(os.environ.get("NODES", "256"))
FANOUT = 64
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
    """Writes what cstartup reads."""
    os.environ["ORDERLY_CONFIG_DIR"] = os.environ["ORDERLY_STATE_DIR"] = folder
    nodes = [{"name": f"n{number}", "bmc": f"{host(number)}:{port}", "system": path(number)}
             for number in range(1, NODES + 1)]
    private(os.path.join(folder, "inventory.json"), json.dumps({"nodes": nodes}))
    password = private(os.path.join(folder, "password"), PASSWORD + "\n")
    order = private(os.path.join(folder, "order"), f"all: n[1-{NODES}]\n")
    private(os.path.join(folder, "cluster.toml"),
            f'inventory = "{folder}/inventory.json"\nlog_dir = "{folder}/log"\n'
            f'sequence = {{ start = "{order}", shut = "{order}" }}\n'
            f'[power]\ndriver = "redfish"\nuser = "{USER}"\npassword_file = "{password}"\n'
            f'ca_file = "{folder}/ca.pem"\n[probe]\ndriver = "none"\n')
    return [measure.built("cstartup"), "-q", "-k", "ALL"]


def floor(folder, port):
    """Writes what one curl reads that asks all of them."""
    sections = [
        f'url = "https://{host(number)}:{port}{path(number)}"\nuser = "{USER}:{PASSWORD}"\n'
        f'output = "{folder}/{number}.body"\ncacert = "{folder}/ca.pem"\nhttp1.1\nfail\n'
        for number in range(1, NODES + 1)
    ]
    head = f"parallel-immediate\nparallel-max = {min(NODES, 250)}\nno-progress-meter\n"
    return private(os.path.join(folder, "floor"), head + "next\n".join(sections))


def main():
    rounds = int(os.environ.get("ROUNDS", "3"))
    curl = measure.found("curl")
    if not curl or not measure.found("openssl"):
        return 0
    if not os.path.exists(os.path.join(PEERS, "sushy", "bin", "python")):
        print("did not run: redfish: sushy-tools is not installed (packaging/test-needs.sh)")
        return 0
    report = measure.Report("redfish", f"the power of {NODES} nodes, each behind a BMC of its own")
    with tempfile.TemporaryDirectory() as folder:
        certificate(folder)
        child, port = emulator(folder)
        try:
            config = floor(folder, port)
            netrc = private(os.path.join(folder, "netrc"), f"default login {USER} password {PASSWORD}\n")
            urls = private(os.path.join(folder, "urls"), "".join(
                f"https://{host(number)}:{port}{path(number)}\n" for number in range(1, NODES + 1)))
            each = [curl, "-sf", "--http1.1", "--netrc-file", netrc, "--cacert", os.path.join(folder, "ca.pem")]
            contenders = [
                ("cstartup", ours(folder, port), None),
                ("one curl", [curl, "--disable", "--parallel", "--config", "-"], config),
                ("a curl each", ["xargs", "-P", str(FANOUT), "-n", "1", *each], urls),
            ]
            best = measure.beside(contenders, rounds)
        finally:
            child.kill()
            child.wait()
    report.table("status", best, "cstartup")
    ratio = best["cstartup"][0] / best["one curl"][0]
    report.fact("one_curl_wall_ratio", round(ratio, 3), f"{ratio:.2f} times the wall time of one curl alone")
    report.write()
    return 0


sys.exit(main())
