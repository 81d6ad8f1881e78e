#!/usr/bin/env bash
# Runs a private Postgres with its own data, without a service manager and without a Unix socket.
# usage: postgres.sh start|stop|immediate-restart|wipe|status|create NAME…|url NAME|psql NAME [ARGUMENT…]
# shellcheck source=infra/local/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"

# A folder, or a link to a folder: see make_folder.
HOME_FOLDER=$UNBUNDLED_LOCAL/postgres
LOG=$LOGS/postgres.log
START_SECONDS=60

program() { postgres_program "$1" || fail 'Postgres is not installed: run infra/local/install.sh.'; }
data() { printf '%s/data\n' "$(realpath -m "$HOME_FOLDER")"; }
pid() { pid_in "$(data)/postmaster.pid" /postgres; }
url() { printf 'postgres://unbundled:unbundled@127.0.0.1:%s/%s\n' "$POSTGRES_PORT" "$1"; }

# Runs a command as the user postgres if the caller is root: Postgres refuses to run as root. It changes to /, because
# that user may have no access to the current folder.
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

# Creates the folder for the data. If the caller is root and the user postgres has no access to UNBUNDLED_LOCAL (a
# project in /root), the folder is in /var/tmp and UNBUNDLED_LOCAL has a link to it.
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

# Creates the data folder. No client can log in as the superuser, because its role has no password and there is no Unix
# socket; so Postgres in single-user mode creates the role of the services. All this happens in another folder first, so
# that an interrupted initdb leaves no incomplete data folder.
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

# Creates the databases that do not exist yet.
create() {
  local name sql='' existing
  existing=$(psql_of postgres -Atqc 'SELECT datname FROM pg_database')
  for name in "$@"; do
    grep -qxF "$name" <<<"$existing" || sql+="CREATE DATABASE $name;"$'\n'
  done
  [[ -z $sql ]] || psql_of postgres -q -v ON_ERROR_STOP=1 <<<"$sql"
}

psql_of() {
  local name=$1
  shift
  "$(program psql)" -X "$(url "$name")" "$@"
}

# Two things can prevent a start after a crash: a pid file whose pid now belongs to another process, which Postgres
# would take for its own, and orphaned backends that hold the shared memory for a moment.
# syncfs: otherwise recovery syncs each of a thousand files on its own (measured: 5 s instead of 0.1 s).
start_server() {
  local setting options="-p $POSTGRES_PORT"
  local settings=(listen_addresses=127.0.0.1 unix_socket_directories= fsync=on recovery_init_sync_method=syncfs
    shared_buffers=128MB max_connections="${POSTGRES_CONNECTIONS:-100}" max_wal_size=1GB log_min_duration_statement=-1)
  for setting in "${settings[@]}"; do
    options+=" -c $setting"
  done
  need_port "$POSTGRES_PORT" Postgres POSTGRES_PORT
  rm -f "$(data)/postmaster.pid"
  wait_until 10 pg_ctl start -w -t 60 -o "$options" || fail "Postgres did not start. $(end_of "$LOG")"
}

answers_or_died() { answers || ! pid >/dev/null; }

# Whether Postgres already runs. A process that is about to end (killed a moment ago, or stopping) does not count.
runs() {
  local running used
  running=$(pid) || return 1
  used=$(variable_of "$running" POSTGRES_PORT)
  [[ $used == "$POSTGRES_PORT" ]] || fail "Postgres of $UNBUNDLED_LOCAL already runs on port $used: stop it first."
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
}

stop() {
  pid >/dev/null || return 0
  pg_ctl stop -m fast -w -t 60 || fail "Postgres did not stop. $(end_of "$LOG")"
}

# Restarts as after a crash: without a checkpoint, with all connections cut, and with recovery from the write-ahead log.
immediate_restart() {
  pid >/dev/null || fail 'Postgres is not running.'
  pg_ctl restart -m immediate -w -t 60 || fail "Postgres did not restart. $(end_of "$LOG")"
}

wipe() {
  ! pid >/dev/null || fail 'Postgres is running: stop it before wiping its data.'
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
create) shift && create "$@" ;;
url) url "${2:?the name of a database}" ;;
psql) shift && psql_of "$@" ;;
*) fail 'usage: postgres.sh start|stop|immediate-restart|wipe|status|create NAME…|url NAME|psql NAME [ARGUMENT…]' ;;
esac
