// What the bots have in common: settings, the SDK, and the end.

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const EXIT_USAGE = 2;
// Milliseconds that the close handshake may take after a stop signal.
const GRACE = 3000;

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

export const require = createRequire(`${home}/package.json`);
/** Where the packages are. */
export const modules = `${home}/node_modules`;
export const sdk = await import(pathToFileURL(`${modules}/dingtalk-stream/dist/index.mjs`));

/** A client of the app that the environment names, and its end at a stop signal. */
export function makeClient(options) {
  const client = new sdk.DWClient({ clientId, clientSecret, ...options });
  const stop = () => {
    // Once it is closed nothing keeps the process but timers of the SDK.
    const socket = client.socket;
    if (socket === undefined || socket.readyState === socket.CLOSED) {
      process.exit(0);
    }
    socket.once('close', () => process.exit(0));
    setTimeout(() => process.exit(0), GRACE);
    client.disconnect();
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  return client;
}
