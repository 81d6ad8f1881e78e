#!/usr/bin/env bash
# Appends its standard input to a file. When the file has LOG_BYTES_MAX bytes (default 16 MiB), it starts a new one and
# keeps the previous two as FILE.1 and FILE.2. It never splits a line and writes without delay. It ends with its input.
# usage: rotate.sh FILE
set -uo pipefail
file=${1:?the name of a file}
max=${LOG_BYTES_MAX:-$((16 * 1024 * 1024))}
# Ctrl-C and a closed terminal concern the process that writes the log, not this one.
trap '' INT HUP

# Copies the rest of the line in which dd has stopped. Fails at the end of the input.
end_of_line() {
  local line
  IFS= read -r line || { printf '%s' "$line"; return 1; }
  printf '%s\n' "$line"
}

size() { stat -c %s "$file" 2>/dev/null || echo 0; }

while :; do
  room=$((max - $(size)))
  # On a full disk, input that cannot be written is still read, so that the writing process never blocks on its log.
  ((room <= 0)) || dd bs=64K count="$room" iflag=count_bytes status=none
  end_of_line || break
  # dd may stop before the limit, because it counts partial blocks as well.
  (($(size) >= max)) || continue
  mv -f "$file.1" "$file.2" 2>/dev/null
  mv -f "$file" "$file.1"
  exec >>"$file"
done >>"$file"
