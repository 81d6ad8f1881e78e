#!/usr/bin/env bash
# Installs the named programs from the packages of the distribution, if they are missing. It starts no system service
# and creates no Postgres cluster: rabbitmq.sh and postgres.sh run private ones.
# usage: install.sh [rabbitmq] [postgres] [promtool]; the default is rabbitmq postgres
# shellcheck source=infra/local/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"

RABBITMQ_AT_LEAST=3.10
POSTGRES_AT_LEAST=15
POLICY=/usr/sbin/policy-rc.d
CLUSTERS=/etc/postgresql-common/createcluster.conf

rabbitmq_version() {
  printf '%s\n' /usr/lib/rabbitmq/lib/rabbitmq_server-* | sed -n 's/.*-\([0-9.]*\)$/\1/p' | sort -V | tail -n 1
}
postgres_version() { postgres_program postgres | cut -d / -f 5; }

at_least() { [[ -n $1 && $(printf '%s\n' "$1" "$2" | sort -V | head -n 1) == "$2" ]]; }

wanted() { [[ " ${WANTED[*]} " == *" $1 "* ]]; }

missing() {
  ! wanted rabbitmq || [[ -n $(rabbitmq_version) ]] || printf 'rabbitmq-server '
  ! wanted postgres || [[ -n $(postgres_version) ]] || printf 'postgresql '
  ! wanted promtool || command -v promtool >/dev/null || printf 'prometheus '
}

check_versions() {
  ! wanted rabbitmq || at_least "$(rabbitmq_version)" "$RABBITMQ_AT_LEAST" ||
    fail "RabbitMQ $RABBITMQ_AT_LEAST or newer is required, but $(rabbitmq_version) is installed: upgrade it."
  ! wanted postgres || at_least "$(postgres_version)" "$POSTGRES_AT_LEAST" ||
    fail "Postgres $POSTGRES_AT_LEAST or newer is required, but $(postgres_version) is installed: upgrade it."
}

# Undoes the temporary changes of install_packages.
restore() {
  if [[ -n ${policy_is_ours:-} ]]; then "${ROOT_BY[@]}" rm -f "$POLICY"; fi
  if [[ -n ${clusters_saved:-} ]]; then "${ROOT_BY[@]}" mv -f "$CLUSTERS.unbundled" "$CLUSTERS"; fi
}

# Package scripts call policy-rc.d before they start a service; exit code 101 forbids the start.
forbid_services() {
  if [[ ! -e $POLICY ]]; then
    policy_is_ours=yes
    printf '#!/bin/sh\nexit 101\n' | "${ROOT_BY[@]}" tee "$POLICY" >/dev/null
    "${ROOT_BY[@]}" chmod +x "$POLICY"
  fi
}

# The package postgresql creates and registers a cluster, unless this setting of postgresql-common disables it.
forbid_cluster() {
  apt_install postgresql-common
  "${ROOT_BY[@]}" cp -p "$CLUSTERS" "$CLUSTERS.unbundled"
  clusters_saved=yes
  "${ROOT_BY[@]}" sed -i 's/^#*\s*create_main_cluster.*/create_main_cluster = false/' "$CLUSTERS"
}

# Disables system services that their packages have enabled; they would start at the next boot.
disable_units() {
  local unit
  for unit in "$@"; do
    "${ROOT_BY[@]}" systemctl disable --quiet "$unit" 2>/dev/null || true
  done
}

install_packages() {
  local packages
  read -ra packages <<<"$1"
  trap restore EXIT
  forbid_services
  apt_update
  case $1 in *postgresql*) forbid_cluster ;; esac
  apt_install "${packages[@]}"
  case $1 in *rabbitmq*) disable_units rabbitmq-server epmd ;; esac
  case $1 in *prometheus*) disable_units prometheus ;; esac
}

WANTED=("$@")
((${#WANTED[@]} > 0)) || WANTED=(rabbitmq postgres)
for name in "${WANTED[@]}"; do
  [[ " rabbitmq postgres promtool " == *" $name "* ]] ||
    fail "Unknown program: $name. usage: install.sh [rabbitmq] [postgres] [promtool]"
done

needed=$(missing)
if [[ -n $needed ]]; then
  command -v apt-get >/dev/null ||
    fail "Missing: ${needed% }. There is no apt-get: install them by hand, in the same places as Debian's packages."
  become_root "Missing: ${needed% }. Run: sudo infra/local/install.sh ${WANTED[*]}"
  echo "Installing ${needed% } (starts no system service)."
  install_packages "$needed"
fi
check_versions
