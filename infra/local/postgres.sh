#!/usr/bin/env bash
# A private Postgres: no service manager, no socket, its own data.
# usage: postgres.sh start|stop|immediate-restart|wipe|status|url NAME|psql NAME [ARGUMENT…]
# shellcheck source=infra/local/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"

# A folder, or a link to one: see make_folder.
HOME_FOLDER=$UNBUNDLED_LOCAL/postgres
LOG=$LOGS/postgres.log
DATABASES=(exchange_rate purchase ledger)
START_SECONDS=60

program() { postgres_program "$1" || fail 'Postgres is not installed: run infra/local/install.sh.'; }
data() { printf '%s/data\n' "$(realpath -m "$HOME_FOLDER")"; }
pid() { pid_in "$(data)/postmaster.pid" /postgres; }
url() { printf 'postgres://unbundled:unbundled@127.0.0.1:%s/%s\n' "$POSTGRES_PORT" "$1"; }

# Postgres refuses to run as root, and its user may not be allowed where the caller stands.
as_postgres() (
  cd /
  if ((EUID == 0)); then
    exec setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"
  else
    exec "$@"
  fi
)

pg_ctl() {
  local status=0
  open_log "$LOG"
  as_postgres "$(program pg_ctl)" -D "$(data)" "$@" </dev/null >&"$LOG_FD" 2>&1 {LOG_FD}>&- || status=$?
  close_log
  return "$status"
}

# The folder for the data. When root works where the user postgres cannot come (a project in /root), it lies in
# /var/tmp and UNBUNDLED_LOCAL holds a link to it.
make_folder() {
  [[ ! -d $HOME_FOLDER ]] || return 0
  rm -f "$HOME_FOLDER"
  mkdir "$HOME_FOLDER"
  ((EUID == 0)) || return 0
  chown postgres: "$HOME_FOLDER"
  if ! as_postgres test -w "$HOME_FOLDER"; then
    rmdir "$HOME_FOLDER"
    ln -s "$(mktemp -d /var/tmp/unbundled-postgres.XXXXXX)" "$HOME_FOLDER"
    chown postgres: "$HOME_FOLDER/"
  fi
}

# Nobody can log in as the superuser: its role has no password and there is no socket. The services' role is made by
# Postgres without a server. All of it in another folder first, so that an interrupted initdb is not taken for data.
make_data() {
  local new
  new=$(realpath "$HOME_FOLDER")/new
  rm -rf "$new"
  as_postgres "$(program initdb)" -D "$new" --username=postgres --locale=C.UTF-8 --encoding=UTF8 \
    --auth-local=peer --auth-host=scram-sha-256 >>"$LOG" 2>&1 || fail "initdb failed. $(end_of "$LOG")"
  echo "CREATE ROLE unbundled LOGIN CREATEDB PASSWORD 'unbundled'" |
    as_postgres "$(program postgres)" --single -D "$new" postgres >>"$LOG" 2>&1
  as_postgres mv "$new" "$(data)"
}

answers() {
  "$(program pg_isready)" -q -h 127.0.0.1 -p "$POSTGRES_PORT" -U unbundled -d postgres
}

make_databases() {
  local name sql='' existing
  existing=$(psql_of postgres -Atqc 'SELECT datname FROM pg_database')
  for name in "${DATABASES[@]}"; do
    grep -qxF "$name" <<<"$existing" || sql+="CREATE DATABASE $name;"$'\n'
  done
  [[ -z $sql ]] || psql_of postgres -q -v ON_ERROR_STOP=1 <<<"$sql"
}

psql_of() {
  local name=$1
  shift
  "$(program psql)" -X "$(url "$name")" "$@"
}

# After a crash two things are in the way: a pid file whose number meanwhile belongs to another process (Postgres
# would believe that one), and for a moment the orphaned backends, which still hold the shared memory.
# syncfs: recovery otherwise syncs each of a thousand files on its own (5 s here, where this takes 0.1 s).
start_server() {
  local setting options="-p $POSTGRES_PORT"
  local settings=(listen_addresses=127.0.0.1 unix_socket_directories= fsync=on recovery_init_sync_method=syncfs
    shared_buffers=128MB max_connections=100 max_wal_size=1GB log_min_duration_statement=-1)
  for setting in "${settings[@]}"; do
    options+=" -c $setting"
  done
  need_port "$POSTGRES_PORT" Postgres POSTGRES_PORT
  rm -f "$(data)/postmaster.pid"
  wait_until 10 pg_ctl start -w -t 60 -o "$options" || fail "Postgres did not start. $(end_of "$LOG")"
}

answers_or_died() { answers || ! pid >/dev/null; }

# Whether it runs already. One that is just dying (killed a moment ago, or stopping) does not count.
runs() {
  local running used
  running=$(pid) || return 1
  used=$(variable_of "$running" POSTGRES_PORT)
  [[ $used == "$POSTGRES_PORT" ]] || fail "Postgres of $UNBUNDLED_LOCAL runs already, but on port $used."
  wait_until "$START_SECONDS" answers_or_died && pid >/dev/null
}

start() {
  program postgres >/dev/null
  if ! runs; then
    mkdir -p "$LOGS"
    make_folder
    [[ -d $(data) ]] || make_data
    start_server
  fi
  wait_until "$START_SECONDS" answers || fail "Postgres does not answer on port $POSTGRES_PORT. $(end_of "$LOG")"
  make_databases
}

stop() {
  pid >/dev/null || return 0
  pg_ctl stop -m fast -w -t 60 || fail "Postgres did not stop. $(end_of "$LOG")"
}

# As after a crash: no checkpoint, connections cut, recovery from the write-ahead log.
immediate_restart() {
  pid >/dev/null || fail 'Postgres is not running.'
  pg_ctl restart -m immediate -w -t 60 || fail "Postgres did not start again. $(end_of "$LOG")"
}

wipe() {
  ! pid >/dev/null || fail 'Postgres is running: its data can be wiped when it is stopped.'
  rm -rf "$(realpath -m "$HOME_FOLDER")" "$HOME_FOLDER"
}

status() {
  local running state=stopped
  if running=$(pid); then
    if answers; then state=ready; else state=running; fi
  fi
  row postgres "$state" "127.0.0.1:$POSTGRES_PORT" "${running:--}" "$LOG"
  [[ $state == ready ]]
}

case ${1:-} in
start | stop | wipe | status) "$1" ;;
immediate-restart) immediate_restart ;;
url) url "${2:?the name of a database}" ;;
psql) shift && psql_of "$@" ;;
*) fail 'usage: postgres.sh start|stop|immediate-restart|wipe|status|url NAME|psql NAME [ARGUMENT…]' ;;
esac
