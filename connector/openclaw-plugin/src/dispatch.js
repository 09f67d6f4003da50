// One turn of the connector becomes one inbound event of OpenClaw, and OpenClaw's replies the turn's events.

import fs from "node:fs/promises";
import { basename } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

import { resolveChannelInboundRouteEnvelope } from "openclaw/plugin-sdk/channel-inbound";
import { getAgentScopedMediaLocalRoots } from "openclaw/plugin-sdk/media-local-roots";
import { saveMediaBuffer } from "openclaw/plugin-sdk/media-store";
import { loadOutboundMediaFromUrl } from "openclaw/plugin-sdk/outbound-media";

import { CHANNEL } from "./account.js";
import { withLoss } from "./turn.js";

// A gateway needs 5 to 15 s from its first turn until all of it works.
const TRIES = 8;
const PAUSE = 4_000;

// By session: the end of the turn whose final reply OpenClaw is handing over. For one that comes in the middle of that
// OpenClaw tells the person that it does not know whether the reply has arrived.
const handing = new Map();
const HANDING = 5_000;

// DingTalk takes no larger files.
const LARGEST_MB = 20;

/** Dispatches a turn, and ends it. A gateway that is not ready for it yet says so by throwing. */
export async function dispatch(turn, context) {
  for (let tries = 1; ; tries += 1) {
    try {
      await dispatchOnce(turn, context);
      return turn.say({ type: "done" });
    } catch (error) {
      if (turn.over) return;
      turn.warn(`turn ${turn.line.id}: ${error?.stack ?? error}`);
      if (tries === TRIES || turn.hasSaid) return turn.say({ type: "error", message: String(error?.message ?? error) });
      await pause(PAUSE);
    }
  }
}

async function dispatchOnce(turn, { runtime: { config: configuration, channel }, account: { accountId, config }, log }) {
  const cfg = configuration.current();
  const { line, line: { conversation, sender } } = turn;
  const direct = conversation.type === "direct";
  // A run of the operator's `ddingtalk cron --agent`: nobody wrote it, and it has a session of its own.
  const scheduled = line.id >= 2 ** 52;
  const senderId = scheduled ? conversation.id : (sender.staffId ?? sender.id ?? "");
  const peer = direct ? { kind: "direct", id: senderId } : { kind: "group", id: conversation.id };
  const { route, buildEnvelope } = resolveChannelInboundRouteEnvelope({ cfg, channel: CHANNEL, accountId, peer });
  const { agentId, dmScope, sessionKey } = route;
  const mentions = direct ? undefined : { canDetectMention: true, wasMentioned: line.mentioned };
  const rules = scheduled ? { ...config, dmPolicy: "open", allowFrom: ["*"] } : config;
  const admitted = await admission({ cfg, channel, accountId, direct, line, senderId, route, mentions, config: rules });
  const { admission: verdict, reasonCode } = admitted.ingress;
  if (verdict === "pairing-required") return pair(turn, channel, accountId, senderId);
  if (verdict !== "dispatch") return log?.info?.(`not for the agent (${reasonCode}): message ${line.msgId} of ${senderId}`);
  const timestamp = Date.now();
  const to = `${CHANNEL}:${conversation.target ?? `chat:${conversation.id}`}`;
  const quote = line.quote && { id: line.quote.msgId, body: line.quote.text, sender: line.quote.nick, isQuote: true };
  const body = buildEnvelope({ channel: "DingTalk", from: sender.nick ?? senderId, timestamp, body: line.text });
  // What could not be fetched stands beside the words.
  const missing = line.attachments.filter((one) => one.missing).map((one) => `[${one.kind}: ${one.missing}]`);
  const ctxPayload = channel.inbound.buildContext({
    channel: CHANNEL, accountId: route.accountId ?? accountId,
    messageId: line.msgId, messageIdFull: line.msgId, timestamp,
    from: `${CHANNEL}:${peer.id}`, sender: { id: senderId, name: sender.nick },
    conversation: { kind: peer.kind, id: conversation.id, label: direct ? sender.nick : conversation.title, routePeer: peer },
    route: { agentId, dmScope, accountId: route.accountId, routeSessionKey: sessionKey, dispatchSessionKey: sessionKey },
    reply: { to, originatingTo: to },
    message: { body, bodyForAgent: [line.text, ...missing].filter(Boolean).join("\n"), rawBody: line.text, commandBody: line.text },
    access: { commands: { authorized: !scheduled && admitted.commandAccess.authorized }, mentions },
    media: await media(line),
    supplemental: quote && { quote },
    channelIngress: admitted,
  });
  const { promise: over, resolve: end } = Promise.withResolvers();
  const mediaLocalRoots = getAgentScopedMediaLocalRoots(cfg, agentId);
  const deliver = async (payload, { kind }) => {
    const event = payload.isReasoning ? undefined : await said(payload, turn, config, { mediaLocalRoots });
    if (event && kind === "final") handing.set(sessionKey, over);
    const visibleReplySent = Boolean(event) && (await turn.say({ type: kind === "final" ? "final" : "block", ...event }));
    return visibleReplySent ? { visibleReplySent, content: payload.text } : { visibleReplySent };
  };
  log?.info?.(`message ${line.msgId ?? conversation.id} of ${senderId} goes to ${sessionKey}`);
  if (handing.has(sessionKey)) await Promise.race([handing.get(sessionKey), pause(HANDING, undefined, { ref: false })]);
  const dispatched = channel.inbound.dispatch({
    cfg, channel: CHANNEL, accountId, ctxPayload,
    route: { agentId, dmScope, sessionKey },
    delivery: { deliver, onError: (error) => log?.error?.(`turn ${line.id}: ${error?.message ?? error}`) },
    replyOptions: {
      sourceReplyDeliveryMode: "automatic",
      abortSignal: turn.signal,
      // From here on the gateway itself goes on with it after a restart. A schedule's run is asked for again.
      turnAdoptionLifecycle: { onAdopted: () => scheduled || turn.say({ type: "adopted" }) },
      onReplyStart: () => void turn.say({ type: "typing" }),
      onPartialReply: ({ text }) => turn.partial(text ?? ""),
    },
    replyPipeline: {},
  });
  await dispatched.finally(() => {
    if (handing.get(sessionKey) === over) handing.delete(sessionKey);
    end();
  });
  log?.info?.(`message ${line.msgId ?? conversation.id} has been answered`);
}

/** What OpenClaw's own rules say of whoever wrote. */
function admission({ cfg, channel, accountId, direct, config, line, senderId, route: { agentId, sessionKey }, mentions }) {
  const { id } = line.conversation;
  const group = config.groups?.[id] ?? config.groups?.["*"];
  const open = config.groupPolicy === "open";
  const listed = !direct && Object.keys(config.groups ?? {}).length > 0;
  return channel.inbound.ingress.resolveStable({
    cfg, channelId: CHANNEL, accountId,
    identity: { key: "sender", entryIdPrefix: CHANNEL },
    subject: { stableId: senderId },
    conversation: { kind: direct ? "direct" : "group", id },
    contextBinding: { agentId, sessionKey, messageId: line.msgId, inboundEventKind: "user_request" },
    event: { kind: "message", authMode: "inbound", mayPair: direct },
    dmPolicy: config.dmPolicy ?? "pairing", allowFrom: config.allowFrom ?? [], useDefaultPairingStore: true,
    // A group's own list holds where all groups are open, too.
    groupPolicy: open && group?.allowFrom ? "allowlist" : (config.groupPolicy ?? "allowlist"), groupAllowFromFallbackToAllowFrom: false,
    groupAllowFrom: group?.allowFrom ?? config.groupAllowFrom ?? (group ? ["*"] : []),
    mentionFacts: mentions,
    policy: mentions && { activation: { requireMention: group?.requireMention ?? config.requireMention ?? true, allowTextCommands: true } },
    route: listed ? { id, kind: "room", configured: true, matched: Boolean(group), allowed: group ? group.enabled !== false : open } : undefined,
    command: { allowTextCommands: true, hasControlCommand: channel.commands.isControlCommandMessage(line.text, cfg) },
  });
}

/** A stranger gets a code, once. */
async function pair(turn, { pairing }, accountId, id) {
  const { code, created } = await pairing.upsertPairingRequest({ channel: CHANNEL, accountId, id, meta: { name: turn.line.sender.nick ?? id } });
  if (!created) return;
  await turn.say({ type: "final", text: pairing.buildPairingReply({ channel: CHANNEL, idLine: `Your DingTalk user id: ${id}`, code }) });
}

const KINDS = { picture: "image", audio: "audio", video: "video", file: "document" };

/** Files of the turn, in the gateway's own media directory, where the agent may read them. */
function media(line) {
  return Promise.all(line.attachments.filter((one) => one.path).map(async ({ path, name, kind }) => {
    const bytes = await fs.readFile(path);
    const { path: stored, contentType } = await saveMediaBuffer(bytes, undefined, "inbound", bytes.length, name, name);
    // DingTalk has put a voice into words, which are in the text.
    return { path: stored, contentType, kind: KINDS[kind], fileName: name, messageId: line.msgId, transcribed: kind === "audio" && line.hasWords };
  }));
}

/** A reply as the link takes it; nothing if there is nothing to say. Words come without a file that cannot be had. */
async function said({ text, mediaUrl, mediaUrls = mediaUrl ? [mediaUrl] : [] }, turn, config, access) {
  const lost = ({ message }) => void turn.warn(`turn ${turn.line.id}: ${message}`);
  const files = await Promise.all(mediaUrls.map((url) => file(url, config, access).catch(lost)));
  const media = files.filter(Boolean);
  const words = media.length < files.length ? withLoss(text) : text;
  if (!words?.trim() && media.length === 0) return undefined;
  return { text: words?.trim() ? words : undefined, media: media.length > 0 ? media : undefined };
}

/** A copy of a file or an address, if OpenClaw lets it be sent: what is in none of its folders stays on this machine. */
export async function file(url, { mediaMaxMb = LARGEST_MB }, access) {
  const maxBytes = mediaMaxMb * 2 ** 20;
  const { buffer, contentType, fileName } = await loadOutboundMediaFromUrl(url, { ...access, maxBytes, optimizeImages: false });
  const { path } = await saveMediaBuffer(buffer, contentType, "outbound", maxBytes, fileName);
  // OpenClaw's own copies have an id in their names.
  return { path, name: (fileName ?? basename(path)).replace(/---[0-9a-f]{8}-[0-9a-f-]{27}(?=\.|$)/, "") };
}
