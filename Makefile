# Unbundled: every target says what it does with `make help`.
.DEFAULT_GOAL := help
SHELL := /bin/bash

CARGO  ?= cargo
BIN    := target/release
# Tests that start the release binary, and those that need the year of sales.
SLOW   := scenarios:: full_year_
NEXTEST := $(shell $(CARGO) nextest --version >/dev/null 2>&1 && echo yes)
export UNBUNDLED_DATA

.PHONY: help run release check fmt-check clippy unit doc test e2e full-year clean-data

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

run: release ## all services in one process on ./.unbundled; Ctrl-C stops it
	@exec $(BIN)/unbundled run $(ARGS)

release: ## build the release binary
	@$(CARGO) build --release --locked -p unbundled

check: fmt-check clippy unit doc ## formatting, lints, unit tests, simulation, documentation (needs nothing running)

fmt-check:
	@$(CARGO) fmt --all --check

clippy:
	@$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

unit: ## unit tests, conformance, architecture rules and the simulation
ifeq ($(NEXTEST),yes)
	@$(CARGO) nextest run --workspace --locked -E 'not ($(foreach name,$(SLOW),test(/$(name)/) +) none())'
else
	@$(CARGO) test --workspace --locked -- $(foreach name,$(SLOW),--skip $(name))
endif

doc:
	@RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps --locked --quiet

test: check e2e full-year ## everything: check, then the scenarios and the year of sales on the release binary

e2e: release ## the scenarios over HTTP on the release binary
	@$(call slow_tests,scenarios::)

full-year: release ## the real year of sales, if UNBUNDLED_DATA names a folder that has it
	@if [ -n "$$UNBUNDLED_DATA" ]; then \
	   $(call slow_tests,full_year_); \
	 else \
	   echo "The full-year tests are not selected: UNBUNDLED_DATA is not set (README: The real year)."; \
	 fi

clean-data: ## delete the data folder of make run
	@rm -rf .unbundled

ifeq ($(NEXTEST),yes)
slow_tests = UNBUNDLED_BIN="$(CURDIR)/$(BIN)" $(CARGO) nextest run --locked -p e2e-tests -p unbundled -E 'test(/$(1)/)'
else
slow_tests = UNBUNDLED_BIN="$(CURDIR)/$(BIN)" $(CARGO) test --locked -p e2e-tests -p unbundled -- $(1)
endif
