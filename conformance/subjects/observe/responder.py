"""A gateway of a few lines, for what the mock neither sends nor shows: the ticket as it comes in the
upgrade's address, WebSocket pings to the bot, and the Close frame that a bot answers with.

It gives one connection, with a ticket that has to be encoded, and goes away.
"""

import base64
import hashlib
import json
import socket
import struct
import threading

# Letters that an encoding would change.
TICKET = "tk+a/b=c d&e%41"
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CLOSE, PING, PONG = 0x8, 0x9, 0xA
# Seconds that a bot may take.
PATIENCE = 20


class Responder:
    """Listens at once; `seen` holds what came when `done` is set."""

    def __init__(self):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.server.settimeout(PATIENCE)
        self.port = self.server.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.seen = {"opens": 0}
        self.done = threading.Event()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        try:
            while not self.done.is_set():
                connection, _ = self.server.accept()
                connection.settimeout(PATIENCE)
                with connection:
                    self.answer(connection)
        except OSError as error:
            self.seen["error"] = str(error)
        finally:
            self.server.close()
            self.done.set()

    def answer(self, connection):
        stream = connection.makefile("rb")
        line = stream.readline().decode()
        headers = {}
        while (header := stream.readline().strip()):
            name, _, value = header.decode().partition(":")
            headers[name.lower()] = value.strip()
        if line.startswith("POST"):
            stream.read(int(headers.get("content-length", 0)))
            self.seen["opens"] += 1
            body = json.dumps({"endpoint": f"ws://127.0.0.1:{self.port}/connect", "ticket": TICKET})
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
                + f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
            )
            return
        self.seen["query"] = line.split(" ")[1].partition("?ticket=")[2]
        key = headers["sec-websocket-key"].encode()
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
        connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        for payload in (b"abc", b""):
            send(connection, PING, payload)
            self.seen.setdefault("pongs", []).append(receive(stream, PONG))
        send(connection, CLOSE, struct.pack("!H", 1000))
        self.seen["close"] = receive(stream, CLOSE)
        self.done.set()


def send(connection, opcode, payload):
    connection.sendall(bytes([0x80 | opcode, len(payload)]) + payload)


def receive(stream, wanted):
    """The payload of the next frame of this kind."""
    while True:
        first, second = stream.read(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", stream.read(2))
        mask = stream.read(4)
        payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(stream.read(length)))
        if first & 0xF == wanted:
            return payload
