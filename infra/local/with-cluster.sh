#!/usr/bin/env bash
# Runs a command with a temporary cluster: RabbitMQ, Postgres and the three services, in a temporary folder and on free
# ports. The variables UNBUNDLED_TEST_POSTGRES, UNBUNDLED_TEST_RABBITMQ and
# UNBUNDLED_{EXCHANGE_RATE,PURCHASE,LEDGER}_URL pass the addresses to the command. After the command, the script audits
# the databases and deletes the cluster.
# usage: with-cluster.sh COMMAND…
FOLDER=$(mktemp -d "${TMPDIR:-/tmp}/unbundled-test.XXXXXX")
export UNBUNDLED_LOCAL=$FOLDER
# shellcheck source=infra/local/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"
HERE=${BASH_SOURCE[0]%/*}

# Prints the first of the given number of consecutive free ports, below the range of ephemeral ports.
free_ports() {
  local count=$1 first offset
  while :; do
    first=$((10000 + RANDOM % 20000))
    for ((offset = 0; offset < count; offset++)); do
      ! listener $((first + offset)) >/dev/null || continue 2
    done
    printf '%s\n' "$first"
    return
  done
}

choose_ports() {
  BASE_PORT=$(free_ports 7)
  POSTGRES_PORT=$((BASE_PORT + 3))
  RABBITMQ_PORT=$((BASE_PORT + 4))
  RABBITMQ_DIST_PORT=$((BASE_PORT + 5))
  EPMD_PORT=$((BASE_PORT + 6))
  export BASE_PORT POSTGRES_PORT RABBITMQ_PORT RABBITMQ_DIST_PORT EPMD_PORT
}

stop_all() {
  local status=$?
  ((status == 0)) || for log in "$LOGS"/{exchange-rate,purchase,ledger}.log; do end_of "$log"; done
  "$HERE/services.sh" stop || status=1
  "$HERE/rabbitmq.sh" stop || status=1
  "$HERE/postgres.sh" stop || status=1
  "$HERE/clean.sh" || status=1
  exit "$status"
}

# Stops the services and compares the stored data with the derived data.
audit() {
  "$HERE/services.sh" stop
  "$HERE/audit.sh"
}

(($# > 0)) || fail 'usage: with-cluster.sh COMMAND…'
choose_ports
trap stop_all EXIT
trap 'exit 130' INT TERM
"$HERE/postgres.sh" start
"$HERE/rabbitmq.sh" start
"$HERE/services.sh" start >/dev/null
UNBUNDLED_TEST_POSTGRES=$("$HERE/postgres.sh" url postgres)
UNBUNDLED_TEST_RABBITMQ=$("$HERE/rabbitmq.sh" url)
UNBUNDLED_EXCHANGE_RATE_URL=http://127.0.0.1:$BASE_PORT
UNBUNDLED_PURCHASE_URL=http://127.0.0.1:$((BASE_PORT + 1))
UNBUNDLED_LEDGER_URL=http://127.0.0.1:$((BASE_PORT + 2))
export UNBUNDLED_TEST_POSTGRES UNBUNDLED_TEST_RABBITMQ
export UNBUNDLED_EXCHANGE_RATE_URL UNBUNDLED_PURCHASE_URL UNBUNDLED_LEDGER_URL
"$@"
audit
