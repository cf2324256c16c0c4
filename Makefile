# The front door. `make` alone lists what there is.

CARGO   ?= cargo
CONF    ?= conf/demo.toml
SEEDS   ?= 100000
SECONDS ?= 60
DEPS    ?= .

.DEFAULT_GOAL := help
.PHONY: help build run test check sim golden fuzz interop bench doc clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  CONF=file.toml (run)   SEEDS=n (sim)   SECONDS=n (fuzz)   DEPS=dir (interop)"
	@echo "  SCENARIO=... PEERS=... ROUNDS=n (bench)"

build: ## build target/release/millstream
	$(CARGO) build --release --locked

run: build ## run CONF (default: the demo, with its own event source)
	exec target/release/millstream $(CONF)

test: ## run all tests
	$(CARGO) test --locked

check: ## what a change must pass: format, lints, tests, documentation
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(MAKE) test
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" $(CARGO) doc --locked --no-deps --document-private-items --features sim

sim: ## play SEEDS simulated worlds
	SIM_SEEDS=$(SEEDS) $(CARGO) test --locked --profile sim --test it sim

golden: ## rewrite the transcripts of tests/golden; review the diff
	UPDATE_GOLDEN=1 $(CARGO) test --locked --test it golden

fuzz: ## run each fuzz target for SECONDS (needs cargo-fuzz; it says how to get it)
	@fuzz/run $(SECONDS)

interop: build ## try real clients and servers (DEPS: a folder with node_modules and venv)
	@tests/interop/run --deps $(DEPS)

bench: build ## measure SCENARIO beside PEERS (names, comma between them); benches/README.md
	$(CARGO) build --release --locked --manifest-path benches/Cargo.toml
	cd benches && target/release/bench run $(if $(SCENARIO),--scenario $(SCENARIO)) \
	    $(if $(PEERS),--peers $(PEERS)) $(if $(ROUNDS),--rounds $(ROUNDS))

doc: ## build the documentation of the code
	$(CARGO) doc --locked --no-deps --document-private-items

clean: ## remove what was built
	$(CARGO) clean
