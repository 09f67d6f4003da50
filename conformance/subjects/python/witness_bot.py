"""A bot that uses more of the official Python SDK than the echo bot does, all through the SDK's own calls.

What a text starts with chooses the act; see README.md. Each message that reaches a handler is told on
standard error as `handled TOPIC MESSAGE_ID`.
"""

import base64
import hashlib
import importlib.metadata
import sys

import requests

import echo_bot

# The smallest PNG there is: one pixel.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def tell(*words):
    print(*words, file=sys.stderr, flush=True)


def register(client, sdk):
    class Robot(sdk.ChatbotHandler):
        async def process(self, callback):
            tell("handled", callback.headers.topic, callback.headers.message_id)
            self.act(sdk.ChatbotMessage.from_dict(callback.data))
            return sdk.AckMessage.STATUS_OK, "OK"

        def act(self, incoming):
            if incoming.message_type == "picture":
                url = self.get_image_download_url(incoming.image_content.download_code)
                content = requests.get(url, timeout=10).content
                self.reply_text(f"{len(content)} {hashlib.sha256(content).hexdigest()}", incoming)
                return
            said = incoming.text.content.strip() if incoming.text else ""
            if said.startswith("quiet"):
                return
            if said == "/token":
                self.reply_text(self.dingtalk_client.get_access_token(), incoming)
            elif said == "/upload":
                self.reply_text(self.dingtalk_client.upload_to_dingtalk(PNG), incoming)
            elif said.startswith("/card "):
                words = said.removeprefix("/card ").split()
                card = self.ai_markdown_card_start(incoming, title="Witness")
                for count in range(1, len(words) + 1):
                    card.ai_streaming(" ".join(words[:count]))
                card.ai_finish()
            else:
                self.reply_text(said, incoming)

    class Card(sdk.CallbackHandler):
        async def process(self, callback):
            tell("handled", callback.headers.topic, callback.headers.message_id)
            pressed = sdk.CardCallbackMessage.from_dict(callback.data)
            action = pressed.content["cardPrivateData"]["actionIds"][0]
            return sdk.AckMessage.STATUS_OK, {"cardData": {"cardParamMap": {"pressed": action}}}

    class Events(sdk.EventHandler):
        async def process(self, event):
            tell("handled", event.headers.topic, event.headers.message_id)
            return sdk.AckMessage.STATUS_OK, "OK"

    client.register_callback_handler(sdk.ChatbotMessage.TOPIC, Robot())
    client.register_callback_handler(sdk.CallbackHandler.TOPIC_CARD_CALLBACK, Card())
    client.register_all_event_handler(Events())


if __name__ == "__main__":
    for package in ("dingtalk-stream", "websockets", "requests"):
        tell("version", package, importlib.metadata.version(package))
    echo_bot.run(register)
