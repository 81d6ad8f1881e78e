#!/usr/bin/env bash
# Audits the services of this folder: derives all their stored data again and compares it. The services may be running.
# usage: audit.sh [ARGUMENT…]
# shellcheck source=infra/local/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"
HERE=${BASH_SOURCE[0]%/*}

exec "${UNBUNDLED_BIN:-$ROOT/target/release}/unbundled" audit \
  --exchange-rate-database "$("$HERE/postgres.sh" url exchange_rate)" \
  --purchase-database "$("$HERE/postgres.sh" url purchase)" --ledger-database "$("$HERE/postgres.sh" url ledger)" "$@"
