# shellcheck shell=bash disable=SC2034
# Functions and settings that the scripts of this folder share: paths, ports, processes.
#
# All processes keep their files in one folder, UNBUNDLED_LOCAL, and listen on 127.0.0.1 only. Processes of two folders
# with different ports can run at the same time. Neither affects the system services.
set -euo pipefail

ROOT=$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)
UNBUNDLED_LOCAL=$(realpath -m "${UNBUNDLED_LOCAL:-$ROOT/.local}")
RABBITMQ_PORT=${RABBITMQ_PORT:-5682}
RABBITMQ_DIST_PORT=${RABBITMQ_DIST_PORT:-25682}
EPMD_PORT=${EPMD_PORT:-4379}
POSTGRES_PORT=${POSTGRES_PORT:-5442}
BASE_PORT=${BASE_PORT:-8081}
# Exported, because `ours` recognizes a process by its environment.
export UNBUNDLED_LOCAL RABBITMQ_PORT POSTGRES_PORT BASE_PORT

BIN=$(realpath -m "${UNBUNDLED_BIN:-$ROOT/target/release}")
LOGS=$UNBUNDLED_LOCAL/log
PIDS=$UNBUNDLED_LOCAL/run

fail() {
  printf '%s\n' "$*" >&2
  exit 1
}

# The newest version of a Postgres program under /usr/lib/postgresql/*/bin; old versions may still be there.
postgres_program() {
  local found
  found=$(printf '%s\n' /usr/lib/postgresql/*/bin/"$1" | sort -V | tail -n 1)
  [[ -x $found ]] && printf '%s\n' "$found"
}

# Whether a process runs a program for this folder. A pid alone is not enough: after a crash or a reboot it may belong
# to any process. So the program must be in the command line and the folder in the environment.
ours() {
  local pid=$1 program=$2 words=() variable
  # Without other programs, because the loops that wait for a process call it often.
  { mapfile -d '' -t words <"/proc/$pid/cmdline"; } 2>/dev/null || return 1
  [[ ${words[0]:-} == *"$program" ]] || return 1
  { mapfile -d '' -t words <"/proc/$pid/environ"; } 2>/dev/null || return 1
  for variable in "${words[@]}"; do
    [[ $variable != "UNBUNDLED_LOCAL=$UNBUNDLED_LOCAL" ]] || return 0
  done
  return 1
}

# Prints the pid in the first line of a file, if that process is ours.
pid_in() {
  local file=$1 program=$2 pid
  [[ -r $file ]] && read -r pid <"$file" && [[ $pid =~ ^[0-9]+$ ]] && ours "$pid" "$program" && printf '%s\n' "$pid"
}

# Prints the value of an environment variable of a process.
variable_of() {
  local pid=$1 name=$2
  tr '\0' '\n' <"/proc/$pid/environ" | sed -n "s/^$name=//p"
}

# Waits until a command succeeds, for at most the given number of seconds.
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

# Prints the process that listens on a port, if it is visible to this user. Fails if no process listens.
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

# Fails if a port is in use, and names the process that uses it. It first waits for up to 2 s: the sockets of a killed
# process close a moment after the process has disappeared.
need_port() {
  local port=$1 name=$2 variable=$3 process
  if ! wait_until 2 free "$port" && process=$(listener "$port"); then
    fail "$name cannot start: $process uses port $port. Stop that process, or choose another port with $variable."
  fi
}

# Prints the status code of a GET request; nothing if there is no response.
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

# Sets ROOT_BY, the prefix of commands that need root. Fails with the given text if this user cannot become root.
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
  "${ROOT_BY[@]}" apt-get update -qq || fail 'apt-get update failed: check the network.'
}

apt_install() {
  local output options=(-y -qq --no-install-recommends)
  output=$("${ROOT_BY[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install "${options[@]}" "$@" 2>&1) ||
    fail "apt-get install $* failed: $output"
}

# Opens LOG_FD, which writes to a log that is rotated by size, for as long as a process has it open. The process that
# rotates has a session of its own, so it outlives make and the terminal. It holds no output of the caller open, so the
# caller does not wait for it.
open_log() {
  exec {LOG_FD}> >(exec setsid "$ROOT/infra/local/rotate.sh" "$1" >/dev/null 2>&1)
}

close_log() { exec {LOG_FD}>&-; }

# Prints one line of `make status`.
row() {
  printf '%-14s %-8s %-24s %-8s %s\n' "$@"
}

# Prints the end of a log, for an error message.
end_of() {
  printf 'The end of %s:\n' "$1"
  tail -n 15 "$1" 2>/dev/null | sed 's/^/  /'
}

# Prints the names of the services in the order of their ports; nothing before the first build.
services() { [[ ! -x $BIN/unbundled ]] || "$BIN/unbundled" services | cut -d' ' -f1; }
