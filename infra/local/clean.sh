#!/usr/bin/env bash
# Deletes the data and logs of make up, if none of its processes runs. It deletes only what these scripts have created,
# because UNBUNDLED_LOCAL may name a wrong folder by mistake.
# shellcheck source=infra/local/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"

for file in "$PIDS"/*.pid; do
  name=$(basename "$file" .pid)
  case $name in rabbitmq) name=beam.smp ;; esac
  ! pid=$(pid_in "$file" "$name") || fail "$name (pid $pid) of $UNBUNDLED_LOCAL is still running: run make down first."
done
"${BASH_SOURCE[0]%/*}/postgres.sh" wipe
rm -rf "$UNBUNDLED_LOCAL"/{rabbitmq,log,run,schemathesis}
[[ ! -d $UNBUNDLED_LOCAL ]] || rmdir --ignore-fail-on-non-empty "$UNBUNDLED_LOCAL"
