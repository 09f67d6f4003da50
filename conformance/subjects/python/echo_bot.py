"""An echo bot on the official Python SDK: a text is answered with the same text.

Nothing of the SDK is changed, and the answer goes out through its own `reply_text`. See README.md.
"""

import asyncio
import logging
import os
import signal
import sys
import threading
import time

STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT}
# Seconds that the close handshake may take after a stop signal.
GRACE = 3.0
EXIT_USAGE = 2

GROUP = "2"

log = logging.getLogger("echo_bot")


def setting(name):
    """Returns a variable of the environment that the bot can't do without."""
    value = os.environ.get(name, "")
    if not value:
        # Without an endpoint the SDK would turn to DingTalk itself; that has to be somebody's wish.
        print(
            f"error: {name} is not set\n"
            "try: mock-dingtalk run -- conformance/subjects/python/run, which sets what is needed",
            file=sys.stderr,
        )
        sys.exit(EXIT_USAGE)
    return value


def echo_handler(sdk):
    """Makes the handler. Its class can't stand at the top: the SDK is imported later."""

    class Echo(sdk.ChatbotHandler):
        async def process(self, callback):
            incoming = sdk.ChatbotMessage.from_dict(callback.data)
            if incoming.message_type == "text":
                said = incoming.text.content
                if incoming.conversation_type == GROUP:
                    # DingTalk cuts the mention of the robot out and leaves the blank after it.
                    said = said.removeprefix(" ")
                # This call blocks the event loop, as it does in the SDK's own examples.
                answer = self.reply_text(said, incoming)
                if answer is not None and answer.get("errcode", 0) != 0:
                    log.error("the reply to %s was refused: %s", incoming.message_id, answer)
            return sdk.AckMessage.STATUS_OK, "OK"

    return Echo()


def leave():
    """Ends the process at once. The SDK's tasks swallow cancellation, so none is waited for."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def wait_for_stop_signal(loop, stop):
    """Waits in a thread of its own, since the SDK's HTTP calls have no timeout and block the loop."""
    signal.sigwait(STOP_SIGNALS)
    loop.call_soon_threadsafe(stop.set)
    time.sleep(GRACE)
    leave()


async def serve(client, stop):
    """Runs the SDK's client until `stop` is set, then closes its connection."""
    running = asyncio.create_task(client.start())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        running.result()
        raise RuntimeError("the client of the SDK ended by itself")
    # A client that sees its connection closed opens the next one, so it is cancelled as well; but
    # the close frame (1000) goes out first, since a cancelled client would send 1011.
    closing = asyncio.create_task(close(client.websocket))
    await asyncio.sleep(0)
    running.cancel()
    # What the SDK makes of the cancellation is of no interest: it may raise, or wait to go on.
    running.add_done_callback(lambda task: task.cancelled() or task.exception())
    await closing


async def close(websocket):
    """Closes the connection in both directions, if there is one."""
    if websocket is not None:
        await websocket.close()


def run(register):
    """Runs a bot until a stop signal; `register` gives the client its handlers."""
    client_id = setting("DINGTALK_CLIENT_ID")
    client_secret = setting("DINGTALK_CLIENT_SECRET")
    setting("DINGTALK_OPENAPI_ENDPOINT")
    # The SDK reads the endpoint when it is imported.
    import dingtalk_stream as sdk

    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    # Blocked before any thread starts, so that each of them inherits it.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    threading.Thread(target=wait_for_stop_signal, args=(loop, stop), daemon=True).start()
    client = sdk.DingTalkStreamClient(sdk.Credential(client_id, client_secret))
    register(client, sdk)
    loop.run_until_complete(serve(client, stop))
    leave()


def register_echo(client, sdk):
    client.register_callback_handler(sdk.ChatbotMessage.TOPIC, echo_handler(sdk))


if __name__ == "__main__":
    run(register_echo)
