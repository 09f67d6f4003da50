// The connector's process: found, started, watched, ended. One for each state directory, whoever started it.

import { spawn } from "node:child_process";
import fs from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { call, stateDir } from "./link.js";

// A gateway that restarts is back within 20 s; one that was killed can wait 5 min for what it held itself, and after
// three kills starts no channel for 5 min. Until then messages are kept and marked, so that none is lost.
const LINGER = "10m";
const SETTING = "plugins.entries.ddingtalk.config.binary";
const BESIDE = fileURLToPath(new URL("../bin/ddingtalk", import.meta.url));

const users = new Set();
let [child, starting, failures] = [undefined, undefined, 0];

const answers = () => call("GET", "/v1/health", { timeout: 5_000 }).then(() => true, () => false);

/** Ready when the program answers. Accounts that come together wait for one start. */
export async function ready(accountId, cfg, log, signal) {
  users.add(accountId);
  while (!signal.aborted && !(await answers())) {
    starting ??= start(cfg, log).finally(() => (starting = undefined));
    await starting;
  }
  failures = 0;
}

/** Starts the program that the configuration names, else the one beside the plugin, else the one in PATH. */
async function start(cfg, log) {
  if (failures > 0) await pause(Math.min(500 * 2 ** failures, 30_000));
  if (await answers()) return;
  failures += 1;
  const program = cfg?.plugins?.entries?.ddingtalk?.config?.binary || (fs.existsSync(BESIDE) ? BESIDE : "ddingtalk");
  const args = ["gateway", "run", "--agent", "openclaw", "--linger", LINGER, "--state-dir", stateDir()];
  log?.info?.(`starting ${program}`);
  // It outlives this process on purpose. Its log is in the state directory; stderr is of use until it has started.
  const started = (child = spawn(program, args, { detached: true, stdio: ["ignore", "ignore", "pipe"] }));
  started.unref();
  let [said, over] = [""];
  const ended = (why) => {
    over = why;
    if (child === started) child = undefined;
    if (users.size > 0) log?.warn?.(`ddingtalk ended: ${why}`);
  };
  started.stderr.on("data", (text) => (said = `${said}${text}`.slice(-2_000)));
  started.once("error", ({ message }) => ended(`${message}; put it beside the plugin (${BESIDE}), or set ${SETTING}`));
  started.once("close", (code, by) => over || ended(by ?? `exit code ${code}; ${said.trim().split("\n").pop()}`));
  for (let waited = 0; !over && waited < 15_000 && !(await answers()); waited += 100) await pause(100);
  started.stderr.destroy();
  if (over) throw new Error(`ddingtalk does not start: ${over}`);
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
