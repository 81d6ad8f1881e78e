# Unbundled: every target says what it does with `make help`.
.DEFAULT_GOAL := help
SHELL := /bin/bash

CARGO  ?= cargo
BIN    := target/release
# Tests that start the release binary, that need a broker or a database, and those that need the year of sales.
SLOW   := scenarios:: cluster:: full_year_
NEXTEST := $(shell $(CARGO) nextest --version >/dev/null 2>&1 && echo yes)
# What make up runs, and where.
LOCAL  := infra/local
export UNBUNDLED_DATA

.PHONY: help openapi run up status down clean-local release check fmt-check clippy unit doc test e2e e2e-cluster full-year clean-data

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

run: release ## all services in one process on ./.unbundled; Ctrl-C stops it
	@exec $(BIN)/unbundled run $(ARGS)

up: release ## the services as processes of their own, on a private RabbitMQ and Postgres; README: On RabbitMQ and Postgres
	@$(LOCAL)/install.sh
	@$(LOCAL)/postgres.sh start
	@$(LOCAL)/rabbitmq.sh start
	@UNBUNDLED_BIN="$(CURDIR)/$(BIN)" $(LOCAL)/services.sh start

status: ## what of make up is running, where, and where its logs are
	@$(LOCAL)/services.sh status

down: ## stop all that make up has started; the data stays
	@$(LOCAL)/services.sh stop
	@$(LOCAL)/rabbitmq.sh stop
	@$(LOCAL)/postgres.sh stop

release: ## build the release binaries
	@$(CARGO) build --release --locked -p unbundled -p exchange-rate -p purchase -p ledger

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

test: check e2e e2e-cluster full-year ## everything: check, then the scenarios and the year of sales on the release binaries

e2e: release ## the scenarios over HTTP on the release binary
	@$(LOCAL)/install.sh promtool
	@$(call slow_tests,scenarios::)

e2e-cluster: release ## the same scenarios, and real faults, on a RabbitMQ and a Postgres that nobody else uses
	@$(LOCAL)/install.sh rabbitmq postgres promtool
	@$(call on_a_cluster)

full-year: release ## the real year of sales, if UNBUNDLED_DATA names a folder that has it
	@if [ -n "$$UNBUNDLED_DATA" ]; then \
	   $(LOCAL)/install.sh && $(call slow_tests,full_year_); \
	 else \
	   echo "The full-year tests are not selected: UNBUNDLED_DATA is not set (README: The real year)."; \
	 fi

openapi: ## write docs/openapi anew from what the services serve
	@UNBUNDLED_WRITE_OPENAPI=1 $(CARGO) test --workspace --locked --quiet --test main -- openapi:: >/dev/null
	@echo 'Written: docs/openapi. What differs from the last commit is a change of an API: git diff docs/openapi'

clean-local: ## delete the data and the logs of make up, when it is down
	@$(LOCAL)/clean.sh

clean-data: ## delete the data folder of make run
	@rm -rf .unbundled

# Black boxes use the services that run beside them; faults have clusters of their own.
ifeq ($(NEXTEST),yes)
on_a_cluster = UNBUNDLED_BIN="$(CURDIR)/$(BIN)" $(LOCAL)/with-cluster.sh $(CARGO) nextest run --workspace --locked \
	-E 'test(/cluster::/) + (test(/scenarios::/) - test(/scenarios::local::/))'
else
on_a_cluster = UNBUNDLED_BIN="$(CURDIR)/$(BIN)" $(LOCAL)/with-cluster.sh $(CARGO) test --workspace --locked -- \
	cluster:: scenarios:: --skip scenarios::local::
endif

ifeq ($(NEXTEST),yes)
slow_tests = UNBUNDLED_BIN="$(CURDIR)/$(BIN)" $(CARGO) nextest run --workspace --locked -E 'test(/$(1)/)'
else
slow_tests = UNBUNDLED_BIN="$(CURDIR)/$(BIN)" $(CARGO) test --workspace --locked -- $(1)
endif
