# The program in an image of its own, run by nobody in particular. Base images can be replaced by others of their kind:
# docker build --build-arg RUNTIME_IMAGE=… . It wants BuildKit (Docker 23 or later, or DOCKER_BUILDKIT=1) or Buildah.
ARG RUST_IMAGE=rust:1.95.0-slim-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-20260824-slim

# --- The release binary ------------------------------------------------------------------------------------------------------
FROM ${RUST_IMAGE} AS build
WORKDIR /src
COPY . .
# The caches outlive the layer, so that a change of the source compiles the source alone.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --profile dist --locked && install -D target/dist/permitd /out/permitd

# --- The tests, for the profile `test` of compose.yaml -----------------------------------------------------------------------
FROM ${RUST_IMAGE} AS test
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        ca-certificates chromium curl jq make nodejs npm procps python3 python3-venv sqlite3 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Makefile ./
COPY tests/requirements.txt tests/
RUN make target/test-tools/ready
COPY . .
CMD ["make", "test"]

# --- What runs ---------------------------------------------------------------------------------------------------------------
FROM ${RUNTIME_IMAGE} AS permitd
# Certificates for AWS. The data directory is empty: nothing of a home's skeleton gets into a volume.
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 permitd \
    && useradd --system --uid 10001 --gid 10001 --home-dir /var/lib/permitd --no-create-home --shell /usr/sbin/nologin permitd \
    && install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/permitd
COPY --from=build /out/permitd /usr/local/bin/permitd
USER 10001:10001
WORKDIR /var/lib/permitd
ENV PERMITD_DATA=/var/lib/permitd PERMITD_LISTEN=0.0.0.0:8080
EXPOSE 8080
# Asks the address in PERMITD_OPS_LISTEN, as the server takes it. 0 means that the server wants requests.
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 CMD ["/usr/local/bin/permitd", "health"]
# SIGTERM ends it in order, within http.shutdown_timeout_s (20 s): engines that kill after 10 s need to be told, such as
# `docker run --stop-timeout 30`.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/permitd"]
CMD ["serve"]
