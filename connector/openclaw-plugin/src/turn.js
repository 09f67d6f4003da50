// An open turn of the connector: its events in order, over every restart of either side.

import { setTimeout as pause } from "node:timers/promises";

import { call } from "./link.js";

/** Words that were to come with a file. */
export const withLoss = (text) => [text, "⚠️ 有文件未能发送 / a file could not be sent"].filter((part) => part?.trim()).join("\n\n");

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
  offered({ attempt, seq, said, adopted }) {
    Object.assign(this, { attempt, seq });
    let kept = said;
    const next = this.#log.findIndex((event) => (event.type === "adopted" ? !adopted : (kept -= things(event)) < 0));
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

  /** Says something; ready when it is kept, with whether it is, or waits for the connector to come back. */
  async say(event) {
    this.#partial = undefined;
    this.#log.push(event);
    await this.#pump();
    return this.#log.includes(event);
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
      const taken = await this.#post(event);
      if (taken === undefined) return;
      if (kept && taken) this.#sent += 1;
      // Its words may pass without its files. What is never kept does not count.
      else if (event.media) Object.assign(event, { text: withLoss(event.text), media: undefined });
      else if (kept) this.#log.splice(this.#log.indexOf(event), 1);
      if (isEnd(event)) this.#close();
    }
  }

  #close() {
    if (this.over) return;
    this.over = true;
    this.gone();
  }

  /** Whether the connector took it; if it went away, nothing: the turn is offered again and the events with it. */
  async #post(event) {
    const { id, clientId } = this.line;
    const body = { v: 1, ...event, seq: this.seq + 1, attempt: this.attempt };
    const to = `/v1/agent/turns/${id}/events?clientId=${encodeURIComponent(clientId)}`;
    const answer = await call("POST", to, { body, timeout: 120_000 }).catch(() => undefined);
    if (answer?.status === 429) return pause(answer.body.retryAfterMs).then(() => this.#post(event));
    // A newer offer is on its way, or the turn is over.
    if (!answer || answer.status === 409) return undefined;
    if (answer.status === 200) this.seq = body.seq;
    else this.warn(`turn ${id}: ${answer.body.error}`);
    return answer.status === 200;
  }
}
