// The connector's process: found, started, watched, ended. One for each state directory, whoever started it.

import { spawn } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { call, stateDir } from "./link.js";

// A gateway that restarts is back within 20 s. Until then messages are kept and marked, so that none is lost.
const LINGER = "90s";
const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 30_000;
const BESIDE = fileURLToPath(new URL("../bin/ddingtalk", import.meta.url));

/** The program: as the configuration says, else beside the plugin, else in PATH. */
export function binary(cfg) {
  const configured = cfg?.plugins?.entries?.ddingtalk?.config?.binary;
  if (configured) return configured;
  const places = (process.env.PATH ?? "").split(path.delimiter).filter(Boolean);
  const candidates = [BESIDE, ...places.map((dir) => path.join(dir, "ddingtalk"))];
  const runs = (file) => {
    try {
      fs.accessSync(file, fs.constants.X_OK);
      return fs.statSync(file).isFile();
    } catch {
      return false;
    }
  };
  const found = candidates.find(runs);
  if (found) return found;
  throw new Error(
    `the program ddingtalk is not beside the plugin (${BESIDE}) and not in PATH; install it, or set plugins.entries.ddingtalk.config.binary`,
  );
}

export async function answers() {
  try {
    return (await call("GET", "/v1/health", { timeout: 5_000 })).status === 200;
  } catch {
    return false;
  }
}

/** Runs the program while at least one account needs it. */
class Connector {
  #users = new Set();
  #child;
  #failures = 0;
  #starting;

  /** Ready when the program answers. Accounts that come together wait for one start. */
  async ready(accountId, cfg, log, signal) {
    this.#users.add(accountId);
    while (!(await answers())) {
      if (signal.aborted) return;
      this.#starting ??= this.#start(cfg, log).finally(() => (this.#starting = undefined));
      await this.#starting;
    }
    this.#failures = 0;
  }

  async #start(cfg, log) {
    if (this.#failures > 0) {
      await pause(Math.min(FIRST_PAUSE * 2 ** (this.#failures - 1), LONGEST_PAUSE));
      if (await answers()) return;
    }
    this.#failures += 1;
    const program = binary(cfg);
    const dir = stateDir();
    fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
    // It outlives this process on purpose, and must not depend on its pipes.
    const out = fs.openSync(path.join(dir, "plugin-start.log"), "w", 0o600);
    const args = ["gateway", "run", "--agent", "openclaw", "--linger", LINGER, "--state-dir", dir];
    const child = spawn(program, args, { detached: true, stdio: ["ignore", "ignore", out] });
    fs.closeSync(out);
    const ended = new Promise((resolve) => {
      child.once("error", (error) => resolve(String(error)));
      child.once("exit", (code, by) => resolve(`exit code ${code ?? by}`));
    });
    this.#child = child;
    child.unref();
    ended.then((why) => {
      if (this.#child === child) this.#child = undefined;
      if (this.#users.size > 0) log?.warn?.(`ddingtalk ended: ${why}`);
    });
    log?.info?.(`started ${program}`);
    let over = false;
    ended.then(() => (over = true));
    for (let waited = 0; !over && waited < 15_000; waited += 100) {
      if (await answers()) return;
      await pause(100);
    }
    if (over) log?.error?.(`ddingtalk does not start: ${lastLine(path.join(dir, "plugin-start.log"))}`);
  }

  /** The account needs it no more. It stays for a while unless it is `unwanted`, for a gateway that restarts. */
  async leave(accountId, unwanted, log) {
    this.#users.delete(accountId);
    const child = this.#child;
    if (!unwanted || !child || this.#users.size > 0) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), 12_000);
    await gone;
    clearTimeout(timer);
    log?.info?.("ddingtalk ended");
  }
}

function lastLine(file) {
  const text = fs.readFileSync(file, "utf8").trim();
  return text.slice(text.lastIndexOf("\n") + 1) || "it says nothing";
}

export const connector = new Connector();
