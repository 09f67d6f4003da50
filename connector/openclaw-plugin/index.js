import { defineChannelPluginEntry } from "openclaw/plugin-sdk/channel-core";

import manifest from "./openclaw.plugin.json" with { type: "json" };
import { plugin, setRuntime } from "./src/channel.js";

const { id, name, description } = manifest;
export default defineChannelPluginEntry({ id, name, description, plugin, setRuntime });
