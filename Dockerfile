# Two images, each a program and nothing else: no shell, no libc, no package.
#
#   docker build --target mock-dingtalk -t mock-dingtalk:0.1.0 .
#   docker build --target ddingtalk     -t ddingtalk:0.1.0 .
#
# compile the programs in a container. With a Rust toolchain at hand, `.ci/image` compiles them
# outside and builds the targets `*-prebuilt`, for which nothing is pulled. These come first, since
# the classic builder makes every stage above the one that it is asked for.
#
# Both run with a read-only root file system and without any capability, and end at SIGTERM.

# ---- what the mock's image says, wherever its program comes from --------------------------------
FROM scratch AS mock-dingtalk-settings
LABEL org.opencontainers.image.title="mock-dingtalk" \
      org.opencontainers.image.description="DingTalk's stream gateway and OpenAPI as a local server, for tests" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
# The verbs find the mock that runs in the same container: docker exec CONTAINER /mock-dingtalk say hi
ENV MOCK_DINGTALK_URL=http://127.0.0.1:8700
EXPOSE 8700
USER 65532:65532
ENTRYPOINT ["/mock-dingtalk"]
# Off loopback the control API wants MOCK_DINGTALK_ADMIN_TOKEN; unset, one is made and printed.
CMD ["serve", "--listen", "0.0.0.0:8700"]
HEALTHCHECK --interval=1s --timeout=2s --start-period=10s --retries=3 \
  CMD ["/mock-dingtalk", "healthcheck"]

FROM mock-dingtalk-settings AS mock-dingtalk-prebuilt
COPY mock-dingtalk /

# ---- what the connector's image says ------------------------------------------------------------
FROM scratch AS ddingtalk-settings
LABEL org.opencontainers.image.title="ddingtalk" \
      org.opencontainers.image.description="Connects a DingTalk app robot (Stream mode) to an AI agent" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
# Messages that are acked and not answered yet lie in /state/ddingtalk, and /state/openclaw.json is
# the config file.
ENV OPENCLAW_STATE_DIR=/state
USER 65532:65532
ENTRYPOINT ["/ddingtalk"]
CMD ["gateway"]
# Healthy while every robot is connected. It does not see a --state-dir that is given to `gateway`.
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 \
  CMD ["/ddingtalk", "gateway", "status"]

FROM ddingtalk-settings AS ddingtalk-prebuilt
COPY ddingtalk /
COPY --chown=65532:65532 writable /
VOLUME /state

# ---- compiling here -----------------------------------------------------------------------------
FROM rust:1.95.0-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN .ci/static /out --release

FROM mock-dingtalk-settings AS mock-dingtalk
COPY --from=build /out/mock-dingtalk /

FROM ddingtalk-settings AS ddingtalk
COPY --from=build /out/ddingtalk /
COPY --from=build --chown=65532:65532 /out/writable /
VOLUME /state
