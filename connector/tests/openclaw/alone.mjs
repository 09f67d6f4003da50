// The plugin by itself, with a connector of the test's own: what a gateway does too seldom. PLUGIN is its folder.

import assert from "node:assert/strict";
import fs from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { json } from "node:stream/consumers";
import { after, beforeEach, test } from "node:test";

const plugin = (file) => import(path.join(process.env.PLUGIN, "src", file));

// Everything is in a home of its own, which OpenClaw finds in its own way.
const home = fs.mkdtempSync(path.join(os.tmpdir(), "alone-"));
// No other program is found.
process.env.PATH = path.dirname(process.execPath);
Object.assign(process.env, { HOME: path.join(home, "nobody"), OPENCLAW_HOME: home, OPENCLAW_STATE_DIR: "~/state" });
const state = path.join(home, "state");
const link = path.join(state, "ddingtalk");
fs.mkdirSync(link, { recursive: true });

/** The connector's side of the link: what it was told, and what it says to that. */
let told, answer;
const server = http.createServer(async (request, response) => {
  const body = await json(request);
  told.push(body);
  const { status, ...said } = answer(body) ?? { status: 200 };
  if (status === 0) return request.socket.destroy();
  response.writeHead(status).end(JSON.stringify(said));
});
await new Promise((resolve) => server.listen(path.join(link, "agent.sock"), resolve));
beforeEach(() => {
  told = [];
  answer = () => undefined;
});
after(() => {
  server.close();
  fs.rmSync(home, { recursive: true });
});

const wrong = { status: 400, error: "it is wrong" };
const said = () => told.map(({ type, text, media }) => [type, text, media?.length ?? 0]);

async function turn() {
  const { Turn } = await plugin("turn.js");
  const warned = [];
  const line = { id: 7, clientId: "ding", attempt: 1, seq: 0, said: 0, adopted: false };
  return { turn: new Turn(line, (text) => warned.push(text), () => {}), warned };
}

test("words whose file is refused arrive without it, and the reply is no failure", async () => {
  const { turn: open, warned } = await turn();
  answer = ({ media }) => (media ? wrong : undefined);
  assert.equal(await open.say({ type: "final", text: "words", media: [{ path: "/gone" }] }), true);
  assert.deepEqual(said(), [["final", "words", 1], ["final", "words\n\n⚠️ 有文件未能发送 / a file could not be sent", 0]]);
  assert.match(warned.join(), /it is wrong/);
});

test("what is refused altogether was not said, and does not count when the turn is offered again", async () => {
  const { turn: open } = await turn();
  answer = ({ text }) => (text === "too long" ? wrong : undefined);
  assert.equal(await open.say({ type: "block", text: "too long" }), false);
  assert.equal(await open.say({ type: "final", text: "kept" }), true);
  told = [];
  open.offered({ attempt: 2, seq: 1, said: 1, adopted: false });
  await open.say({ type: "done" });
  assert.deepEqual(said(), [["done", undefined, 0]]);
});

test("that it goes on by itself is said again until the connector has it", async () => {
  const { turn: open } = await turn();
  answer = ({ type }) => (type === "adopted" ? { status: 0 } : undefined);
  await open.say({ type: "typing" });
  await open.say({ type: "adopted" });
  answer = () => undefined;
  told = [];
  open.offered({ attempt: 2, seq: 1, said: 0, adopted: false });
  await open.say({ type: "typing" });
  assert.deepEqual(told.map(({ type }) => type), ["adopted", "typing"]);
  told = [];
  open.offered({ attempt: 3, seq: 3, said: 0, adopted: true });
  await open.say({ type: "done" });
  assert.deepEqual(told.map(({ type }) => type), ["done"]);
});

const cfg = { channels: { ddingtalk: { clientId: "ding", clientSecret: "x" } } };
const delivered = { status: 200, results: [{ status: "delivered", processQueryKey: "key" }] };

async function send(mediaUrl) {
  const { plugin: channel } = await plugin("channel.js");
  const folder = path.join(home, "allowed");
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, "note.txt"), "words");
  fs.writeFileSync(path.join(home, "secret.txt"), "a token");
  const access = { localRoots: [folder] };
  return channel.outbound.sendMedia({ cfg, to: "user:a", text: "caption", mediaUrl: path.join(home, mediaUrl), mediaAccess: access });
}

test("a file in a folder that OpenClaw allows is sent, behind its words and with its name", async () => {
  answer = () => delivered;
  await send("allowed/note.txt");
  assert.deepEqual(told.map(({ markdown, file }) => markdown ?? file.name), ["caption", "note.txt"]);
  assert.equal(fs.readFileSync(told[1].file.path, "utf8"), "words");
});

test("a file that may not be read, or is not there, keeps its words back, and nothing was sent", async () => {
  answer = () => delivered;
  for (const [mediaUrl, why] of [["secret.txt", /not under an allowed directory/], ["allowed/none.txt", /not found/]]) {
    await assert.rejects(send(mediaUrl), { name: "PlatformMessageNotDispatchedError", message: why });
    assert.deepEqual(told, []);
  }
});

test("a file that fails behind its words is not told as nothing sent, nor as not sent where that is unclear", async () => {
  for (const [failure, what] of [[wrong, "has not"], [{ ...wrong, status: 503 }, "may have"]]) {
    answer = ({ file }) => (file ? failure : delivered);
    const error = await send("allowed/note.txt").catch((error) => error);
    assert.deepEqual([error.name, error.message], ["Error", `the text has arrived, the file ${what}: it is wrong`]);
  }
});

test("a copy that OpenClaw made has the file's own name, so that a send is recognised when it comes again", async () => {
  answer = () => delivered;
  await send("allowed/note.txt");
  const copy = `note---${crypto.randomUUID()}.txt`;
  fs.copyFileSync(path.join(home, "allowed/note.txt"), path.join(home, "allowed", copy));
  await send(`allowed/${copy}`);
  assert.deepEqual(told.map(({ file }) => file?.name), [undefined, "note.txt", undefined, "note.txt"]);
});

/** A program that is only found in ~/.cargo/bin; it notes that it was started, and with what. */
function program(body) {
  const folder = path.join(process.env.HOME, ".cargo/bin");
  fs.mkdirSync(folder, { recursive: true });
  const [starts, dir] = [path.join(home, "starts"), path.join(home, "other/ddingtalk")];
  fs.rmSync(starts, { force: true });
  const lines = [
    `#!${process.execPath}`,
    `const [fs, http, { env, pid }] = [require("node:fs"), require("node:http"), process];`,
    `fs.appendFileSync("${starts}", JSON.stringify({ env, pid, at: Date.now(), args: process.argv.slice(2) }) + "\\n");`,
    `const serve = (after) => http.createServer((_, response) => response.end('{"version":"0.0.1"}', after)).listen("${dir}/agent.sock");`,
    `fs.mkdirSync("${dir}", { recursive: true });`,
    `fs.rmSync("${dir}/agent.sock", { force: true });`,
    body,
  ];
  fs.writeFileSync(path.join(folder, "ddingtalk"), lines.join("\n"), { mode: 0o755 });
  return () => fs.readFileSync(starts, "utf8").trim().split("\n").map((line) => JSON.parse(line));
}

/** Whoever wants it: an account whose warnings are kept. */
async function account(name) {
  process.env.OPENCLAW_STATE_DIR = "~/other";
  const { ready, leave } = await plugin(`connector.js?${name}`);
  const warned = [];
  return { ready: () => ready("default", {}, { warn: (text) => warned.push(text) }, new AbortController().signal), leave, warned };
}

test("the program is found, reads the gateway's own settings, and one of another version is told of", async () => {
  const starts = program("serve();");
  const { ready, leave, warned } = await account("found");
  await ready();
  const [{ env, args }] = starts();
  const dir = path.join(home, "other");
  assert.deepEqual([env.OPENCLAW_STATE_DIR, env.OPENCLAW_CONFIG_PATH], [dir, path.join(dir, "openclaw.json")]);
  assert.equal(args.at(-1), path.join(dir, "ddingtalk"));
  assert.match(warned.join(), /^ddingtalk 0\.0\.1 runs, not the plugin's .* ddingtalk gateway stop$/);
  await leave("default", true);
});

test("a program that answers once and dies is started less and less often", async () => {
  const starts = program("serve(() => process.exit(3));");
  const { ready } = await account("dying");
  while (!fs.existsSync(path.join(home, "starts")) || starts().length < 4) await ready().catch(() => {});
  const at = starts().map((start) => start.at);
  // 1, 2 and 4 s are between them.
  assert.ok(at[2] - at[1] >= 1_900 && at[3] - at[2] >= 3_900, at.join());
});
