// An echo bot on the official Node SDK: a text is answered with the same text.
//
// Nothing of the SDK is changed. It acks with its own `socketCallBackResponse`; the answer goes out
// through the message's `sessionWebhook`, for which the SDK has no call. See README.md.

import { makeClient, require, sdk } from './bot.mjs';

// Milliseconds that a reply may take.
const REPLY_TIMEOUT = 10_000;
const GROUP = '2';

const axios = require('axios');
const client = makeClient({ keepAlive: true });

async function echo(frame) {
  const message = JSON.parse(frame.data);
  if (message.msgtype === 'text') {
    let said = message.text.content;
    if (message.conversationType === GROUP) {
      // DingTalk cuts the mention of the robot out and leaves the blank after it.
      said = said.replace(/^ /, '');
    }
    const body = { msgtype: 'text', text: { content: said } };
    const reply = await axios.post(message.sessionWebhook, body, { timeout: REPLY_TIMEOUT });
    if ((reply.data.errcode ?? 0) !== 0) {
      console.error(`the reply to ${message.msgId} was refused:`, reply.data);
    }
  }
  client.socketCallBackResponse(frame.headers.messageId, 'OK');
}

client.registerCallbackListener(sdk.TOPIC_ROBOT, (frame) => {
  // The secret is in what axios throws, so only the sentence is printed.
  echo(frame).catch((error) => console.error(`no answer: ${error.message}`));
});

// An EVENT that asks for it is put off once: the capability `events-later` of the suite.
const putOff = new Set();
client.registerAllEventListener((frame) => {
  const { eventId } = frame.headers;
  const asked = 'later' in JSON.parse(frame.data) && !putOff.has(eventId);
  putOff.add(eventId);
  return { status: asked ? sdk.EventAck.LATER : sdk.EventAck.SUCCESS };
});

await client.connect();
