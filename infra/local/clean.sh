#!/usr/bin/env bash
# Deletes what make up has left in its folder, if nothing of it runs any more. Only what these scripts have made: the
# folder may have been named by mistake.
# shellcheck source=infra/local/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"

for file in "$PIDS"/*.pid; do
  name=$(basename "$file" .pid)
  case $name in rabbitmq) name=beam.smp ;; esac
  ! pid=$(pid_in "$file" "$name") || fail "Of $UNBUNDLED_LOCAL, $name (pid $pid) is running: make down first."
done
"${BASH_SOURCE[0]%/*}/postgres.sh" wipe
rm -rf "$UNBUNDLED_LOCAL"/{rabbitmq,log,run,schemathesis}
[[ ! -d $UNBUNDLED_LOCAL ]] || rmdir --ignore-fail-on-non-empty "$UNBUNDLED_LOCAL"
