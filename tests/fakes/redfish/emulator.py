"""Real sushy-tools, as the BMCs of a scenario: one process that answers at many loopback addresses.

The systems, their power and their answers are sushy-tools' own (its fake driver); its hardware takes a second here
and not up to eleven. In front of it stands a small proxy of the tests (Front), because sushy-tools itself cannot be
busy, hang, stand between on and off or be a BMC with other firmware: a file named like an address says which.
Called with a file of settings; writes its port into the folder.
"""

import json
import os
import random
import ssl
import sys
import threading
import time

import bcrypt
from werkzeug import serving

random.randint = lambda low, high: 1

from sushy_tools.emulator import main  # noqa: E402
from sushy_tools.emulator.resources.systems import fakedriver  # noqa: E402

# The file in which it keeps them takes no hundred questions at once, and answers 500.
fakedriver.memoize.PersistentDict = dict


class Front:
    """Logs each request, and puts words into the mouth of the BMC at an address."""

    def __init__(self, app, settings):
        self.app = app
        self.folder = settings["folder"]
        # Which systems a BMC has; all of them where nothing is said.
        self.systems = settings["systems"]
        self.lock = threading.Lock()
        self.failed = {}

    def __call__(self, environ, start_response):
        host = environ["HTTP_HOST"].rsplit(":", 1)[0]
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        length = int(environ.get("CONTENT_LENGTH") or 0)
        sent = environ["wsgi.input"].read(length)
        environ["wsgi.input"] = __import__("io").BytesIO(sent)
        with self.lock, open(os.path.join(self.folder, "requests"), "a") as log:
            log.write(f"{host} {method} {path} {sent.decode()}\n")
        manner = self.manner(host)
        what = manner[0] if manner else ""
        if what == "hang":
            time.sleep(100000)
        if what == "busy" and self.count(host, manner) <= int(manner[1]):
            headers = [("Retry-After", manner[2]), ("Content-Type", "text/plain")]
            start_response("503 Service Unavailable", headers)
            return [b"no JSON"]
        if what == "moved":
            start_response("302 Found", [("Location", "https://127.0.0.1/elsewhere")])
            return [b""]
        if what == "garbage":
            start_response("200 OK", [("Content-Type", "text/html")])
            return [b"<html>\x00\xff please enable JavaScript</html>"]
        if what == "unwilling" and method == "POST":
            return self.accepted(start_response, "204 No Content")
        if what == "info" and path == "/redfish/v1/ResetActionInfo":
            return self.json(start_response, {"Parameters": [{"Name": "ResetType", "AllowableValues": manner[1:]}]})
        return self.passed_on(environ, start_response, host, manner, method, path)

    def passed_on(self, environ, start_response, host, manner, method, path):
        answer = {}

        def took(status, headers, exc_info=None):
            answer.update(status=status, headers=headers)

        body = b"".join(self.app(environ, took))
        what = manner[0] if manner else ""
        if not answer["status"].startswith("2"):
            start_response(answer["status"], answer["headers"])
            return [body]
        if method == "POST" and what == "task":
            return self.accepted(start_response, "202 Accepted")
        if method != "GET":
            start_response(answer["status"], answer["headers"])
            return [body]
        said = json.loads(body)
        own = self.systems.get(host)
        if path.rstrip("/") == "/redfish/v1/Systems" and own is not None:
            said["Members"] = [one for one in said["Members"] if one["@odata.id"].rsplit("/", 1)[1] in own]
        if what == "uuid" and "UUID" in said:
            said["UUID"] = manner[1]
        if what == "state" and said.get("PowerState") == manner[1]:
            said["PowerState"] = manner[2]
        reset = said.get("Actions", {}).get("#ComputerSystem.Reset", {})
        if what == "allows" and reset:
            reset["ResetType@Redfish.AllowableValues"] = manner[1:]
        if what == "info" and reset:
            del reset["ResetType@Redfish.AllowableValues"]
            reset["@Redfish.ActionInfo"] = "/redfish/v1/ResetActionInfo"
        return self.json(start_response, said)

    def manner(self, host):
        try:
            with open(os.path.join(self.folder, host)) as told:
                return told.read().split()
        except FileNotFoundError:
            return []

    def count(self, host, manner):
        with self.lock:
            key = (host, " ".join(manner))
            self.failed[key] = self.failed.get(key, 0) + 1
            return self.failed[key]

    @staticmethod
    def accepted(start_response, status):
        start_response(status, [("Location", "/redfish/v1/TaskService/Tasks/42")])
        return [b""]

    @staticmethod
    def json(start_response, said):
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(said).encode()]


class Quiet(serving.WSGIRequestHandler):
    # As BMCs do: a connection serves many requests.
    protocol_version = "HTTP/1.1"

    def log(self, *_arguments):
        pass


def run(settings):
    folder = settings["folder"]
    hashed = bcrypt.hashpw(settings["password"].encode(), bcrypt.gensalt(4)).decode()
    users = os.path.join(folder, "users")
    with open(users, "w") as file:
        file.write(f"{settings['user']}:{hashed}\n")
    all_systems = [
        {"uuid": f"{at:08d}-0000-4000-8000-000000000000", "name": f"s{at}", "power_state": "Off", "nics": []}
        for at in range(1, settings["count"] + 1)
    ]
    app = main.app
    app.configure(extra_config={
        "SUSHY_EMULATOR_FAKE_DRIVER": True,
        "SUSHY_EMULATOR_FAKE_SYSTEMS": all_systems,
        "SUSHY_EMULATOR_STATE_DIR": folder,
        "SUSHY_EMULATOR_AUTH_FILE": users,
    })
    trust = None
    if "certificate" in settings:
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trust.load_cert_chain(settings["certificate"], settings["key"])
    front = Front(app.wsgi_app, settings)
    server = serving.make_server("0.0.0.0", 0, front, threaded=True, request_handler=Quiet, ssl_context=trust)
    port = os.path.join(folder, "port")
    with open(port + ".new", "w") as file:
        file.write(str(server.server_port))
    os.rename(port + ".new", port)
    server.serve_forever()


with open(sys.argv[1]) as file:
    run(json.load(file))
