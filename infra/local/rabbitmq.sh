#!/usr/bin/env bash
# Runs a private RabbitMQ with its own epmd, cookie and data, without a service manager and without plugins.
# usage: rabbitmq.sh start|stop|kill|wipe|wait|status|url|ctl COMMAND…
# shellcheck source=infra/local/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"

# Not the wrappers in /usr/sbin, which change the user and require /var/lib/rabbitmq.
PROGRAMS=/usr/lib/rabbitmq/bin
HOME_FOLDER=$UNBUNDLED_LOCAL/rabbitmq
LOG=$LOGS/rabbitmq.log
PID_FILE=$PIDS/rabbitmq.pid
EPMD_PID_FILE=$PIDS/epmd.pid
START_SECONDS=60
STOP_SECONDS=30

pid() { pid_in "$PID_FILE" beam.smp; }
epmd_pid() { pid_in "$EPMD_PID_FILE" epmd; }

# Replaces the shell with a RabbitMQ program that has the settings of this broker and none of the caller's environment.
# `exec` makes `$!` the pid of the program, not of a shell around it.
with_settings() {
  local loopback='-kernel inet_dist_use_interface {127,0,0,1}'
  exec env -i PATH="$PATH" LANG=C.UTF-8 HOME="$HOME_FOLDER" \
    UNBUNDLED_LOCAL="$UNBUNDLED_LOCAL" RABBITMQ_PORT="$RABBITMQ_PORT" \
    ERL_EPMD_PORT="$EPMD_PORT" ERL_EPMD_ADDRESS=127.0.0.1 ERL_CRASH_DUMP="$LOGS/erl_crash.dump" \
    RABBITMQ_NODENAME=unbundled@localhost RABBITMQ_DIST_PORT="$RABBITMQ_DIST_PORT" \
    RABBITMQ_CONF_ENV_FILE="$HOME_FOLDER/none" RABBITMQ_ADVANCED_CONFIG_FILE="$HOME_FOLDER/none" \
    RABBITMQ_CONFIG_FILES="$HOME_FOLDER/none" RABBITMQ_CONFIG_FILE="$HOME_FOLDER/rabbitmq.conf" \
    RABBITMQ_ENABLED_PLUGINS_FILE="$HOME_FOLDER/enabled_plugins" \
    RABBITMQ_MNESIA_BASE="$HOME_FOLDER/data" RABBITMQ_LOG_BASE="$LOGS" RABBITMQ_LOGS=- \
    RABBITMQ_MAX_NUMBER_OF_PROCESSES=65536 RABBITMQ_MAX_NUMBER_OF_ATOMS=1048576 \
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+sbwt none +sbwtdcpu none +sbwtdio none $loopback" \
    RABBITMQ_CTL_ERL_ARGS="$loopback" RUNNING_UNDER_SYSTEMD=true "$@"
}

configure() {
  mkdir -p "$HOME_FOLDER/data" "$LOGS" "$PIDS"
  echo '[].' >"$HOME_FOLDER/enabled_plugins"
  cat >"$HOME_FOLDER/rabbitmq.conf" <<CONF
listeners.tcp.local = 127.0.0.1:$RABBITMQ_PORT
default_user = unbundled
default_pass = unbundled
default_user_tags.administrator = true
heartbeat = 10
disk_free_limit.absolute = 50MB
CONF
}

# Whether a broker responds to the AMQP 0.9.1 protocol header with a frame (Connection.Start; its first byte is 1). A
# booting broker opens its listeners last.
answers() {
  local byte=''
  {
    exec 3<>"/dev/tcp/127.0.0.1/$RABBITMQ_PORT" && printf 'AMQP\x00\x00\x09\x01' >&3 && read -r -t 2 -N 1 -u 3 byte
  } 2>/dev/null || true
  { exec 3>&-; } 2>/dev/null || true
  [[ $byte == $'\x01' ]]
}

answers_or_died() { answers || ! pid >/dev/null; }

# Starts a private epmd before the broker. Otherwise Erlang starts one that no script stops.
start_epmd() {
  if epmd_pid >/dev/null; then return; fi
  need_port "$EPMD_PORT" epmd EPMD_PORT
  with_settings setsid epmd -port "$EPMD_PORT" -address 127.0.0.1 </dev/null >>"$LOGS/epmd.log" 2>&1 &
  echo $! >"$EPMD_PID_FILE"
  wait_until 10 listener "$EPMD_PORT" >/dev/null || fail "epmd does not answer on port $EPMD_PORT: see $LOGS/epmd.log"
}

# RUNNING_UNDER_SYSTEMD makes the start script exec Erlang instead of supervising it, so the pid is that of the broker.
start_broker() {
  need_port "$RABBITMQ_PORT" RabbitMQ RABBITMQ_PORT
  need_port "$RABBITMQ_DIST_PORT" RabbitMQ RABBITMQ_DIST_PORT
  cd "$HOME_FOLDER"
  open_log "$LOG"
  with_settings setsid "$PROGRAMS/rabbitmq-server" </dev/null >&"$LOG_FD" 2>&1 {LOG_FD}>&- &
  echo $! >"$PID_FILE"
  close_log
  wait_until 10 pid >/dev/null || fail "RabbitMQ did not start. $(end_of "$LOG")"
}

# Whether RabbitMQ already runs. A process that is about to end (killed a moment ago, or stopping) does not count.
runs() {
  local running used
  running=$(pid) || return 1
  used=$(variable_of "$running" RABBITMQ_PORT)
  [[ $used == "$RABBITMQ_PORT" ]] || fail "RabbitMQ of $UNBUNDLED_LOCAL already runs on port $used: stop it first."
  start_epmd
  wait_until "$START_SECONDS" answers_or_died && pid >/dev/null
}

start() {
  [[ -x $PROGRAMS/rabbitmq-server ]] || fail 'RabbitMQ is not installed: run infra/local/install.sh.'
  if runs; then return; fi
  configure
  start_epmd
  start_broker
  await
}

# Waits until the broker answers. Existing streams take some tenths of a second longer: until a stream has elected its
# leader, the broker responds to a declare with 404, and clients retry.
await() {
  wait_until "$START_SECONDS" answers_or_died || fail "RabbitMQ does not answer on port $RABBITMQ_PORT. $(end_of "$LOG")"
  pid >/dev/null || fail "RabbitMQ is not running. $(end_of "$LOG")"
}

# SIGTERM stops the broker in an orderly way and avoids rabbitmqctl, which takes seconds to start.
stop() {
  local running
  if running=$(pid); then
    kill -TERM "$running"
    if ! wait_until "$STOP_SECONDS" gone "$running" beam.smp; then
      echo "RabbitMQ did not stop within $STOP_SECONDS s: killed." >&2
      kill -KILL "$running"
    fi
  fi
  if running=$(epmd_pid); then
    kill -TERM "$running"
    wait_until 5 gone "$running" epmd || kill -KILL "$running"
  fi
  rm -f "$PID_FILE" "$EPMD_PID_FILE"
}

# Kills the broker with SIGKILL, as in a crash. epmd keeps running.
kill_broker() {
  local running
  running=$(pid) || fail 'RabbitMQ is not running.'
  kill -KILL "$running"
  wait_until 10 gone "$running" beam.smp
}

# Deletes the data of the broker, as after the loss of a disk.
wipe() {
  ! pid >/dev/null || fail 'RabbitMQ is running: stop or kill it before wiping its data.'
  rm -rf "$HOME_FOLDER/data"
}

status() {
  local running state=stopped
  if running=$(pid); then
    if answers; then state=ready; else state=running; fi
  fi
  row rabbitmq "$state" "127.0.0.1:$RABBITMQ_PORT" "${running:--}" "$LOG"
  [[ $state == ready ]]
}

# Requires a running broker: otherwise rabbitmqctl starts an epmd that no script stops.
ctl() {
  pid >/dev/null || fail 'RabbitMQ is not running.'
  with_settings "$PROGRAMS/rabbitmqctl" "$@"
}

case ${1:-} in
start | stop | wipe | status) "$1" ;;
kill) kill_broker ;;
wait) await ;;
url) echo "amqp://unbundled:unbundled@127.0.0.1:$RABBITMQ_PORT/%2f" ;;
ctl) shift && ctl "$@" ;;
*) fail 'usage: rabbitmq.sh start|stop|kill|wipe|wait|status|url|ctl COMMAND…' ;;
esac
