// An echo bot on the official Node SDK: a text is answered with the same text.
//
// Nothing of the SDK is changed. It acks with its own `socketCallBackResponse`; the answer goes out
// through the message's `sessionWebhook`, for which the SDK has no call. See README.md.

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const EXIT_USAGE = 2;
// Milliseconds that the close handshake may take after a stop signal.
const GRACE = 3000;
// Milliseconds that a reply may take.
const REPLY_TIMEOUT = 10_000;
const GROUP = '2';

/** Returns a variable of the environment that the bot can't do without. */
function setting(name) {
  const value = process.env[name] ?? '';
  if (value === '') {
    console.error(
      `error: ${name} is not set\n` +
        'try: mock-dingtalk run -- conformance/subjects/node/run, which sets what is needed',
    );
    process.exit(EXIT_USAGE);
  }
  return value;
}

// The packages lie outside the tree, where an import by name does not look.
const home = setting('DINGTALK_SUBJECT_HOME');
const clientId = setting('DINGTALK_CLIENT_ID');
const clientSecret = setting('DINGTALK_CLIENT_SECRET');
// DingTalk's hosts are built into the SDK; turning to DingTalk itself has to be somebody's wish.
setting('HTTPS_PROXY');

// The SDK writes to standard output, which is not its to fill.
console.info = console.error;
console.log = console.error;

const sdk = await import(pathToFileURL(`${home}/node_modules/dingtalk-stream/dist/index.mjs`));
const axios = createRequire(`${home}/package.json`)('axios');

const { DWClient, TOPIC_ROBOT } = sdk;
const client = new DWClient({ clientId, clientSecret, keepAlive: true });

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

client.registerCallbackListener(TOPIC_ROBOT, (frame) => {
  // The secret is in what axios throws, so only the sentence is printed.
  echo(frame).catch((error) => console.error(`no answer: ${error.message}`));
});

function stop() {
  // Once it is closed nothing keeps the process but timers of the SDK.
  const socket = client.socket;
  if (socket === undefined || socket.readyState === socket.CLOSED) {
    process.exit(0);
  }
  socket.once('close', () => process.exit(0));
  setTimeout(() => process.exit(0), GRACE);
  client.disconnect();
}
process.on('SIGTERM', stop);
process.on('SIGINT', stop);

await client.connect();
