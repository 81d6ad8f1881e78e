#!/usr/bin/env bash
# Runs a command with a temporary cluster: RabbitMQ, Postgres and all services, in a temporary folder and on free
# ports. The variables UNBUNDLED_TEST_POSTGRES, UNBUNDLED_TEST_RABBITMQ and
# UNBUNDLED_{EXCHANGE_RATE,PURCHASE,LEDGER,…}_URL pass the addresses to the command. After the command, the script audits
# the databases and deletes the cluster.
# usage: with-cluster.sh COMMAND…
FOLDER=$(mktemp -d "${TMPDIR:-/tmp}/unbundled-test.XXXXXX")
export UNBUNDLED_LOCAL=$FOLDER
# Several clusters of tests use this Postgres at the same time.
export POSTGRES_CONNECTIONS=300
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
  POSTGRES_PORT=$(free_ports $((4 + ${#SERVICES[@]})))
  RABBITMQ_PORT=$((POSTGRES_PORT + 1))
  RABBITMQ_DIST_PORT=$((POSTGRES_PORT + 2))
  EPMD_PORT=$((POSTGRES_PORT + 3))
  BASE_PORT=$((POSTGRES_PORT + 4))
  export BASE_PORT POSTGRES_PORT RABBITMQ_PORT RABBITMQ_DIST_PORT EPMD_PORT
}

stop_all() {
  local status=$?
  ((status == 0)) || for name in "${SERVICES[@]}"; do end_of "$LOGS/$name.log"; done
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
mapfile -t SERVICES < <(services)
((${#SERVICES[@]} > 0)) || fail "There is no $BIN/unbundled: run make release."
choose_ports
trap stop_all EXIT
trap 'exit 130' INT TERM
"$HERE/postgres.sh" start
"$HERE/rabbitmq.sh" start
"$HERE/services.sh" start >/dev/null
UNBUNDLED_TEST_POSTGRES=$("$HERE/postgres.sh" url postgres)
UNBUNDLED_TEST_RABBITMQ=$("$HERE/rabbitmq.sh" url)
export UNBUNDLED_TEST_POSTGRES UNBUNDLED_TEST_RABBITMQ
for index in "${!SERVICES[@]}"; do
  name=${SERVICES[index]^^}
  export "UNBUNDLED_${name//-/_}_URL=http://127.0.0.1:$((BASE_PORT + index))"
done
"$@"
audit
