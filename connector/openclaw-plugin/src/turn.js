// An open turn of the connector: its events in order, over every restart of either side.

import { setTimeout as pause } from "node:timers/promises";

import { call } from "./link.js";

const isEnd = ({ type }) => type === "done" || type === "error";
/** How many things of an event are kept: what it says, or its end. */
const things = (event) => (isEnd(event) ? 1 : (event.text ? 1 : 0) + (event.media?.length ?? 0));

/** Its events go out one after the other, and again behind the last kept one if it is offered again. */
export class Turn {
  #log = [];
  #sent = 0;
  #partial;
  #work = Promise.resolve();
  #abort = new AbortController();
  signal = this.#abort.signal;
  over = false;

  /** `gone` is called once, when nothing of it is left to be said. */
  constructor(line, warn, gone) {
    Object.assign(this, { line, warn, gone });
    this.offered(line);
  }

  /** Whether something of it is kept already: words, or that the gateway goes on with it by itself. */
  get hasSaid() {
    return this.#log.some(({ type }) => type !== "typing");
  }

  /** It is offered (again): what the connector has kept stays said. */
  offered({ attempt, seq, said }) {
    Object.assign(this, { attempt, seq });
    let kept = said;
    const next = this.#log.findIndex((event) => (kept -= things(event)) < 0);
    this.#sent = next < 0 ? this.#log.length : next;
    this.#pump();
  }

  /** The connector gave it up. */
  ended() {
    if (!this.over) this.#abort.abort();
    this.#close();
  }

  /** Words so far. Only the newest count, so that a fast model makes no queue. */
  partial(text) {
    if (text.trim()) this.#partial = { type: "partial", text };
    this.#pump();
  }

  /** Says something; ready when it is kept. */
  say(event) {
    this.#partial = undefined;
    this.#log.push(event);
    return this.#pump();
  }

  #pump() {
    return (this.#work = this.#work.then(() => this.#drain()).catch((error) => this.warn(`turn ${this.line.id}: ${error.message}`)));
  }

  async #drain() {
    while (!this.over) {
      const kept = this.#log[this.#sent];
      const event = kept ?? this.#partial;
      if (!event) return;
      if (!kept) this.#partial = undefined;
      if (!(await this.#post(event))) return;
      if (kept) this.#sent += 1;
      if (isEnd(event)) this.#close();
    }
  }

  #close() {
    if (this.over) return;
    this.over = true;
    this.gone();
  }

  /** Whether the connector took it. If it went away, the turn is offered again and the events with it. */
  async #post(event) {
    const { id, clientId } = this.line;
    const body = { v: 1, ...event, seq: this.seq + 1, attempt: this.attempt };
    const to = `/v1/agent/turns/${id}/events?clientId=${encodeURIComponent(clientId)}`;
    const answer = await call("POST", to, { body, timeout: 120_000 }).catch(() => undefined);
    if (answer?.status === 429) return pause(answer.body.retryAfterMs).then(() => this.#post(event));
    if (answer?.status === 200) this.seq = body.seq;
    // A newer offer is on its way, or the turn is over.
    else if (!answer || answer.status === 409) return false;
    // A bad file is nobody's but this event's.
    else this.warn(`turn ${id}: ${answer.body.error}`);
    return true;
  }
}
