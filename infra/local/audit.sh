#!/usr/bin/env bash
# Audits the services of this folder: derives all their stored data again and compares it. The services may be running.
# usage: audit.sh [ARGUMENT…]
# shellcheck source=infra/local/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"
HERE=${BASH_SOURCE[0]%/*}

databases=()
for name in $(services); do
  databases+=("--$name-database" "$("$HERE/postgres.sh" url "${name//-/_}")")
done
exec "$BIN/unbundled" audit "${databases[@]}" "$@"
