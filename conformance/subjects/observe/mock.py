"""A running mock, its control API, and the bots that are started against it."""

import collections
import http.client
import json
import os
import pathlib
import subprocess
import time

SUBJECTS = pathlib.Path(__file__).resolve().parent.parent
# Seconds between two looks at the mock.
PACE = 0.02
# A bot that was asked to end is killed after this time, in seconds.
GRACE = 4.0


class Unmet(Exception):
    """Something that had to come did not."""


def until(what, look, patience):
    """Looks again and again until `look` finds something, and returns that."""
    deadline = time.monotonic() + patience
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise Unmet(f"{what}: nothing in {patience:g} s")
        time.sleep(PACE)


class Refused(Exception):
    """The control API refused a call."""


class Mock:
    """A `mock-dingtalk serve` of our own."""

    def __init__(self, program):
        self.process = subprocess.Popen(
            [program, "serve", "--listen", "127.0.0.1:0"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        line = self.process.stdout.readline()
        if not line:
            raise Unmet(f"{program} serve printed no ready line")
        self.url = json.loads(line)["url"]

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=60)
        try:
            payload = None if body is None else json.dumps(body)
            connection.request(method, path, payload, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status >= 300:
            raise Refused(f"{method} {path}: {response.status} {answer.decode()[:300]}")
        return json.loads(answer) if answer else None

    def stop(self):
        self.process.terminate()
        self.process.wait()


class App:
    """One app of the mock, and what happened to it."""

    def __init__(self, mock):
        self.mock = mock
        self.client_id = mock.call("POST", "/_mock/apps", {})["clientId"]

    def get(self, path):
        return self.mock.call("GET", f"/_mock/apps/{self.client_id}/{path}")

    def post(self, path, body):
        return self.mock.call("POST", f"/_mock/apps/{self.client_id}/{path}", body)

    def fault(self, when, action, times="always"):
        return self.post("faults", {"when": when, "times": times, "action": action})

    def forget_faults(self):
        self.mock.call("DELETE", f"/_mock/apps/{self.client_id}/faults")

    def journal(self, kind=None):
        path = f"/_mock/journal?app={self.client_id}&limit=10000"
        entries = self.mock.call("GET", path)
        return [entry for entry in entries if kind in (None, entry["kind"])]

    def opens(self):
        """The calls of connections/open, oldest first."""
        calls = self.journal("http")
        return [call for call in calls if "/v1.0/gateway/connections/open" in call["text"]]

    def refused_upgrades(self):
        return [call for call in self.journal("http") if call["text"].startswith("GET /connect")]

    def connections(self):
        """All connections, in the order of opening."""
        return sorted(self.get("connections"), key=lambda row: row["openedAt"])

    def live(self):
        return [row for row in self.connections() if row["state"] == "OPEN"]

    def push(self, frame):
        """Sends a frame as it stands: a text, or what becomes one as JSON."""
        raw = frame if isinstance(frame, str) else json.dumps(frame)
        self.post("frames", {"raw": raw})

    def acks(self, message_id):
        """The answers to a frame, as the bot wrote them."""
        found = []
        for entry in self.journal("frame-in"):
            try:
                ack = json.loads(entry["body"])
            except ValueError:
                continue
            if ack.get("headers", {}).get("messageId") == message_id:
                found.append(ack)
        return found

    def ack(self, message_id, patience=8):
        return until(f"an answer to {message_id}", lambda: self.acks(message_id), patience)[0]


class Bot:
    """A witness bot of one SDK, running."""

    def __init__(self, sdk, app, folder, extra=None):
        env = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        query = f"sdk={sdk}&clientId={app.client_id}&format=json"
        env |= app.mock.call("GET", f"/_mock/env?{query}")
        env |= extra or {}
        self.log = pathlib.Path(folder) / f"{sdk}-{app.client_id}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [SUBJECTS / sdk / "run", "--witness"],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def told(self, word):
        """What follows `word` in lines of the log that begin with it."""
        text = self.log.read_text(errors="replace")
        starts = (line.split(" ") for line in text.splitlines())
        return [parts[1:] for parts in starts if parts[0] == word]

    def versions(self):
        return {name: version.removeprefix("v") for name, version in self.told("version")}

    def handled(self):
        """How often a handler ran, by messageId."""
        return collections.Counter(parts[-1] for parts in self.told("handled"))

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(GRACE)
            except subprocess.TimeoutExpired:
                self.kill()
