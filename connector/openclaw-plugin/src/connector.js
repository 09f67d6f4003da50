// The connector's process: found, started, watched, ended. One for each state directory, whoever started it.

import { spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { resolveConfigPath, resolveStateDir } from "openclaw/plugin-sdk/state-paths";

import manifest from "../package.json" with { type: "json" };
import { call, stateDir } from "./link.js";

// A gateway that restarts is back within 20 s; one that was killed can wait 5 min for what it held itself, and after
// three kills starts no channel for 5 min. Until then messages are kept and marked, so that none is lost.
const LINGER = "10m";
const BESIDE = fileURLToPath(new URL("../bin/ddingtalk", import.meta.url));

// One that ends sooner than this has failed again.
const LASTING = 60_000;

const users = new Set();
let [child, starting, failures] = [undefined, undefined, 0];

/** The version of the program, if it answers. */
const running = () => call("GET", "/v1/status", { timeout: 5_000 }).then(({ body }) => body.version, () => undefined);

/** Ready when the program answers. Accounts that come together wait for one start, however long it takes. */
export async function ready(accountId, cfg, log, signal) {
  users.add(accountId);
  let [begun, version] = [];
  while (!signal.aborted && !(version = await running())) {
    if (begun?.over) throw new Error(`ddingtalk does not start: ${begun.over}`);
    begun ??= child ?? (await (starting ??= start(cfg, log).finally(() => (starting = undefined))));
    await pause(100);
  }
  begun?.stderr.destroy();
  // The one from before an upgrade stays until it is told to end.
  const other = version && version !== manifest.version;
  if (other) log?.warn?.(`ddingtalk ${version} runs, not the plugin's ${manifest.version}; for that: ddingtalk gateway stop`);
}

/** Starts the program that the configuration names, else the one beside the plugin, else the one in PATH. */
async function start(cfg, log) {
  if (failures > 0) await pause(Math.min(500 * 2 ** failures, 30_000));
  if (await running()) return;
  failures += 1;
  const program = cfg?.plugins?.entries?.ddingtalk?.config?.binary || (fs.existsSync(BESIDE) ? BESIDE : "ddingtalk");
  const args = ["gateway", "run", "--agent", "openclaw", "--linger", LINGER, "--state-dir", stateDir()];
  // The gateway's own settings, whatever else is set. A service of OpenClaw's has no ~/.cargo/bin in its PATH.
  const PATH = [process.env.PATH, `${os.homedir()}/.cargo/bin`].filter(Boolean).join(":");
  const env = { ...process.env, PATH, OPENCLAW_STATE_DIR: resolveStateDir(), OPENCLAW_CONFIG_PATH: resolveConfigPath() };
  log?.info?.(`starting ${program}`);
  // It outlives this process on purpose. Its log is in the state directory; stderr is of use until it has started.
  const started = (child = spawn(program, args, { detached: true, env, stdio: ["ignore", "ignore", "pipe"] }));
  started.unref();
  const since = Date.now();
  let said = "";
  const ended = (why) => {
    started.over ??= why;
    if (child === started) child = undefined;
    if (Date.now() - since > LASTING) failures = 0;
    if (users.size > 0) log?.warn?.(`ddingtalk ended: ${why}`);
  };
  started.stderr.on("data", (text) => (said = `${said}${text}`.slice(-2_000)));
  started.once("error", ({ message }) => ended(`${message}; put it beside the plugin (${BESIDE}), or set plugins.entries.ddingtalk.config.binary`));
  started.once("close", (code, by) => started.over || ended(by ?? `exit code ${code}; ${said.trim().split("\n").pop()}`));
  return started;
}

/** The account needs it no more. It stays for a while unless it is `unwanted`, for a gateway that restarts. */
export async function leave(accountId, unwanted) {
  users.delete(accountId);
  const ending = child;
  if (!unwanted || !ending || users.size > 0) return;
  const gone = new Promise((resolve) => ending.once("exit", resolve));
  const timer = setTimeout(() => ending.kill("SIGKILL"), 12_000);
  ending.kill("SIGTERM");
  await gone;
  clearTimeout(timer);
}
