// The agent link of the connector: HTTP on the Unix socket in its state directory, or on the loopback port that
// agent.json beside it names.

import fs from "node:fs";
import http from "node:http";
import path from "node:path";
import { json } from "node:stream/consumers";

import { PlatformMessageNotDispatchedError } from "openclaw/plugin-sdk/error-runtime";
import { resolveStateDir } from "openclaw/plugin-sdk/state-paths";

/** Where the connector keeps its state; the same place for every process of this user. */
export const stateDir = () => path.join(resolveStateDir(), "ddingtalk");

// With this code OpenClaw knows that nothing was sent.
const away = () => Object.assign(new Error("ddingtalk does not run; it starts with: openclaw gateway"), { code: "ECONNREFUSED" });

function target() {
  const dir = stateDir();
  const socketPath = path.join(dir, "agent.sock");
  if (fs.existsSync(socketPath)) return { socketPath };
  const file = path.join(dir, "agent.json");
  if (!fs.existsSync(file)) throw away();
  const { url, token } = JSON.parse(fs.readFileSync(file, "utf8"));
  const { hostname: host, port } = new URL(url);
  return { host, port, headers: { authorization: `Bearer ${token}` } };
}

/** Opens a call; the answer's body is still to be read. */
function open(method, to, { body, signal, timeout = 30_000 } = {}) {
  return new Promise((resolve, reject) => {
    const request = http.request({ agent: false, method, path: to, signal, timeout, ...target() }, resolve);
    request.on("timeout", () => request.destroy(new Error(`${method} ${to} has no answer`)));
    request.on("error", (error) => reject(error.code === "ECONNREFUSED" ? away() : error));
    request.end(body && JSON.stringify(body));
  });
}

/** Makes a call, and gives `{ status, body }`. */
export const call = (method, to, options) =>
  open(method, to, options).then(async (response) => ({ status: response.statusCode, body: await json(response) }));

/** Whether the connector answers, and answers for this app. */
export async function robot(clientId) {
  const { body } = await call("GET", "/v1/status", { timeout: 5_000 });
  return body.robots?.find((one) => one.clientId === clientId);
}

/** Attaches, and yields the connector's lines until the stream ends. */
export async function* lines(clientId, signal) {
  const to = `/v1/agent/turns?clientId=${encodeURIComponent(clientId)}`;
  // An idle stream has an empty line every 10 s.
  const response = await open("GET", to, { signal, timeout: 35_000 });
  if (response.statusCode !== 200) throw new Error((await json(response)).error);
  let rest = "";
  for await (const piece of response.setEncoding("utf8")) {
    const whole = (rest + piece).split("\n");
    rest = whole.pop();
    for (const line of whole) if (line.trim()) yield JSON.parse(line);
  }
}

/** Nothing was sent, nor will be. */
export const notSent = (why) => new PlatformMessageNotDispatchedError(why, { retryable: false });

/** Sends a message that answers nothing, and gives DingTalk's ids of it; what fails throws DingTalk's reason. */
export async function push(message) {
  // Uploads of 20 MB and four tries may take their time.
  const { status, body } = await call("POST", "/v1/messages", { body: message, timeout: 600_000 });
  const result = body.results?.[0];
  if (result?.status === "delivered") return result.parts?.processQueryKeys ?? [result.processQueryKey ?? result.outTrackId];
  const unclear = result ? result.mayHaveArrived || result.processQueryKey : status !== 400;
  const error = result ? `${result.to}: ${result.reason}` : body.error;
  // OpenClaw asks no more, since the key has its outcome.
  throw unclear ? new Error(error) : notSent(error);
}
