// One turn of the connector becomes one inbound event of OpenClaw, and OpenClaw's replies the turn's events.

import fs from "node:fs/promises";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";

import { resolveChannelInboundRouteEnvelope } from "openclaw/plugin-sdk/channel-inbound";

import { CHANNEL } from "./account.js";
import { call } from "./link.js";

/** An open turn: its events go out one after the other, and again behind the last kept one if it is offered again. */
export class Turn {
  #log = [];
  #sent = 0;
  #seq;
  #attempt;
  #partial;
  #work = Promise.resolve();
  #abort = new AbortController();
  over = false;

  /** `gone` is called once, when nothing of it is left to be said. */
  constructor(line, warn, gone) {
    Object.assign(this, { line, warn, gone });
    this.offered(line);
  }

  get signal() {
    return this.#abort.signal;
  }

  /** It is offered (again): what the connector has kept stays said. */
  offered({ attempt, seq, said }) {
    [this.#attempt, this.#seq] = [attempt, seq];
    let kept = said;
    this.#sent = this.#log.findIndex((event) => (kept -= things(event)) < 0);
    if (this.#sent < 0) this.#sent = this.#log.length;
    this.#pump();
  }

  /** The connector gave it up. */
  ended() {
    if (this.over) return;
    this.over = true;
    this.#abort.abort();
    this.gone();
  }

  /** Words so far. Only the newest count, so that a fast model makes no queue. */
  partial(text) {
    this.#partial = text;
    this.#pump();
  }

  /** Says something; ready when it is kept. */
  say(event) {
    this.#partial = undefined;
    this.#log.push(event);
    return this.#pump();
  }

  #pump() {
    this.#work = this.#work.then(() => this.#drain()).catch((error) => this.warn(`turn ${this.line.id}: ${error.message}`));
    return this.#work;
  }

  async #drain() {
    while (!this.over) {
      const event = this.#log[this.#sent];
      if (event) {
        if (!(await this.#post(event))) return;
        this.#sent += 1;
        if (event.type === "done" || event.type === "error") {
          this.over = true;
          this.gone();
        }
      } else if (this.#partial !== undefined) {
        const text = this.#partial;
        this.#partial = undefined;
        if (text.trim() && !(await this.#post({ type: "partial", text }))) return;
      } else {
        return;
      }
    }
  }

  /** Whether the connector took it. If it went away, the turn is offered again and the events with it. */
  async #post(event) {
    const { id, clientId } = this.line;
    const to = `/v1/agent/turns/${id}/events?clientId=${encodeURIComponent(clientId)}`;
    for (;;) {
      const body = { v: 1, ...event, seq: this.#seq + 1, attempt: this.#attempt };
      const answer = await call("POST", to, { body, timeout: 120_000 }).catch(() => undefined);
      if (!answer) return false;
      if (answer.status === 200) {
        this.#seq = body.seq;
        return true;
      }
      if (answer.status === 429) {
        await new Promise((resolve) => setTimeout(resolve, answer.body.retryAfterMs));
        continue;
      }
      // A newer offer is on its way, or the turn is over; a bad file is nobody's but this event's.
      if (answer.status === 409) return false;
      this.warn(`turn ${id}: ${answer.body.error}`);
      return true;
    }
  }
}

/** How many things of an event are kept: what it says, or its end. */
const things = ({ type, text, media = [] }) => (type === "done" || type === "error" ? 1 : (text ? 1 : 0) + media.length);

/** Dispatches a turn into OpenClaw, and ends it. */
export async function dispatch(turn, { runtime, account, log }) {
  const { line } = turn;
  const cfg = runtime.config.current();
  const { conversation, sender } = line;
  const direct = conversation.type === "direct";
  const senderId = sender.staffId ?? sender.id ?? "";
  const to = conversation.target ?? `chat:${conversation.id}`;
  const peer = direct ? { kind: "direct", id: senderId } : { kind: "group", id: conversation.id };
  const accountId = account.accountId;
  const { route, buildEnvelope } = resolveChannelInboundRouteEnvelope({ cfg, channel: CHANNEL, accountId, peer });
  const { config } = account;
  const channel = runtime.channel;
  const group = config.groups?.[conversation.id] ?? config.groups?.["*"];
  const ingress = await channel.inbound.ingress.resolveStable({
    channelId: CHANNEL,
    accountId,
    cfg,
    identity: { key: "sender", entryIdPrefix: "ddingtalk" },
    subject: { stableId: senderId },
    conversation: { kind: peer.kind, id: conversation.id },
    contextBinding: {
      agentId: route.agentId,
      sessionKey: route.sessionKey,
      messageId: line.msgId,
      inboundEventKind: "user_request",
    },
    event: { kind: "message", authMode: "inbound", mayPair: direct },
    dmPolicy: config.dmPolicy ?? "pairing",
    groupPolicy: config.groupPolicy ?? "allowlist",
    groupAllowFromFallbackToAllowFrom: false,
    allowFrom: config.allowFrom ?? [],
    groupAllowFrom: group?.allowFrom ?? config.groupAllowFrom ?? (group ? ["*"] : []),
    useDefaultPairingStore: true,
    mentionFacts: direct ? undefined : { canDetectMention: true, wasMentioned: line.mentioned },
    policy: direct
      ? undefined
      : { activation: { requireMention: group?.requireMention ?? config.requireMention ?? true, allowTextCommands: true } },
    route: direct || config.groupPolicy === "open" || !config.groups
      ? undefined
      : { id: conversation.id, kind: "room", configured: true, matched: Boolean(group), allowed: Boolean(group) && group.enabled !== false },
    command: {
      allowTextCommands: true,
      hasControlCommand: channel.commands.isControlCommandMessage(line.text, cfg),
    },
  });
  if (ingress.ingress.admission === "pairing-required") {
    const meta = sender.nick ? { name: sender.nick } : undefined;
    const { code, created } = await channel.pairing.upsertPairingRequest({ channel: CHANNEL, accountId, id: senderId, meta });
    if (created) {
      const idLine = `Your DingTalk user id: ${senderId}`;
      await turn.say({ type: "final", text: channel.pairing.buildPairingReply({ channel: CHANNEL, idLine, code }) });
    }
    return turn.say({ type: "done" });
  }
  if (ingress.ingress.admission !== "dispatch") {
    log?.info?.(`not for the agent (${ingress.ingress.reasonCode}): message ${line.msgId} of ${senderId}`);
    return turn.say({ type: "done" });
  }
  const body = buildEnvelope({ channel: "DingTalk", from: sender.nick ?? senderId, timestamp: Date.now(), body: line.text });
  const ctxPayload = channel.inbound.buildContext({
    channel: CHANNEL,
    accountId: route.accountId ?? accountId,
    messageId: line.msgId,
    messageIdFull: line.msgId,
    timestamp: Date.now(),
    from: `${CHANNEL}:${direct ? senderId : conversation.id}`,
    sender: { id: senderId, name: sender.nick },
    conversation: { kind: peer.kind, id: conversation.id, label: direct ? sender.nick : conversation.title, routePeer: peer },
    route: {
      agentId: route.agentId,
      dmScope: route.dmScope,
      accountId: route.accountId,
      routeSessionKey: route.sessionKey,
      dispatchSessionKey: route.sessionKey,
    },
    reply: { to: `${CHANNEL}:${to}`, originatingTo: `${CHANNEL}:${to}` },
    message: { body, bodyForAgent: words(line), rawBody: line.text, commandBody: line.text },
    access: {
      commands: { authorized: ingress.commandAccess.authorized },
      mentions: direct ? undefined : { canDetectMention: true, wasMentioned: line.mentioned },
    },
    media: await media(line, channel),
    supplemental: line.quote && { quote: { id: line.quote.msgId, body: line.quote.text, sender: line.quote.nick, isQuote: true } },
    channelIngress: ingress,
  });
  await channel.inbound.dispatch({
    cfg,
    channel: CHANNEL,
    accountId,
    route: { agentId: route.agentId, dmScope: route.dmScope, sessionKey: route.sessionKey },
    ctxPayload,
    delivery: {
      deliver: async (payload, info) => {
        if (payload.isReasoning) return { visibleReplySent: false };
        const event = await said(payload, channel);
        if (!event) return { visibleReplySent: false };
        await turn.say({ type: info.kind === "final" ? "final" : "block", ...event });
        return { visibleReplySent: true, content: payload.text };
      },
      onError: (error) => log?.error?.(`turn ${line.id}: ${error?.message ?? error}`),
    },
    replyOptions: {
      sourceReplyDeliveryMode: "automatic",
      abortSignal: turn.signal,
      // From here on the gateway itself goes on with it after a restart.
      turnAdoptionLifecycle: { onAdopted: () => turn.say({ type: "adopted" }) },
      onReplyStart: () => void turn.say({ type: "typing" }),
      onPartialReply: ({ text }) => turn.partial(text ?? ""),
    },
    replyPipeline: {},
  });
  return turn.say({ type: "done" });
}

/** What the agent reads: the words, and beside them what could not be fetched. */
function words(line) {
  const missing = line.attachments.filter((one) => one.missing).map((one) => `[${one.kind}: ${one.missing}]`);
  return [line.text, ...missing].filter(Boolean).join("\n");
}

/** Files of the turn, in the gateway's own media directory, where the agent may read them. */
async function media(line, channel) {
  const saved = line.attachments.filter((one) => one.path).map(async (one) => {
    const bytes = await fs.readFile(one.path);
    const stored = await channel.media.saveMediaBuffer(bytes, undefined, "inbound", bytes.length, one.name, one.name);
    const kind = { picture: "image", audio: "audio", video: "video", file: "document" }[one.kind];
    // DingTalk has put a voice into words, which are in the text.
    const transcribed = one.kind === "audio" && line.hasWords;
    return { path: stored.path, contentType: stored.contentType, kind, fileName: one.name, messageId: line.msgId, transcribed };
  });
  return Promise.all(saved);
}

/** A reply as the link takes it; nothing if there is nothing to say. */
async function said(payload, channel) {
  const urls = payload.mediaUrls ?? (payload.mediaUrl ? [payload.mediaUrl] : []);
  const files = await Promise.all(urls.map((url) => file(url, channel)));
  const text = payload.text?.trim() ? payload.text : undefined;
  if (!text && files.length === 0) return undefined;
  return { text, media: files.length > 0 ? files : undefined };
}

/** A file on this machine for a path or an address. */
export async function file(url, channel) {
  if (/^https?:/i.test(url)) {
    const { path } = await channel.media.saveRemoteMedia({ url, subdir: "outbound" });
    return { path, name: basename(new URL(url).pathname) || basename(path) };
  }
  const path = url.startsWith("file:") ? fileURLToPath(url) : url;
  // The gateway's copy of a file has an id in its name.
  return { path, name: basename(path).replace(/---[0-9a-f]{8}-[0-9a-f-]{27}(?=\.|$)/, "") };
}
