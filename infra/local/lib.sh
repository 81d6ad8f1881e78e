# shellcheck shell=bash disable=SC2034
# Shared by the scripts of this folder: where things are, and which process is ours.
#
# Everything that runs lives in one folder, UNBUNDLED_LOCAL, and listens on 127.0.0.1 only. Two folders with other
# ports run beside each other, and neither touches the system's own services.
set -euo pipefail

ROOT=$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)
UNBUNDLED_LOCAL=$(realpath -m "${UNBUNDLED_LOCAL:-$ROOT/.local}")
RABBITMQ_PORT=${RABBITMQ_PORT:-5682}
RABBITMQ_DIST_PORT=${RABBITMQ_DIST_PORT:-25682}
EPMD_PORT=${EPMD_PORT:-4379}
POSTGRES_PORT=${POSTGRES_PORT:-5442}
BASE_PORT=${BASE_PORT:-8081}
# Exported, because a process is recognised by it (see `ours`).
export UNBUNDLED_LOCAL RABBITMQ_PORT POSTGRES_PORT BASE_PORT

LOGS=$UNBUNDLED_LOCAL/log
PIDS=$UNBUNDLED_LOCAL/run

fail() {
  printf '%s\n' "$*" >&2
  exit 1
}

# The newest program of a name under /usr/lib/postgresql/*/bin; those of the old versions may still lie there.
postgres_program() {
  local found
  found=$(printf '%s\n' /usr/lib/postgresql/*/bin/"$1" | sort -V | tail -n 1)
  [[ -x $found ]] && printf '%s\n' "$found"
}

# Whether a process runs a program for this folder. A pid alone proves nothing: after a crash or a reboot it may belong
# to anybody. So the program must be in the command line and the folder in the environment.
ours() {
  local pid=$1 program=$2 words
  { words=$(tr '\0' ' ' <"/proc/$pid/cmdline") && [[ ${words%% *} == *"$program" ]] &&
    grep -qzxF "UNBUNDLED_LOCAL=$UNBUNDLED_LOCAL" "/proc/$pid/environ"; } 2>/dev/null
}

# The pid in the first line of a file, if that process is ours.
pid_in() {
  local file=$1 program=$2 pid
  [[ -r $file ]] && read -r pid <"$file" && [[ $pid =~ ^[0-9]+$ ]] && ours "$pid" "$program" && printf '%s\n' "$pid"
}

# With which value of a variable a process of ours was started.
variable_of() {
  local pid=$1 name=$2
  tr '\0' '\n' <"/proc/$pid/environ" | sed -n "s/^$name=//p"
}

# Waits at most so many seconds until a command succeeds.
wait_until() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.05
  done
}

# Whether a process of ours has ended.
gone() {
  ! ours "$1" "$2"
}

# Who listens on a port, as far as that can be seen; fails when nobody does.
listener() {
  local hex inode fd pid
  hex=$(printf '%04X' "$1")
  inode=$(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
    while read -r _ address _ state _ _ _ _ _ inode _; do
      [[ $state == 0A && $address == *:"$hex" ]] && printf '%s\n' "$inode"
    done | head -n 1)
  [[ -n $inode ]] || return 1
  fd=$(find /proc/[0-9]*/fd -lname "socket:\[$inode\]" 2>/dev/null | head -n 1) || true
  pid=${fd#/proc/}
  pid=${pid%%/*}
  if [[ -n $pid ]]; then
    printf 'pid %s (%s)\n' "$pid" "$(cat "/proc/$pid/comm" 2>/dev/null)"
  else
    printf 'a process of another user\n'
  fi
}

free() { ! listener "$1" >/dev/null; }

# Fails, saying by whom, when a port is taken. It waits a moment first: of a process just killed the name goes before
# the sockets do.
need_port() {
  local port=$1 name=$2 variable=$3 who
  if ! wait_until 2 free "$port" && who=$(listener "$port"); then
    fail "$name cannot start: port $port is taken by $who. Stop that, or choose another port with $variable."
  fi
}

# The code an HTTP service answers a GET with; nothing when it does not answer.
http_code() {
  local port=$1 path=$2 code=''
  {
    exec 3<>"/dev/tcp/127.0.0.1/$port" &&
      printf 'GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n' "$path" >&3 &&
      read -r -t 2 -u 3 _ code _
  } 2>/dev/null || true
  { exec 3>&-; } 2>/dev/null || true
  printf '%s' "$code"
}

# Sets ROOT_BY, which goes before commands of the superuser; fails with a text where nobody may become that.
become_root() {
  if ((EUID == 0)); then
    ROOT_BY=()
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    ROOT_BY=(sudo -n)
  else
    fail "$1"
  fi
}

apt_update() {
  "${ROOT_BY[@]}" apt-get update -qq || fail 'apt-get update failed: is there a network?'
}

apt_install() {
  local said
  said=$("${ROOT_BY[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" 2>&1) ||
    fail "apt-get install $* failed: $said"
}

# Opens LOG_FD: what is written to it goes to a log that is rotated by size, for as long as somebody has it open. In a
# session of its own, so that it outlives make and the terminal, and with nothing that whoever started us waits for.
open_log() {
  exec {LOG_FD}> >(exec setsid "$ROOT/infra/local/rotate.sh" "$1" >/dev/null 2>&1)
}

close_log() { exec {LOG_FD}>&-; }

# One line of `make status`.
row() {
  printf '%-14s %-8s %-24s %-8s %s\n' "$@"
}

# The end of a log, for a message about what went wrong.
end_of() {
  printf 'The end of %s:\n' "$1"
  tail -n 15 "$1" 2>/dev/null | sed 's/^/  /'
}
