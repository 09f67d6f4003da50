// Accounts of `channels.ddingtalk`: which there are, and what they say.

export const CHANNEL = "ddingtalk";
export const DEFAULT = "default";

export const section = (cfg) => cfg?.channels?.[CHANNEL] ?? {};

/** Every account's name. The one at the top of the section is `default`. */
export function listAccountIds(cfg) {
  const { clientId, accounts = {} } = section(cfg);
  const named = Object.keys(accounts);
  return clientId || named.length === 0 ? [DEFAULT, ...named.filter((id) => id !== DEFAULT)] : named;
}

export function defaultAccountId(cfg) {
  const ids = listAccountIds(cfg);
  const wanted = section(cfg).defaultAccount;
  return ids.includes(wanted) ? wanted : ids[0];
}

/** An account with what it takes over from the section; its credential is always its own. */
export function resolveAccount(cfg, id) {
  const accountId = id || defaultAccountId(cfg);
  const { accounts = {}, ...top } = section(cfg);
  const { clientId, clientSecret, ...shared } = top;
  const config = accountId === DEFAULT && !accounts[DEFAULT]
    ? top
    : { ...shared, ...(accountId === DEFAULT ? { clientId, clientSecret } : {}), ...accounts[accountId] };
  const text = (value) => (typeof value === "string" ? value.trim() : "");
  return {
    accountId,
    name: config.name,
    enabled: top.enabled !== false && config.enabled !== false,
    configured: text(config.clientId) !== "" && Boolean(config.clientSecret),
    clientId: text(config.clientId),
    config,
  };
}

/** The configuration with an account's fields set to what was given. */
export function withAccount(cfg, accountId, fields) {
  const before = section(cfg);
  const next = accountId && accountId !== DEFAULT
    ? { accounts: { ...before.accounts, [accountId]: { ...before.accounts?.[accountId], ...fields } } }
    : fields;
  return { ...cfg, channels: { ...cfg.channels, [CHANNEL]: { ...before, enabled: before.enabled ?? true, ...next } } };
}

export function withoutAccount(cfg, accountId) {
  const { accounts = {}, clientId, clientSecret, ...rest } = section(cfg);
  const { [accountId]: _gone, ...others } = accounts;
  const top = accountId === DEFAULT ? rest : { ...rest, clientId, clientSecret };
  const next = Object.keys(others).length > 0 ? { ...top, accounts: others } : top;
  return { ...cfg, channels: { ...cfg.channels, [CHANNEL]: next } };
}
