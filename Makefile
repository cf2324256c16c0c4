# `make` alone lists the targets.

CARGO   ?= cargo
CONF    ?= conf/demo.toml
SEEDS   ?= 100000
SECONDS ?= 60
DEPS    ?= .
WPT     ?=
PREFIX  ?= /usr/local
DESTDIR ?=
BINARY  ?= target/release/millstream
INSTALL ?= install
TARGETS ?= i686-unknown-linux-musl aarch64-unknown-linux-musl

.DEFAULT_GOAL := help
.PHONY: help build run certificate test check targets msrv workspaces races sim golden fuzz interop watch kubernetes \
    browser bench microbench count book doc clean dist dist-test evening install uninstall

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  CONF=file.toml (run)   SEEDS=n (sim)   SECONDS=n (fuzz)   DEPS=dir (interop)   WPT=dir (browser)"
	@echo "  SCENARIO=... PEERS=... ROUNDS=n MOST=n OUT=dir (bench)   LEAF=... KEEP=name AGAINST=name (microbench)"
	@echo "  PREFIX=dir DESTDIR=dir BINARY=file (install)"

build: ## build target/release/millstream
	$(CARGO) build --release --locked

run: build ## run CONF (default: the demo, with its own event source)
	exec target/release/millstream $(CONF)

# It is self-signed, and cannot issue other certificates. It is valid for a month, as real ones soon
# will be.
certificate: ## write a certificate for localhost, for conf/tls.toml (needs openssl)
	@mkdir -p target/tls
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
	    -subj /CN=localhost -addext basicConstraints=critical,CA:FALSE \
	    -addext subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1 \
	    -keyout target/tls/key.pem -out target/tls/certificate.pem

# Skipped tests are written to this file, and listed again at the end of the run.
test: ## run all tests; its end lists those that were skipped, and why
	@skipped=$$(mktemp) && trap 'rm -f "$$skipped"' EXIT && status=0; \
	echo "$(CARGO) test --locked"; \
	SKIPPED_TESTS=$$skipped $(CARGO) test --locked || status=$$?; \
	if test -s "$$skipped"; then \
	    echo; echo "SKIPPED, because something they need is missing: $$(wc -l < "$$skipped") tests"; \
	    sed 's/^/  /' "$$skipped"; \
	fi; \
	exit $$status

# The product is compiled without the code for tests, so that is checked, too.
check: ## what a change must pass: format, lints, tests, documentation
	$(CARGO) fmt --check
	$(CARGO) clippy --locked -- -D warnings
	$(CARGO) clippy --locked --no-default-features -- -D warnings
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(MAKE) test
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items --features sim

# Each target is checked without and with TLS. The first stands for all 32-bit hosts. Standard
# libraries come from rustup, which may be missing, or have no network; then the target is skipped,
# with one line.
targets: ## check that it compiles for TARGETS, if their standard libraries can be installed
	@for target in $(TARGETS); do \
	    library=$$(rustc --print target-libdir --target $$target) || exit 1; \
	    if ! test -d "$$library" && ! said=$$(timeout 120 rustup target add $$target 2>&1); then \
	        why=$$(echo "$$said" | grep -m 1 -e error: -e timeout:); \
	        echo "skipped: no standard library for $$target: $${why:-no answer in two minutes}"; \
	        continue; \
	    fi; \
	    echo "checking $$target"; \
	    $(CARGO) clippy --locked --no-default-features --target $$target -- -D warnings || exit 1; \
	    cc=$${target%%-*}-linux-gnu-gcc; \
	    if ! command -v $$cc > /dev/null; then \
	        echo "skipped: no C compiler for the ciphers of $$target: $$cc"; \
	        continue; \
	    fi; \
	    env "CC_$$target=$$cc" $(CARGO) clippy --locked --target $$target -- -D warnings || exit 1; \
	done

# Newer compilers accept more. The oldest one comes from rustup, too.
msrv := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

msrv: ## check that it compiles with the oldest Rust that Cargo.toml names
	@if ! said=$$(timeout 300 rustup toolchain install $(msrv) --profile minimal --no-self-update 2>&1); then \
	    why=$$(echo "$$said" | grep -m 1 -e error: -e timeout:); \
	    echo "skipped: no Rust $(msrv): $${why:-no answer in five minutes}"; \
	    exit 0; \
	fi; \
	echo "checking with Rust $(msrv)"; \
	rustup run $(msrv) cargo check --locked --all-targets --target-dir target/msrv && \
	rustup run $(msrv) cargo check --locked --no-default-features --target-dir target/msrv

# They are separate workspaces, so no other check notices that a change of the product breaks them.
workspaces: ## check that the benchmarks compile
	$(CARGO) check --locked --all-targets --manifest-path benches/Cargo.toml
	$(CARGO) check --locked --all-targets --manifest-path benches/micro/Cargo.toml

races: ## run all interleavings of the threads that share state (loom)
	$(CARGO) test --locked --manifest-path races/Cargo.toml

sim: ## run SEEDS simulated worlds
	SIM_SEEDS=$(SEEDS) $(CARGO) test --locked --profile sim --test it sim

# Files generated from the transcripts come after them.
golden: ## rewrite tests/golden, tests/compatibility and the generated pages; review the diff
	UPDATE_GOLDEN=1 $(CARGO) test --locked --test it golden
	UPDATE_GOLDEN=1 $(CARGO) test --locked --test it -- compatibility:: documents::keys:: documents::words::

fuzz: ## run each fuzz target for SECONDS (needs cargo-fuzz)
	@fuzz/run $(SECONDS)

interop: build ## try real clients and servers (DEPS: a folder with node_modules and venv)
	@tests/interop/run --deps $(DEPS)
	@tests/interop/fronts --deps $(DEPS)
	@tests/interop/balancers
	@tests/interop/moves --deps $(DEPS)
	@tests/interop/replicas --deps $(DEPS)
	@tests/interop/auth --deps $(DEPS)
	@tests/interop/shared

watch: build ## let a real Prometheus watch an outage (DEPS: a folder with prometheus and promtool)
	@tests/watch/run --deps $(DEPS) || test $$? = 77

kubernetes: build ## check the manifests, the chart and the compose file against schemas and the program
	@tests/kubernetes/run || test $$? = 77

browser: build ## try event streams and the live page in Chromium (WPT: a checkout of its tests)
	@tests/browser/run $(if $(WPT),--wpt $(WPT))
	@tests/browser/run $(if $(WPT),--wpt $(WPT)) --tls
	tests/browser/admin.py $(BINARY) || test $$? = 77

bench: build ## measure SCENARIO beside PEERS (names, comma between them); benches/README.md
	$(CARGO) build --release --locked --manifest-path benches/Cargo.toml
	cd benches && target/release/bench run $(if $(SCENARIO),--scenario $(SCENARIO)) \
	    $(if $(PEERS),--peers $(PEERS)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(MOST),--most $(MOST)) \
	    $(if $(OUT),--out $(abspath $(OUT)))

microbench: ## measure the parts in nanoseconds, LEAF or all; benches/README.md
	cd benches/micro && $(CARGO) bench --locked -- $(if $(LEAF),'$(LEAF)') \
	    $(if $(KEEP),--save-baseline $(KEEP)) $(if $(AGAINST),--baseline $(AGAINST))

count: build ## count the instructions and allocations of a request and an event (needs valgrind)
	benches/count.py target/release/millstream $(if $(KEEP),--keep)

book: ## render docs/ into target/book (builds mdBook once, from crates.io)
	@packaging/book

doc: ## build the documentation of the code
	$(CARGO) doc --locked --no-deps --document-private-items

dist: ## build all release files of the last commit in target/dist
	@packaging/dist

evening: build ## install and move as the documents say, from what make dist has built (needs root)
	@tests/evening/run || test $$? = 77

dist-test: ## try the files of make dist in clean roots (needs root; CHECK: one of its checks)
	@tests/packages/run $(CHECK)

# This does not build, because users with write access to PREFIX often have no Rust. Nothing is
# installed in /etc, so no configuration is ever overwritten.
to := $(DESTDIR)$(PREFIX)
units := $(to)/lib/systemd/system

# The only list of installed files: packages contain them, and a configuration file. The documents
# keep their relative places, so links between them work. Some files in conf/ are installed
# elsewhere, or are only for builds.
documents := LICENSE README.md ARCHITECTURE.md CHANGELOG.md CONTRIBUTING.md SECURITY.md doc/exchange.svg \
    $(wildcard benches/*.md) $(sort $(shell find docs conf benches/plots -type f))
documents := $(filter-out conf/completions/% conf/openwrt/% conf/millstream.service conf/millstream.socket \
    conf/tls.toml,$(documents))

install: ## install BINARY, manual pages, completions, documents and systemd units below PREFIX
	@test -f $(BINARY) || { echo "$(BINARY) is not there; make build first" >&2; exit 1; }
	$(INSTALL) -D -m 755 $(BINARY) $(to)/bin/millstream
	$(INSTALL) -D -m 644 doc/millstream.1 $(to)/share/man/man1/millstream.1
	$(INSTALL) -D -m 644 doc/millstream.toml.5 $(to)/share/man/man5/millstream.toml.5
	$(INSTALL) -D -m 644 conf/completions/millstream.bash \
	    $(to)/share/bash-completion/completions/millstream
	$(INSTALL) -D -m 644 conf/completions/_millstream $(to)/share/zsh/site-functions/_millstream
	$(INSTALL) -D -m 644 conf/completions/millstream.fish \
	    $(to)/share/fish/vendor_completions.d/millstream.fish
	$(INSTALL) -D -m 644 conf/millstream.socket $(units)/millstream.socket
	$(INSTALL) -D -m 644 conf/millstream.service $(units)/millstream.service
	sed -i 's|/usr/local|$(PREFIX)|' $(units)/millstream.service $(to)/share/man/man1/millstream.1
	@for file in $(documents); do \
	    $(INSTALL) -D -m 644 $$file $(to)/share/doc/millstream/$$file || exit 1; \
	done

uninstall: ## remove what install has installed; configurations stay
	rm -f $(to)/bin/millstream $(units)/millstream.service $(units)/millstream.socket \
	    $(to)/share/man/man1/millstream.1 $(to)/share/man/man5/millstream.toml.5 \
	    $(to)/share/bash-completion/completions/millstream \
	    $(to)/share/zsh/site-functions/_millstream \
	    $(to)/share/fish/vendor_completions.d/millstream.fish
	rm -rf $(to)/share/doc/millstream

clean: ## remove what was built
	$(CARGO) clean
