#!/usr/bin/env bash
# Installs Schemathesis, which tests the services against their OpenAPI documents, if it is missing. It comes from PyPI,
# in the versions of e2e-tests/schemathesis/requirements.txt, into the private folder. Prints the path of the program.
# shellcheck source=infra/local/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"

WANTED=$ROOT/e2e-tests/schemathesis/requirements.txt
HOME_FOLDER=$UNBUNDLED_LOCAL/schemathesis
PROGRAM=$HOME_FOLDER/bin/schemathesis

# An interrupted installation has no installed.txt.
installed() { [[ -x $PROGRAM ]] && cmp -s "$WANTED" "$HOME_FOLDER/installed.txt"; }

need_python() {
  ! python3 -c 'import ensurepip, venv' 2>/dev/null || return 0
  command -v apt-get >/dev/null || fail 'Schemathesis needs Python 3 with its module venv: install them by hand.'
  become_root 'Missing: Python 3 with its module venv. Run: sudo apt-get install python3-venv'
  apt_update
  apt_install python3-venv
}

install() {
  local output
  need_python
  rm -rf "$HOME_FOLDER"
  mkdir -p "$UNBUNDLED_LOCAL"
  output=$(python3 -m venv "$HOME_FOLDER" 2>&1) || fail "The Python environment could not be created: $output"
  output=$("$HOME_FOLDER/bin/pip" install --quiet --disable-pip-version-check -r "$WANTED" 2>&1) ||
    fail "Schemathesis could not be installed: check the network. $output"
  cp "$WANTED" "$HOME_FOLDER/installed.txt"
}

installed || install
printf '%s\n' "$PROGRAM"
