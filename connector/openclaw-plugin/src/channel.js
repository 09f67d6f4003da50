// The channel as OpenClaw sees it: setup, status, pairing, sending.

import { buildChannelOutboundSessionRoute, createChatChannelPlugin } from "openclaw/plugin-sdk/channel-core";
import { createChannelMessageAdapterFromOutbound, createMessageReceiptFromOutboundResults } from "openclaw/plugin-sdk/channel-outbound";
import { defineChannelSetupContract } from "openclaw/plugin-sdk/channel-setup";
import { createPatchedAccountSetupAdapter, patchScopedAccountConfig } from "openclaw/plugin-sdk/setup";

import manifest from "../package.json" with { type: "json" };
import { accounts, CHANNEL, resolveAccount } from "./account.js";
import { leave, ready } from "./connector.js";
import { dispatch, file } from "./dispatch.js";
import fixed from "./fixed.json" with { type: "json" };
import { lines, notSent, push, robot } from "./link.js";
import { Turn } from "./turn.js";

const { setup, ...meta } = manifest.openclaw.channel;

let runtime;
export const setRuntime = (given) => (runtime = given);

/** `user:ID`, `chat:ID` or a bare user id, with `ddingtalk:` before it or not; ids keep their case. */
const normalizeTarget = (raw) => raw?.trim().replace(/^(ddingtalk|dingtalk):/i, "").trim() || undefined;
const chatType = (target) => (/^chat:/.test(target ?? "") ? "group" : "direct");

const sharesSessions = (cfg) => (cfg?.session?.dmScope ?? "main") === "main";

// Turns that are being answered go on while an account, or this plugin, is loaded anew.
const open = (globalThis[Symbol.for("ddingtalk.turns")] ??= new Map());

/** Runs an account until it is stopped: the connector's lines in, turns out. */
async function startAccount({ accountId, account, cfg, log, abortSignal, setStatus }) {
  const now = () => resolveAccount(runtime.config.current(), accountId);
  const tell = (patch) => setStatus({ accountId, enabled: true, configured: true, running: true, ...patch });
  const warn = (text) => log?.warn?.(text);
  const hear = (line) => {
    const name = `${account.clientId}/${line.id}`;
    const known = open.get(name);
    if (line.type === "replaced") warn("another agent attached in the place of this gateway");
    if (line.type === "attached") tell({ lifecycle: "ready", connected: true, lastConnectedAt: Date.now() });
    if (line.type === "ended") known?.ended();
    if (line.type !== "turn") return;
    tell({ connected: true, lastInboundAt: Date.now() });
    if (known) return known.offered(line);
    const turn = new Turn(line, warn, () => open.delete(name));
    open.set(name, turn);
    // A gateway before this one had it, and goes on with it in this one.
    if (line.adopted) return turn.say({ type: "done" });
    dispatch(turn, { runtime, account: now(), log });
  };
  tell({ lifecycle: "starting" });
  if (sharesSessions(cfg)) warn(fixed.dmScope);
  while (!abortSignal.aborted) {
    try {
      await ready(accountId, cfg, log, abortSignal);
      for await (const line of lines(account.clientId, abortSignal)) hear(line);
    } catch (error) {
      if (abortSignal.aborted) break;
      tell({ connected: false, lifecycle: "recovering", lastError: error.message });
      warn(error.message);
    }
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  const { enabled, configured } = now();
  await leave(accountId, !(enabled && configured));
  tell({ running: false, connected: false, lifecycle: "stopped" });
}

/** What the connector says of an account's robot. */
async function probeAccount({ account: { clientId } }) {
  const found = await robot(clientId).catch(({ message }) => ({ error: message }));
  return { ok: found?.stream === "connected", ...(found ?? { error: `ddingtalk has no robot for ${clientId}; see ddingtalk logs` }) };
}

/** Sends words and a file, and gives DingTalk's ids of all that it became. `context` says what OpenClaw lets be read. */
async function deliver({ cfg, to, text, mediaUrl, accountId, deliveryQueueId, deliveryPartIndex = 0, onPlatformSendDispatch, ...context }) {
  const { clientId, config } = resolveAccount(cfg, accountId);
  const key = (what) => deliveryQueueId && `${deliveryQueueId}/${deliveryPartIndex}/${what}`;
  const sent = (what, message) => push({ to: normalizeTarget(to), clientId, ...message, key: key(what) });
  // Before the words, so that they do not go out alone.
  const media = mediaUrl && (await file(mediaUrl, config, context).catch(({ message }) => Promise.reject(notSent(`${mediaUrl}: ${message}`))));
  // From now on it may have arrived.
  await onPlatformSendDispatch?.();
  const ids = text?.trim() ? await sent("text", { markdown: text }) : [];
  if (!media) return ids;
  const kind = /\.(png|jpe?g|gif|bmp)$/i.test(media.path) ? "image" : "file";
  const known = ({ retryable, message }) => `the text has arrived, the file ${retryable === false ? "has not" : "may have"}: ${message}`;
  const late = (error) => Promise.reject(ids.length > 0 ? new Error(known(error)) : error);
  return [...ids, ...(await sent("media", { [kind]: media }).catch(late))];
}

const receipt = (ids) => createMessageReceiptFromOutboundResults({ results: ids.map((messageId) => ({ channel: CHANNEL, messageId })) });

const send = (context) => deliver(context).then((ids) => ({ messageId: ids[0] ?? "", to: context.to, receipt: receipt(ids) }));

// Keys of sends are remembered for 7 days.
const REMEMBERED_MS = 6 * 24 * 3_600_000;

/** A send that was cut off is asked for again by its keys: what was sent tells its ids, what was not is sent now. */
async function reconcileUnknownSend({ queueId, enqueuedAt, payloads: [{ text, mediaUrl, mediaUrls }], ...context }) {
  if (Date.now() > enqueuedAt + REMEMBERED_MS) return { status: "unresolved", error: "it is too old to be known" };
  const ids = [];
  try {
    for (const [part, url] of (mediaUrls?.length ? mediaUrls : [mediaUrl]).entries())
      ids.push(...(await deliver({ ...context, deliveryQueueId: queueId, deliveryPartIndex: part, mediaUrl: url, text: part === 0 ? text : "" })));
    return { status: "sent", receipt: receipt(ids) };
  } catch ({ message, retryable = true }) {
    return { status: "unresolved", error: message, retryable };
  }
}

const asked = ({ inputKey: key, ...words }) => ({
  ...words, inputKey: key,
  currentValue: ({ cfg, accountId }) => resolveAccount(cfg, accountId).config[key],
  applySet: ({ cfg, accountId, value }) => patchScopedAccountConfig({ cfg, channelKey: CHANNEL, accountId, patch: { [key]: value } }),
});

const { status, textInputs, ...notes } = fixed.wizard;
const setupWizard = {
  ...notes, channel: CHANNEL, textInputs: textInputs.map(asked),
  status: { ...status, resolveConfigured: ({ cfg, accountId }) => resolveAccount(cfg, accountId).configured },
};

const setupContract = defineChannelSetupContract({
  fields: Object.fromEntries(setup.fields.map(({ key, ...field }) => [key, field])),
  adapter: createPatchedAccountSetupAdapter({
    channelKey: CHANNEL,
    validateInput: ({ input, cfg, accountId }) => {
      const { config } = resolveAccount(cfg, accountId);
      const missing = ["clientId", "clientSecret"].find((key) => !input[key] && !config[key]);
      return missing ? `${missing} is missing; give --client-id and --client-secret of 凭证与基础信息` : null;
    },
    buildPatch: ({ clientId, clientSecret }) => ({ ...(clientId && { clientId }), ...(clientSecret && { clientSecret }) }),
  }),
});

export const plugin = createChatChannelPlugin({
  base: {
    id: CHANNEL, meta, setupContract, setupWizard, config: accounts,
    capabilities: { chatTypes: ["direct", "group"], media: true, blockStreaming: true }, reload: { configPrefixes: [`channels.${CHANNEL}`] },
    messaging: {
      targetPrefixes: [CHANNEL, "dingtalk"], targetIdComparison: "case-sensitive", normalizeTarget,
      inferTargetChatType: ({ to }) => chatType(normalizeTarget(to)),
      targetResolver: { looksLikeId: (raw) => Boolean(normalizeTarget(raw)), hint: "user:<userId> | chat:<openConversationId>" },
      resolveOutboundSessionRoute: ({ cfg, agentId, accountId, target }) => {
        const to = normalizeTarget(target);
        if (!to) return null;
        const peer = { kind: chatType(to), id: to.replace(/^(user|chat):/, "") };
        const from = peer.kind === "group" ? `${CHANNEL}:group:${peer.id}` : `${CHANNEL}:${peer.id}`;
        return buildChannelOutboundSessionRoute({ cfg, agentId, channel: CHANNEL, accountId, peer, chatType: peer.kind, from, to: `${CHANNEL}:${to}` });
      },
    },
    status: {
      probeAccount, buildAccountSnapshot: ({ account: { accountId, name, enabled, configured }, runtime: state, probe }) =>
        ({ ...state, accountId, name, enabled, configured, running: state?.running ?? false, probe }),
    },
    gateway: { startAccount },
    message: {
      ...createChannelMessageAdapterFromOutbound({ id: CHANNEL, outbound: { sendText: send, sendMedia: send } }),
      // Each send has a key then.
      durableFinal: { ...fixed.durableFinal, reconcileUnknownSend },
    },
  },
  security: {
    dm: { channelKey: CHANNEL, defaultPolicy: "pairing", resolvePolicy: (it) => it.config.dmPolicy, resolveAllowFrom: (it) => it.config.allowFrom },
    collectWarnings: ({ cfg }) => (sharesSessions(cfg) ? [fixed.dmScope] : []),
  },
  pairing: {
    text: { ...fixed.pairing, notify: ({ cfg, id, message: text, accountId }) => send({ cfg, accountId, to: `user:${id}`, text }) },
  },
  outbound: { base: { deliveryMode: "direct", textChunkLimit: 1_000_000 }, attachedResults: { channel: CHANNEL, sendText: send, sendMedia: send } },
});
