// A bot that uses more of the official Node SDK than the echo bot does, unmodified.
//
// The SDK has a call for the token and none for cards and files: those are axios, on which it stands,
// through the same proxy. What a text starts with chooses the act; see README.md. Each message that
// reaches a listener is told on standard error as `handled TOPIC MESSAGE_ID`.

import { createHash, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

import { makeClient, modules, sdk } from './bot.mjs';

const API = 'https://api.dingtalk.com';
const OAPI = 'https://oapi.dingtalk.com';
const { TOPIC_AI_GRAPH_API, TOPIC_CARD, TOPIC_ROBOT } = sdk;
// The smallest PNG there is: one pixel.
const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);

// The SDK's own instance of axios, which is that of its module system.
const { default: axios } = await import(pathToFileURL(`${modules}/axios/index.js`));
// A responder of the observing script stands in for the API where the mock can't show a thing.
const standIn = process.env.WITNESS_OPENAPI;
if (standIn) {
  axios.interceptors.request.use((call) => ({ ...call, url: call.url.replace(API, standIn) }));
}

for (const name of ['dingtalk-stream', 'ws', 'axios']) {
  const about = JSON.parse(readFileSync(`${modules}/${name}/package.json`, 'utf8'));
  console.error('version', name, about.version);
}

const client = makeClient({ keepAlive: process.env.WITNESS_KEEP_ALIVE === '1' });

async function authorized() {
  return { headers: { 'x-acs-dingtalk-access-token': await client.getAccessToken() } };
}

async function card(message, words) {
  const outTrackId = randomUUID();
  await axios.post(
    `${API}/v1.0/card/instances/createAndDeliver`,
    {
      cardTemplateId: '382e4302-551d-4880-bf29-a30acfab2e71.schema',
      outTrackId,
      callbackType: 'STREAM',
      cardData: { cardParamMap: { msgContent: '' } },
      openSpaceId: `dtv1.card//IM_ROBOT.${message.senderStaffId}`,
      imRobotOpenSpaceModel: { supportForward: true },
      imRobotOpenDeliverModel: { spaceType: 'IM_ROBOT' },
    },
    await authorized(),
  );
  for (let count = 1; count <= words.length; count += 1) {
    await axios.put(
      `${API}/v1.0/card/streaming`,
      {
        outTrackId,
        guid: randomUUID(),
        key: 'msgContent',
        content: words.slice(0, count).join(' '),
        isFull: true,
        isFinalize: count === words.length,
        isError: false,
      },
      await authorized(),
    );
  }
}

async function upload() {
  const form = new FormData();
  form.set('type', 'image');
  form.set('media', new Blob([PNG], { type: 'image/png' }), 'image.png');
  const params = { access_token: await client.getAccessToken() };
  const { data } = await axios.post(`${OAPI}/media/upload`, form, { params });
  return data.media_id;
}

async function download(message) {
  const { downloadCode } = message.content;
  const asked = { downloadCode, robotCode: message.robotCode };
  const url = `${API}/v1.0/robot/messageFiles/download`;
  const { data } = await axios.post(url, asked, await authorized());
  const file = await axios.get(data.downloadUrl, { responseType: 'arraybuffer' });
  const bytes = Buffer.from(file.data);
  return `${bytes.length} ${createHash('sha256').update(bytes).digest('hex')}`;
}

/** Does what a message asks for; what it returns is said to the person. */
async function act(message) {
  if (message.msgtype === 'picture') {
    return download(message);
  }
  const said = message.text.content.trim();
  if (said === '/token') {
    return client.getAccessToken();
  }
  if (said === '/upload') {
    return upload();
  }
  if (said.startsWith('/card ')) {
    return card(message, said.split(' ').slice(1));
  }
  return said.startsWith('quiet') ? undefined : said;
}

async function robot(frame) {
  console.error('handled', frame.headers.topic, frame.headers.messageId);
  const message = JSON.parse(frame.data);
  const answer = await act(message);
  if (answer !== undefined) {
    await axios.post(message.sessionWebhook, { msgtype: 'text', text: { content: answer } });
  }
  if (!message.text?.content.includes('without an ack')) {
    client.socketCallBackResponse(frame.headers.messageId, 'OK');
  }
}

client.registerCallbackListener(TOPIC_ROBOT, (frame) => {
  // The secret is in what axios throws, so only the sentence is printed.
  robot(frame).catch((error) => console.error(`no answer: ${error.message}`));
});
client.registerCallbackListener(TOPIC_CARD, (frame) => {
  console.error('handled', frame.headers.topic, frame.headers.messageId);
  const { cardPrivateData } = JSON.parse(JSON.parse(frame.data).content);
  const response = { cardData: { cardParamMap: { pressed: cardPrivateData.actionIds[0] } } };
  if (cardPrivateData.params?.by === 'send') {
    client.send(frame.headers.messageId, response);
  } else {
    client.socketCallBackResponse(frame.headers.messageId, response);
  }
});
// Not looked at, so that data which is no JSON is answered too.
client.registerCallbackListener(TOPIC_AI_GRAPH_API, (frame) => {
  console.error('handled', frame.headers.topic, frame.headers.messageId);
  client.socketCallBackResponse(frame.headers.messageId, {});
});

await client.connect();
