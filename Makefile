# The two commands of the README are `make run` and `make test`. Nothing is installed outside of target/, but for what only
# root can install, and only for root: the browser of the tests and the load generator of `make bench`.

CARGO ?= cargo
PYTHON ?= python3
NPM ?= npm
# A second emulator of DynamoDB, closer to its rules of validation.
DYNOXIDE := 1.2.1
# The rules by which tests look whether everybody can use the pages.
AXE := 4.14.1
TARGET := $(or $(CARGO_TARGET_DIR),target)
TOOLS := $(TARGET)/test-tools
TOOLS_READY := $(TOOLS)/ready
# Another version is another name, by which the tools are installed anew.
TOOLS_VERSIONS := $(TOOLS)/versions-dynoxide-$(DYNOXIDE)-axe-$(AXE)

.PHONY: run run-aws test test-tools test-compose screenshots dist test-dist fuzz bench bench-aws bench-tools lint fmt

# Builds the release binary and starts the demo in ./permitd-demo.
run:
	$(CARGO) run --release -- demo

# Starts two servers over an emulator of AWS, as compose.yaml does with containers; Ctrl-C ends them.
run-aws: $(TOOLS_READY)
	$(CARGO) build --release
	scripts/run-aws "$(TARGET)/release/permitd"

# Runs every test and prints the totals.
test: test-tools
	CARGO="$(CARGO)" scripts/run-tests

# What the tests need beside Rust. Without Chromium those in a browser are skipped, and say so.
test-tools: $(TOOLS_READY)
	@command -v sqlite3 >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq \
		&& DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends sqlite3; } \
		|| { echo "please install sqlite3, the command: the tests ask it the same questions" >&2; exit 1; }
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq \
		&& DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } \
		|| echo "please install chromium for the tests in a browser; without it they are skipped"

$(TOOLS_VERSIONS):
	mkdir -p $(TOOLS)
	rm -f $(TOOLS)/versions-*
	touch $@

$(TOOLS_READY): tests/requirements.txt $(TOOLS_VERSIONS)
	$(PYTHON) -m venv $(TOOLS)/venv
	$(TOOLS)/venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement tests/requirements.txt
	$(NPM) install --silent --no-audit --no-fund --no-save --prefix $(TOOLS) @dynoxide/linux-x64@$(DYNOXIDE) axe-core@$(AXE)
	touch $@

# Makes the pictures of the pages in docs/screenshots: narrow and wide, light and dark. The states are a table in tests/browser/screenshots.rs.
screenshots: test-tools
	@command -v pngquant >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq \
		&& DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends pngquant; } \
		|| { echo "please install pngquant: it makes the pictures small" >&2; exit 1; }
	CI=true $(CARGO) test --features failpoints --test browser -- --ignored --exact --nocapture screenshots::screenshots

# Fuzzes what reads the bytes of strangers, each target for 15 seconds; FUZZ has others, such as FUZZ="600 filter".
fuzz:
	CARGO="$(CARGO)" scripts/fuzz $(FUZZ)

# Starts Dockerfile and compose.yaml in a real Docker, made of Debian's packages, and uses what they start. Root only, on Debian.
test-compose:
	$(CARGO) build --release --locked
	scripts/smoke-compose "$(TARGET)/release/permitd"

# Makes what is handed out to run without Rust, in target/packages: a tarball, a Debian package, the list of what is inside, checksums.
dist:
	CARGO="$(CARGO)" scripts/dist

# Installs what `make dist` made in a clean Debian, and starts it there. Root only, on Debian.
test-dist:
	scripts/test-dist

# Measures and prints the ratios of docs/BENCHMARKS.md; BENCH has options, such as BENCH="--only P1,P3" or BENCH=--quick.
# P15 asks DuckDB, Datasette and ROAPI the same questions; the bench installs them below target/ as it needs them.
bench: bench-tools
	$(CARGO) bench --profile dist --bench goals -- $(BENCH)

# Measures what a node over DynamoDB adds to the emulator it reads from.
bench-aws: bench-tools test-tools
	$(CARGO) bench --profile dist --bench goals -- --only P8 $(BENCH)

# The load generator: a Debian package, which only root can install.
bench-tools:
	@command -v wrk >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq wrk; } \
		|| { echo "please install wrk" >&2; exit 1; }

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --all-targets --all-features -- -D warnings
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check
	$(CARGO) clippy --manifest-path fuzz/Cargo.toml --locked --target-dir $(TARGET)/beside --lib --bins --examples -- -D warnings
	$(CARGO) fmt --manifest-path benches/kernels/Cargo.toml --check
	$(CARGO) clippy --manifest-path benches/kernels/Cargo.toml --locked --target-dir $(TARGET)/beside -- -D warnings

fmt:
	$(CARGO) fmt --all
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml
	$(CARGO) fmt --manifest-path benches/kernels/Cargo.toml
