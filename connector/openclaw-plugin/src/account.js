// Accounts of `channels.ddingtalk`: which there are, and what they say.

import { createAccountListHelpers, DEFAULT_ACCOUNT_ID, resolveAccountEntry } from "openclaw/plugin-sdk/account-core";
import { createHybridChannelConfigBase } from "openclaw/plugin-sdk/channel-config-helpers";

export const CHANNEL = "ddingtalk";

// The account at the top of the section is `default`.
const { listAccountIds, resolveDefaultAccountId: defaultAccountId } = createAccountListHelpers(CHANNEL, {
  implicitDefaultAccount: { channelKeys: ["clientId"] },
});

/** An account with what it takes over from the section; its credential is always its own. */
export function resolveAccount(cfg, id) {
  const accountId = id || defaultAccountId(cfg);
  const { accounts, clientId, clientSecret, ...shared } = cfg?.channels?.[CHANNEL] ?? {};
  const own = accountId === DEFAULT_ACCOUNT_ID ? { clientId, clientSecret } : {};
  const config = { ...shared, ...own, ...resolveAccountEntry(accounts, accountId) };
  const enabled = shared.enabled !== false && config.enabled !== false;
  const trimmed = config.clientId?.trim?.() ?? "";
  return { accountId, name: config.name, enabled, configured: Boolean(trimmed && config.clientSecret), clientId: trimmed, config };
}

const inspected = ({ enabled, configured }) => ({ enabled, configured, tokenStatus: configured ? "available" : "missing" });

/** How OpenClaw reads and writes accounts. */
export const accounts = {
  ...createHybridChannelConfigBase({
    sectionKey: CHANNEL, listAccountIds, resolveAccount, defaultAccountId,
    inspectAccount: (cfg, id) => inspected(resolveAccount(cfg, id)),
    clearBaseFields: ["clientId", "clientSecret", "name"],
  }),
  isEnabled: (account) => account.enabled, isConfigured: (account) => account.configured,
  unconfiguredReason: () => "clientId and clientSecret are not both set",
  describeAccount: ({ accountId, name, enabled, configured }) => ({ accountId, name, enabled, configured }),
  resolveAllowFrom: ({ cfg, accountId }) => resolveAccount(cfg, accountId).config.allowFrom ?? [],
};
