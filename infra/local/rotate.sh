#!/usr/bin/env bash
# Appends what it reads to a file. When that has LOG_BYTES_MAX (16 MiB) it goes on in a new one, and keeps the two before
# as FILE.1 and FILE.2. Lines stay whole, and are written as they come. It ends when nobody writes any more.
# usage: rotate.sh FILE
set -uo pipefail
file=${1:?the name of a file}
max=${LOG_BYTES_MAX:-$((16 * 1024 * 1024))}
# Ctrl-C and a closed terminal are for whoever writes.
trap '' INT HUP

# The end of the line in which dd has stopped; fails at the end of all.
end_of_line() {
  local line
  IFS= read -r line || { printf '%s' "$line"; return 1; }
  printf '%s\n' "$line"
}

size() { stat -c %s "$file" 2>/dev/null || echo 0; }

while :; do
  room=$((max - $(size)))
  # What cannot be written, on a full disk, is read all the same: nobody shall wait for a log.
  ((room <= 0)) || dd bs=64K count="$room" iflag=count_bytes status=none
  end_of_line || break
  # dd may have stopped before: it counts blocks, also those that were not full.
  (($(size) >= max)) || continue
  mv -f "$file.1" "$file.2" 2>/dev/null
  mv -f "$file" "$file.1"
  exec >>"$file"
done >>"$file"
