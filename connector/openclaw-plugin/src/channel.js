// The channel as OpenClaw sees it: configuration, setup, status, pairing, sending.

import { buildChannelOutboundSessionRoute, createChatChannelPlugin } from "openclaw/plugin-sdk/channel-core";
import { defineChannelSetupContract } from "openclaw/plugin-sdk/channel-setup";

import { CHANNEL, defaultAccountId, listAccountIds, resolveAccount, withAccount, withoutAccount } from "./account.js";
import { binary, connector } from "./connector.js";
import { lines, push, robot } from "./link.js";
import { dispatch, file, Turn } from "./turns.js";

let runtime;
export const setRuntime = (given) => (runtime = given);

/** `user:ID`, `chat:ID` or a bare user id, with `ddingtalk:` before it or not; ids keep their case. */
export const normalizeTarget = (raw) => raw?.trim().replace(/^(ddingtalk|dingtalk):/i, "").trim() || undefined;
const isGroup = (target) => /^chat:/.test(target);

const DM_SCOPE =
  'session.dmScope is "main": all people who write to the robot share one session. Give each their own: openclaw config set session.dmScope per-channel-peer';
const sharesSessions = (cfg) => (cfg?.session?.dmScope ?? "main") === "main";

// Turns that are being answered go on while an account, or this plugin, is loaded anew.
const open = (globalThis[Symbol.for("ddingtalk.turns")] ??= new Map());

/** Runs an account until it is stopped: the connector's lines in, turns out. */
async function startAccount({ accountId, account, cfg, log, abortSignal, setStatus }) {
  const tell = (patch) => setStatus({ accountId, enabled: true, configured: true, ...patch });
  tell({ running: true, lifecycle: "starting" });
  if (sharesSessions(cfg)) log?.warn?.(DM_SCOPE);
  const warn = (text) => log?.warn?.(text);
  const hear = (line) => {
    const name = `${account.clientId}/${line.id}`;
    const known = open.get(name);
    if (line.type === "replaced") warn("another agent attached in the place of this gateway");
    if (line.type === "attached") tell({ running: true, lifecycle: "ready", connected: true, lastConnectedAt: Date.now() });
    if (line.type === "ended") known?.ended();
    if (line.type !== "turn") return;
    tell({ running: true, connected: true, lastInboundAt: Date.now() });
    if (known) return known.offered(line);
    const turn = new Turn(line, warn, () => open.delete(name));
    open.set(name, turn);
    // A gateway before this one had it, and goes on with it in this one.
    if (line.adopted) return turn.say({ type: "done" });
    dispatch(turn, { runtime, account: resolveAccount(runtime.config.current(), accountId), log })
      .catch((error) => turn.over || turn.say({ type: "error", message: String(error?.message ?? error) }));
  };
  while (!abortSignal.aborted) {
    try {
      await connector.ready(accountId, cfg, log, abortSignal);
      for await (const line of lines(account.clientId, abortSignal)) hear(line);
    } catch (error) {
      if (abortSignal.aborted) break;
      tell({ running: true, connected: false, lifecycle: "recovering", lastError: error.message });
      warn(error.message);
    }
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  const now = resolveAccount(runtime.config.current(), accountId);
  await connector.leave(accountId, !(now.enabled && now.configured), log);
  tell({ running: false, connected: false, lifecycle: "stopped" });
}

/** What the connector says of an account's robot. */
async function probeAccount({ account, cfg }) {
  try {
    const found = await robot(account.clientId);
    if (!found) return { ok: false, error: `ddingtalk runs, but not for ${account.clientId}; restart the gateway` };
    return { ok: found.stream === "connected", ...found };
  } catch (error) {
    try {
      binary(cfg);
    } catch (missing) {
      return { ok: false, error: missing.message };
    }
    return { ok: false, error: `ddingtalk does not run: ${error.message}` };
  }
}

async function send({ cfg, to, text, mediaUrl, accountId, deliveryQueueId, deliveryPartIndex = 0 }) {
  const { clientId } = resolveAccount(cfg, accountId);
  const target = normalizeTarget(to);
  const key = (what) => deliveryQueueId && `${deliveryQueueId}/${deliveryPartIndex}/${what}`;
  let result;
  if (text?.trim()) result = await push({ to: target, clientId, markdown: text, key: key("text") });
  if (mediaUrl) {
    const media = await file(mediaUrl, runtime?.channel);
    const kind = /\.(png|jpe?g|gif|bmp)$/i.test(media.path) ? "image" : "file";
    result = await push({ to: target, clientId, [kind]: media, key: key("media") });
  }
  return { messageId: result?.processQueryKey ?? result?.outTrackId ?? "", to };
}

const credential = (inputKey, credentialLabel, where) => ({
  inputKey,
  providerHint: CHANNEL,
  credentialLabel,
  helpTitle: "DingTalk developer console",
  helpLines: [where, "https://open-dev.dingtalk.com"],
  envPrompt: "",
  keepPrompt: `Keep the ${credentialLabel}?`,
  inputPrompt: credentialLabel,
  allowEnv: () => false,
  inspect: ({ cfg, accountId }) => {
    const value = resolveAccount(cfg, accountId).config[inputKey];
    return { accountConfigured: Boolean(value), hasConfiguredValue: Boolean(value), resolvedValue: typeof value === "string" ? value : undefined };
  },
  applySet: ({ cfg, accountId, value }) => withAccount(cfg, accountId, { [inputKey]: value }),
});

const setupWizard = {
  channel: CHANNEL,
  status: {
    configuredLabel: "configured",
    unconfiguredLabel: "needs Client ID and Client Secret",
    resolveConfigured: ({ cfg, accountId }) => resolveAccount(cfg, accountId).configured,
  },
  introNote: {
    title: "DingTalk robot",
    lines: [
      "1. 企业内部应用 (app of your organisation): create one",
      "2. 机器人 (robot): add it, message mode Stream",
      "3. 版本管理与发布 (versions): publish",
      "4. 凭证与基础信息 (credentials): copy Client ID and Client Secret",
    ],
  },
  credentials: [
    credential("clientId", "Client ID (AppKey)", "凭证与基础信息 → Client ID"),
    credential("clientSecret", "Client Secret (AppSecret)", "凭证与基础信息 → Client Secret"),
  ],
  completionNote: { title: "Next", lines: ["Write to the robot. Whoever is a stranger gets a code: openclaw pairing approve ddingtalk CODE"] },
};

const setupContract = defineChannelSetupContract({
  fields: {
    clientId: { kind: "string", cli: { flags: "--client-id <id>", description: "Client ID (AppKey) of the DingTalk app" } },
    clientSecret: {
      kind: "string",
      sensitive: true,
      cli: { flags: "--client-secret <secret>", description: "Client Secret (AppSecret) of the DingTalk app" },
    },
  },
  adapter: {
    validateInput: ({ input, cfg, accountId }) => {
      const { config } = resolveAccount(cfg, accountId);
      const missing = ["clientId", "clientSecret"].find((key) => !input[key] && !config[key]);
      return missing ? `${missing} is missing; give --client-id and --client-secret of 凭证与基础信息` : null;
    },
    applyAccountConfig: ({ cfg, accountId, input }) => {
      const { clientId, clientSecret } = input;
      return withAccount(cfg, accountId, { ...(clientId && { clientId }), ...(clientSecret && { clientSecret }) });
    },
  },
});

export const plugin = createChatChannelPlugin({
  base: {
    id: CHANNEL,
    meta: {
      id: CHANNEL,
      label: "DingTalk",
      selectionLabel: "DingTalk (钉钉)",
      docsPath: "/channels/ddingtalk",
      blurb: "a robot of your organisation's DingTalk, in Stream mode: no public address.",
      aliases: ["dingtalk-stream", "dingding", "钉钉"],
      markdownCapable: true,
    },
    capabilities: { chatTypes: ["direct", "group"], media: true, blockStreaming: true },
    reload: { configPrefixes: [`channels.${CHANNEL}`] },
    config: {
      listAccountIds,
      resolveAccount,
      defaultAccountId,
      isEnabled: (account) => account.enabled,
      isConfigured: (account) => account.configured,
      unconfiguredReason: () => "clientId and clientSecret are not both set",
      inspectAccount: (cfg, id) => {
        const { enabled, configured } = resolveAccount(cfg, id);
        return { enabled, configured, tokenStatus: configured ? "available" : "missing" };
      },
      describeAccount: ({ accountId, name, enabled, configured }) => ({ accountId, name, enabled, configured }),
      setAccountEnabled: ({ cfg, accountId, enabled }) => withAccount(cfg, accountId, { enabled }),
      deleteAccount: ({ cfg, accountId }) => withoutAccount(cfg, accountId),
      resolveAllowFrom: ({ cfg, accountId }) => resolveAccount(cfg, accountId).config.allowFrom ?? [],
    },
    setupContract,
    setupWizard,
    messaging: {
      targetPrefixes: [CHANNEL, "dingtalk"],
      targetIdComparison: "case-sensitive",
      normalizeTarget,
      inferTargetChatType: ({ to }) => (isGroup(normalizeTarget(to) ?? "") ? "group" : "direct"),
      targetResolver: { looksLikeId: (raw) => Boolean(normalizeTarget(raw)), hint: "<userId> | user:<userId> | chat:<openConversationId>" },
      resolveOutboundSessionRoute: ({ cfg, agentId, accountId, target }) => {
        const to = normalizeTarget(target);
        if (!to) return null;
        const chatType = isGroup(to) ? "group" : "direct";
        const id = to.replace(/^(user|chat):/, "");
        const from = chatType === "group" ? `${CHANNEL}:group:${id}` : `${CHANNEL}:${id}`;
        return buildChannelOutboundSessionRoute({ cfg, agentId, channel: CHANNEL, accountId, peer: { kind: chatType, id }, chatType, from, to: `${CHANNEL}:${to}` });
      },
    },
    status: {
      probeAccount,
      buildAccountSnapshot: ({ account: { accountId, name, enabled, configured }, runtime: state, probe }) =>
        ({ ...state, accountId, name, enabled, configured, running: state?.running ?? false, probe }),
    },
    gateway: { startAccount },
  },
  security: {
    dm: {
      channelKey: CHANNEL,
      resolvePolicy: (account) => account.config.dmPolicy,
      resolveAllowFrom: (account) => account.config.allowFrom,
      defaultPolicy: "pairing",
    },
    collectWarnings: ({ cfg }) => (sharesSessions(cfg) ? [DM_SCOPE] : []),
  },
  pairing: {
    text: {
      idLabel: "DingTalk userId",
      message: "You may talk to me now. 现在可以和我聊天了。",
      notify: async ({ cfg, id, message, accountId }) => void (await send({ cfg, accountId, to: `user:${id}`, text: message })),
    },
  },
  outbound: {
    base: { deliveryMode: "direct", textChunkLimit: 1_000_000 },
    attachedResults: { channel: CHANNEL, sendText: send, sendMedia: send },
  },
});
