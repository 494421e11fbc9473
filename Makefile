# Ferryman: `make serve` builds and runs the server, `make test` runs every test.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
CARGO  ?= cargo
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check

RUST_SOURCES := $(shell find native -name '*.rs' -o -name '*.o' -o -name Cargo.toml 2>/dev/null)
PYTEST_FLAGS ?=
WITH_NSS := LD_LIBRARY_PATH=$(CURDIR)/$(VENV)/nss$${LD_LIBRARY_PATH:+:$$LD_LIBRARY_PATH}
FUZZ_SECONDS ?= 300

.DEFAULT_GOAL := help
.PHONY: help build compile serve test test-compiled lint bench soak fuzz deb package-test clean tools

help:  ## what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */  make \1\t/' | expand -t 21

tools:
	@PYTHON=$(PYTHON) CARGO=$(CARGO) scripts/check-tools

# Everything that running the server needs. The stamps make a second run immediate.
$(VENV)/run.stamp: requirements/run.txt
	@PYTHON=$(PYTHON) CARGO=$(CARGO) scripts/check-tools
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing what the server needs into $(VENV) ..."
	@$(PIP) --require-hashes -r requirements/run.txt
	@touch $@

$(VENV)/build.stamp: $(VENV)/run.stamp $(RUST_SOURCES) Cargo.toml Cargo.lock pyproject.toml
	@PYTHON=$(PYTHON) CARGO=$(CARGO) scripts/check-tools
	@echo "Building the native datapath (a minute or two) ..."
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

build: $(VENV)/build.stamp  ## build the native datapath and install everything into .venv

# The same package with the rooms that a request passes through compiled, as the Debian package has it.
COMPILED := build/compiled
PYTHON_SOURCES := $(shell find src -name '*.py')

$(VENV)/compile.stamp: requirements/build.txt $(VENV)/run.stamp
	@echo "Installing what compiling needs into $(VENV) ..."
	@$(PIP) --require-hashes -r requirements/build.txt
	@touch $@

$(COMPILED).stamp: $(VENV)/build.stamp $(VENV)/compile.stamp $(PYTHON_SOURCES) scripts/compile
	@echo "Compiling the engine (a minute or two) ..."
	@scripts/compile $(CURDIR)/$(BIN)/python src $(COMPILED)
	@touch $@

compile: $(COMPILED).stamp  ## compile what decides, into build/compiled, for bench and test

serve: build  ## run the server with embedded defaults; prints iceServers to paste into a page
	@exec $(BIN)/ferryman serve --greeting $(SERVE_FLAGS)

$(VENV)/test.stamp: requirements/test.txt $(VENV)/run.stamp
	@echo "Installing what the tests need into $(VENV) ..."
	@$(PIP) --require-hashes -r requirements/test.txt
	@touch $@

# Built once and kept: cargo-fuzz knows how to build a crate for libFuzzer.
$(VENV)/cargo/bin/cargo-fuzz: | $(VENV)/run.stamp
	@echo "Building cargo-fuzz (a minute or so) ..."
	@$(CARGO) install --quiet --locked --version 0.13.2 --root $(VENV)/cargo cargo-fuzz

# Where this machine's own NSS is too old for DTLS 1.3; an empty folder where it is not.
$(VENV)/nss: | $(VENV)/run.stamp
	@scripts/install-test-nss $@

# What is compiled is held to the same tests as its sources.
TESTS_OF_COMPILED := $(addprefix tests/,wire engine auth datapath server config conformance)
# These start no servers of their own on ports that others might take: two at a time.
TESTS_IN_PAIRS := $(addprefix tests/,wire engine auth datapath server config store tools)

test: build $(VENV)/test.stamp lint $(VENV)/cargo/bin/cargo-fuzz  ## lint, Rust's tests, Python's tests, a little fuzzing, real clients against the running server
	scripts/install-test-packages
	@$(MAKE) --no-print-directory $(VENV)/nss
	$(WITH_NSS) $(CARGO) test --quiet --locked -p ferryman-flow -p ferryman-dtls -p ferryman-udp -p ferryman-xdp -p ferryman-load
	$(WITH_NSS) FERRYMAN_TEST_WORKERS=2 $(CARGO) test --quiet --locked -p ferryman-udp
	$(BIN)/python -m pytest --numprocesses 2 $(PYTEST_FLAGS) $(TESTS_IN_PAIRS)
	$(BIN)/python -m pytest $(PYTEST_FLAGS) $(addprefix --ignore=,$(TESTS_IN_PAIRS))
	fuzz/run 2

test-compiled: compile $(VENV)/test.stamp  ## the tests of the compiled rooms, on what was compiled
	FERRYMAN_TEST_COMPILED=$(CURDIR)/$(COMPILED) PYTHONPATH=$(CURDIR)/$(COMPILED) \
		$(BIN)/python -m pytest --numprocesses 2 $(PYTEST_FLAGS) $(TESTS_OF_COMPILED)

lint: build $(VENV)/test.stamp  ## ruff, mypy, import stairs, stub against binary, rustfmt, clippy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m mypy.stubtest ferryman.datapath._native
	$(CARGO) fmt --all --check
	$(CARGO) clippy --quiet --locked --workspace --all-targets -- -D warnings
	$(CARGO) fmt --check --manifest-path fuzz/Cargo.toml
	$(CARGO) clippy --quiet --locked --manifest-path fuzz/Cargo.toml --target-dir target/fuzz -- -D warnings

bench: compile  ## Ferryman and coturn side by side on one core (COTURN=/path/to/turnserver)
	$(BIN)/python bench/run.py $(BENCH_FLAGS)

soak: compile  ## memory of idle allocations, and over ten minutes in which they come and go
	$(BIN)/python bench/soak.py $(SOAK_FLAGS)

fuzz: build $(VENV)/test.stamp $(VENV)/cargo/bin/cargo-fuzz  ## every fuzz target and the property tests, for long (FUZZ_SECONDS each)
	fuzz/run $(FUZZ_SECONDS)
	HYPOTHESIS_PROFILE=deep $(BIN)/python -m pytest -m "not interop" $(PYTEST_FLAGS)

deb:  ## a Debian package for this machine's Debian, in build/deb
	CARGO=$(CARGO) packaging/debian/build build/deb

package-test: deb  ## the package in a clean Debian: installed, called, removed, purged (root, debootstrap, systemd-nspawn)
	packaging/debian/try build/deb/ferryman_*.deb

clean:  ## remove everything that was built
	rm -rf $(VENV) target fuzz/target fuzz/corpus fuzz/seeds build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src -name '*.so' -delete
