# Unbundled. `make help` lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash

CARGO   ?= cargo
BIN     := target/release
# `make check` builds for development. `make test` builds everything once, with the flags of the binaries that it starts.
PROFILE ?= dev
# Filters of the slow tests. They start the release binary, or need a broker, a database or the year of sales.
SLOW   := scenarios:: cluster:: full_year_
NEXTEST := $(shell $(CARGO) nextest --version >/dev/null 2>&1 && echo yes)
# The scripts behind make up.
LOCAL  := infra/local
export UNBUNDLED_DATA

.PHONY: help openapi run up status down clean-local release build check fmt-check clippy unit doc test e2e e2e-cluster full-year clean-data

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

run: release ## all services in one process on ./.unbundled; Ctrl-C stops it
	@exec $(BIN)/unbundled run $(ARGS)

up: release ## each service in its own process, on a private RabbitMQ and Postgres (docs/guide.md)
	@$(LOCAL)/install.sh
	@$(LOCAL)/postgres.sh start
	@$(LOCAL)/rabbitmq.sh start
	@UNBUNDLED_BIN="$(CURDIR)/$(BIN)" $(LOCAL)/services.sh start

status: ## show the processes of make up with their addresses and logs
	@$(LOCAL)/services.sh status

down: ## stop everything that make up has started; the data stays
	@$(LOCAL)/services.sh stop
	@$(LOCAL)/rabbitmq.sh stop
	@$(LOCAL)/postgres.sh stop

release: ## build the release binaries
	@[ -x $(BIN)/unbundled ] || echo 'Building all programs with optimizations: six to ten minutes on two cores, once.' >&2
	@$(CARGO) build --release --locked --workspace --exclude e2e-tests --bins

check: fmt-check clippy unit doc ## formatting, lints, unit tests, simulation, documentation (needs no running services)

fmt-check:
	@$(CARGO) fmt --all --check

clippy:
	@$(CARGO) clippy --profile $(PROFILE) --workspace --all-targets --locked -- -D warnings

unit: ## unit tests, conformance, architecture rules and the simulation
ifeq ($(NEXTEST),yes)
	@$(CARGO) nextest run --cargo-profile $(PROFILE) --workspace --locked -E 'not ($(foreach name,$(SLOW),test(/$(name)/) +) none())'
else
	@$(CARGO) test --profile $(PROFILE) --workspace --locked -- $(foreach name,$(SLOW),--skip $(name))
endif

doc:
	@RUSTDOCFLAGS='-D warnings' $(CARGO) doc --profile $(PROFILE) --workspace --no-deps --locked --quiet

test e2e e2e-cluster full-year: export PROFILE := release
test: ## all tests: check, the scenarios and the year of sales on the release binaries
	@infra/test.sh fmt-check clippy build unit doc e2e e2e-cluster full-year

build: ## the programs and the tests, with the same features of all crates
	@$(CARGO) build --profile $(PROFILE) --workspace --bins --tests --locked

e2e: build ## the scenarios over HTTP on the release binary
	@$(LOCAL)/install.sh promtool
	@$(call on_an_embedded_system)

e2e-cluster: build ## the same scenarios, and real faults, on a temporary RabbitMQ and Postgres
	@$(LOCAL)/install.sh rabbitmq postgres promtool
	@$(call on_a_cluster)

full-year: build ## the real year of sales and real bookings, if they are in the folder UNBUNDLED_DATA
	@if [ -n "$$UNBUNDLED_DATA" ]; then \
	   $(LOCAL)/install.sh && $(call slow_tests,full_year_); \
	 else \
	   echo "skipped: UNBUNDLED_DATA is not set (docs/guide.md: Replay a real year)"; \
	 fi

openapi: ## regenerate docs/openapi from the services
	@UNBUNDLED_WRITE_OPENAPI=1 $(CARGO) test --workspace --locked --quiet --test main -- openapi:: >/dev/null
	@echo 'Written: docs/openapi. Review the changes of the API: git diff docs/openapi'

clean-local: ## delete the data and the logs of make up (run make down first)
	@$(LOCAL)/clean.sh

clean-data: ## delete the data of make run
	@rm -rf .unbundled

# Runs the scenarios. The black-box ones share the system that with-embedded.sh starts and audits; the others start systems
# of their own.
ifeq ($(NEXTEST),yes)
on_an_embedded_system = UNBUNDLED_BIN="$(CURDIR)/$(BIN)" $(LOCAL)/with-embedded.sh $(CARGO) nextest run --cargo-profile release \
	--workspace --locked -E 'test(/scenarios::/)'
else
on_an_embedded_system = UNBUNDLED_BIN="$(CURDIR)/$(BIN)" $(LOCAL)/with-embedded.sh $(CARGO) test --release --workspace --locked -- \
	scenarios::
endif

# Runs the cluster tests. The black-box scenarios use the services that with-cluster.sh starts. The tests of faults start
# services of their own; on the same servers, unless they stop a server.
ifeq ($(NEXTEST),yes)
on_a_cluster = UNBUNDLED_BIN="$(CURDIR)/$(BIN)" $(LOCAL)/with-cluster.sh $(CARGO) nextest run --cargo-profile release --workspace --locked \
	--profile cluster -E 'test(/cluster::/) + (test(/scenarios::/) - test(/scenarios::local::/))'
else
on_a_cluster = UNBUNDLED_BIN="$(CURDIR)/$(BIN)" $(LOCAL)/with-cluster.sh $(CARGO) test --release --workspace --locked -- \
	cluster:: scenarios:: --skip scenarios::local::
endif

ifeq ($(NEXTEST),yes)
slow_tests = UNBUNDLED_BIN="$(CURDIR)/$(BIN)" $(CARGO) nextest run --cargo-profile release --workspace --locked -E 'test(/$(1)/)'
else
slow_tests = UNBUNDLED_BIN="$(CURDIR)/$(BIN)" $(CARGO) test --release --workspace --locked -- $(1)
endif
