#!/usr/bin/env bash
# Installs Schemathesis, which tests the services by their OpenAPI documents, if it is missing: from PyPI, at the
# versions of e2e-tests/schemathesis/requirements.txt, into the private folder. Prints where its program is.
# shellcheck source=infra/local/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"

WANTED=$ROOT/e2e-tests/schemathesis/requirements.txt
HOME_OF_IT=$UNBUNDLED_LOCAL/schemathesis
PROGRAM=$HOME_OF_IT/bin/schemathesis

# A folder that was not finished has no list of what it has.
installed() { [[ -x $PROGRAM ]] && cmp -s "$WANTED" "$HOME_OF_IT/installed.txt"; }

need_python() {
  ! python3 -c 'import ensurepip, venv' 2>/dev/null || return 0
  command -v apt-get >/dev/null || fail 'Python 3 with its module venv is needed for Schemathesis.'
  become_root 'Missing: Python 3 with its module venv. Run: sudo apt-get install python3-venv'
  apt_update
  apt_install python3-venv
}

install() {
  local said
  need_python
  rm -rf "$HOME_OF_IT"
  mkdir -p "$UNBUNDLED_LOCAL"
  said=$(python3 -m venv "$HOME_OF_IT" 2>&1) || fail "No Python environment could be made: $said"
  said=$("$HOME_OF_IT/bin/pip" install --quiet --disable-pip-version-check -r "$WANTED" 2>&1) ||
    fail "Schemathesis could not be installed; is there a network? $said"
  cp "$WANTED" "$HOME_OF_IT/installed.txt"
}

installed || install
printf '%s\n' "$PROGRAM"
