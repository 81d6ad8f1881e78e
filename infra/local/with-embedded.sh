#!/usr/bin/env bash
# Runs a command with a temporary system: all services in one process, in a temporary folder and on free ports. The
# variables UNBUNDLED_{EXCHANGE_RATE,PURCHASE,LEDGER,…}_URL pass the addresses to the command, and UNBUNDLED_TEST_FOLDER
# a data folder to copy, in which nothing happened but the import of the built-in history. After the command, the script
# stops the system, audits its data and deletes them.
# usage: with-embedded.sh COMMAND…
# shellcheck source=infra/local/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"
FOLDER=$(mktemp -d "${TMPDIR:-/tmp}/unbundled-test.XXXXXX")
SYSTEM=
START_SECONDS=60

ready() { grep -q '"message":"ready"' "$FOLDER/out"; }
ready_or_died() { ready || ! kill -0 "$SYSTEM" 2>/dev/null; }

start() {
  : >"$FOLDER/out"
  "$BIN/unbundled" run --data "$FOLDER/data" --base-port 0 </dev/null >>"$FOLDER/out" 2>>"$FOLDER/log" &
  SYSTEM=$!
  wait_until "$START_SECONDS" ready_or_died && ready || fail "unbundled is not ready. $(end_of "$FOLDER/log")"
}

# Fails if the process ends with another exit code than 0.
stop() {
  kill -TERM "$SYSTEM"
  wait "$SYSTEM" || fail "unbundled ended with exit code $?. $(end_of "$FOLDER/log")"
  SYSTEM=
}

# Sets the address of each service, which the event `ready` names.
export_addresses() {
  local service url
  while read -r service url; do
    service=${service^^}
    export "UNBUNDLED_${service//-/_}_URL=$url"
  done < <(sed -n 's/.*"services":"\([^"]*\)".*/\1/p' "$FOLDER/out" | sed 's/, /\n/g')
}

clean() {
  local status=$?
  [[ -z $SYSTEM ]] || kill -KILL "$SYSTEM"
  ((status == 0)) || end_of "$FOLDER/log"
  rm -rf "$FOLDER"
  exit "$status"
}

(($# > 0)) || fail 'usage: with-embedded.sh COMMAND…'
[[ -x $BIN/unbundled ]] || fail "There is no $BIN/unbundled: run make release."
trap clean EXIT
trap 'exit 130' INT TERM
start
stop
cp -a "$FOLDER/data" "$FOLDER/prepared"
start
export_addresses
export UNBUNDLED_TEST_FOLDER=$FOLDER/prepared
"$@"
stop
"$BIN/unbundled" audit --data "$FOLDER/data"
