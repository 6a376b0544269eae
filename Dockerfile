# syntax=docker/dockerfile:1.7
# The program in an image of its own, run by nobody in particular. Base images can be replaced by others of their kind:
# docker build --build-arg RUNTIME_IMAGE=… .
ARG RUST_IMAGE=rust:1.95.0-slim-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-20260824-slim

# --- The release binary ------------------------------------------------------------------------------------------------------
FROM ${RUST_IMAGE} AS build
WORKDIR /src
COPY . .
# The caches outlive the layer, so that a change of the source compiles the source alone.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked && install -D target/release/permitd /out/permitd

# --- The tests, for the profile `test` of compose.yaml -----------------------------------------------------------------------
FROM ${RUST_IMAGE} AS test
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        ca-certificates chromium curl jq make nodejs npm python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Makefile ./
COPY tests/requirements.txt tests/
RUN make target/test-tools/ready
COPY . .
CMD ["scripts/run-tests"]

# --- What runs ---------------------------------------------------------------------------------------------------------------
FROM ${RUNTIME_IMAGE} AS permitd
# Certificates for AWS and for SMTP servers.
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/permitd --create-home --shell /usr/sbin/nologin permitd \
    && chmod 700 /var/lib/permitd
COPY --from=build /out/permitd /usr/local/bin/permitd
USER 10001:10001
WORKDIR /var/lib/permitd
ENV PERMITD_DATA=/var/lib/permitd PERMITD_LISTEN=0.0.0.0:8080
EXPOSE 8080
# The image has no curl; bash can ask. 200 means that the server wants requests.
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 CMD ["/bin/bash", "-c", \
    "exec 3<>/dev/tcp/127.0.0.1/9090 && printf 'GET /health/ready HTTP/1.0\\r\\n\\r\\n' >&3 && read -r answer <&3 && [[ $answer == *' 200 '* ]]"]
# SIGTERM ends it in order.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/permitd"]
CMD ["serve"]
