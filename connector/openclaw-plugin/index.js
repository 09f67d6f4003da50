import { defineChannelPluginEntry } from "openclaw/plugin-sdk/channel-core";

import { plugin, setRuntime } from "./src/channel.js";

export default defineChannelPluginEntry({
  id: "ddingtalk",
  name: "DingTalk",
  description: "DingTalk (钉钉) channel by the connector ddingtalk",
  plugin,
  setRuntime,
});
