#!/usr/bin/env bash
# Runs the services, one process each, on the private RabbitMQ and Postgres.
# usage: services.sh start|stop|status|kill NAME
# shellcheck source=infra/local/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"

# In the order of their ports.
mapfile -t SERVICES < <(services)
READY_SECONDS=60
STOP_SECONDS=10

log_of() { printf '%s/%s.log\n' "$LOGS" "$1"; }
pid_file() { printf '%s/%s.pid\n' "$PIDS" "$1"; }
pid_of() { pid_in "$(pid_file "$1")" "/$1"; }

port_of() {
  local index
  for index in "${!SERVICES[@]}"; do
    [[ ${SERVICES[index]} != "$1" ]] || printf '%s\n' $((BASE_PORT + index))
  done
}

ready() { [[ $(http_code "$(port_of "$1")" /readyz) == 200 ]]; }
ready_or_died() { ready "$1" || ! pid_of "$1" >/dev/null; }

# Starts a service in a session of its own, so that it outlives make and the terminal.
launch() {
  local name=$1 database
  [[ -x $BIN/$name ]] || fail "There is no $BIN/$name: run make release."
  database=$("${BASH_SOURCE[0]%/*}/postgres.sh" url "${name//-/_}")
  need_port "$(port_of "$name")" "$name" BASE_PORT
  open_log "$(log_of "$name")"
  DATABASE_URL=$database AMQP_URL=$AMQP_URL BIND=127.0.0.1:$(port_of "$name") \
    setsid "$BIN/$name" </dev/null >&"$LOG_FD" 2>&1 {LOG_FD}>&- &
  echo $! >"$(pid_file "$name")"
  close_log
}

runs() {
  local running used
  running=$(pid_of "$1") || return 1
  used=$(variable_of "$running" BASE_PORT)
  [[ $used == "$BASE_PORT" ]] || fail "$1 of $UNBUNDLED_LOCAL already runs with BASE_PORT=$used: stop it first."
}

await() {
  wait_until "$READY_SECONDS" ready_or_died "$1" ||
    fail "$1 is not ready after $READY_SECONDS s: curl $(address "$1")/readyz shows why. $(end_of "$(log_of "$1")")"
}

start() {
  local name found=()
  ((${#SERVICES[@]} > 0)) || fail "There is no $BIN/unbundled: run make release."
  mkdir -p "$LOGS" "$PIDS"
  "${BASH_SOURCE[0]%/*}/postgres.sh" create "${SERVICES[@]//-/_}"
  AMQP_URL=$("${BASH_SOURCE[0]%/*}/rabbitmq.sh" url)
  for name in "${SERVICES[@]}"; do
    if runs "$name"; then found+=("$name"); else launch "$name"; fi
  done
  # A process that was found may be about to end, because it was killed a moment ago.
  for name in "${found[@]}"; do
    await "$name"
    runs "$name" || launch "$name"
  done
  for name in "${SERVICES[@]}"; do
    await "$name"
    pid_of "$name" >/dev/null || fail "$name has ended. $(end_of "$(log_of "$name")")"
  done
  banner
}

all_gone() {
  local name
  for name in "${SERVICES[@]}"; do
    ! pid_of "$name" >/dev/null || return 1
  done
}

signal_all() {
  local name running
  for name in "${SERVICES[@]}"; do
    ! running=$(pid_of "$name") || kill "-$1" "$running" 2>/dev/null || true
  done
}

stop() {
  local name
  signal_all TERM
  if ! wait_until "$STOP_SECONDS" all_gone; then
    for name in "${SERVICES[@]}"; do
      ! pid_of "$name" >/dev/null || echo "$name did not stop within $STOP_SECONDS s: killed." >&2
    done
    signal_all KILL
    wait_until 5 all_gone || fail 'A service was killed but has not ended.'
  fi
  for name in "${SERVICES[@]}"; do
    rm -f "$(pid_file "$name")"
  done
}

kill_one() {
  local name=$1 running
  [[ " ${SERVICES[*]} " == *" $name "* ]] || fail "There is no service $name; the services are: ${SERVICES[*]}."
  running=$(pid_of "$name") || fail "$name is not running."
  kill -KILL "$running"
  wait_until 5 gone "$name" || fail "$name was killed but has not ended."
}

gone() { ! pid_of "$1" >/dev/null; }

address() { printf 'http://127.0.0.1:%s\n' "$(port_of "$1")"; }

status_one() {
  local name=$1 running state=stopped
  if running=$(pid_of "$name"); then
    if ready "$name"; then state=ready; else state=running; fi
  fi
  row "$name" "$state" "$(address "$name")" "${running:--}" "$(log_of "$name")"
  [[ $state == ready ]]
}

table() {
  local name all=0
  row SERVICE STATE ADDRESS PID LOG
  for name in "${SERVICES[@]}"; do
    status_one "$name" || all=1
  done
  "${BASH_SOURCE[0]%/*}/rabbitmq.sh" status || all=1
  "${BASH_SOURCE[0]%/*}/postgres.sh" status || all=1
  return "$all"
}

banner() {
  local purchase ledger
  purchase=$(address purchase)
  ledger=$(address ledger)
  table || true
  cat <<EXAMPLES

Three things to try:

  1. Offer something for 15.30 pounds.
     curl -X PUT $purchase/offers/lantern -H 'Content-Type: application/json' \\
       -d '{"price":{"amount":"15.30","currency":"GBP"}}'

  2. Buy three of them in euros, and wait until the purchase is settled. Sent again, it stays one purchase.
     curl -X POST $purchase/purchases -H 'Content-Type: application/json' \\
       -H 'Idempotency-Key: my-first' -H 'Prefer: wait=5' \\
       -d '{"customer":"alice","pay_in":"EUR","lines":[{"sku":"lantern","quantity":3}],"occurred_at":"2026-10-30T12:00:00Z"}'

  3. Kill a service (infra/local/services.sh kill exchange-rate), buy again, and restart it with make up.
     The books still balance.
     curl $ledger/trial-balance

make status shows all processes; make down stops them.
EXAMPLES
}

case ${1:-} in
start | stop) "$1" ;;
status) table ;;
kill) kill_one "${2:?the name of a service}" ;;
*) fail 'usage: services.sh start|stop|status|kill NAME' ;;
esac
