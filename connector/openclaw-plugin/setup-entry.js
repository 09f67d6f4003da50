import { defineSetupPluginEntry } from "openclaw/plugin-sdk/channel-core";

import { plugin } from "./src/channel.js";

export default defineSetupPluginEntry(plugin);
