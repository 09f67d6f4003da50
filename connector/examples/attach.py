"""An agent in a few lines: it repeats what people write, and measures their pictures.

    ddingtalk gateway --agent attach --dm-policy open
    python3 attach.py ~/.openclaw/ddingtalk/agent.sock
"""

import http.client
import json
import os
import socket
import sys
import time

DEFAULT = os.path.expanduser("~/.openclaw/ddingtalk/agent.sock")
SOCKET = sys.argv[1] if len(sys.argv) > 1 else DEFAULT


class Link(http.client.HTTPConnection):
    """HTTP over the connector's Unix socket."""

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(SOCKET)


def picture(path):
    with open(path, "rb") as file:
        head = file.read(24)
    if head.startswith(b"\x89PNG"):
        width, height = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
        return f"A picture of {width} x {height}, {os.path.getsize(path)} bytes."
    return f"A picture of {os.path.getsize(path)} bytes."


def answer(turn):
    """What is said to a turn: the same each time it is asked."""
    if turn["hasWords"]:
        yield {"type": "block", "text": f"You said: {turn['text']}"}
    for attachment in turn["attachments"]:
        if "missing" in attachment:
            yield {"type": "block", "text": f"I did not get it: {attachment['missing']}."}
        elif attachment["kind"] == "picture":
            media = {"path": attachment["path"]}
            yield {"type": "block", "text": picture(attachment["path"]), "media": media}
    yield {"type": "done"}


def post(turn, event):
    link = Link("agent")
    link.request("POST", f"/v1/agent/turns/{turn['id']}/events", json.dumps(event))
    response = link.getresponse()
    if response.status != 200:
        print(f"turn {turn['id']}: {response.status} {response.read().decode()}", file=sys.stderr)
    return response.status == 200


def attend():
    link = Link("agent")
    link.request("GET", "/v1/agent/turns")
    for line in link.getresponse():
        turn = json.loads(line) if line.strip() else {}
        if turn.get("type") == "replaced":
            sys.exit("another agent took over")
        if turn.get("type") != "turn":
            continue
        # `seq` events are kept already; after a crash of either side it goes on behind them.
        for seq, event in enumerate(answer(turn), 1):
            if seq > turn["seq"] and not post(turn, {**event, "seq": seq, "attempt": turn["attempt"]}):
                break


while True:
    try:
        attend()
    except (OSError, http.client.HTTPException) as error:
        print(f"not connected: {error}", file=sys.stderr)
    time.sleep(0.5)
