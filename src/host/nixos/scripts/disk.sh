# Ends with 5 where the data disk $device isn't there, with 4 where it has no file system.
data=/var/lib/octad
is_mounted() { [ "$(stat -c %d "$data" 2>/dev/null)" != "$(stat -c %d "$data/.." 2>/dev/null)" ]; }
if ! is_mounted; then
  [ -b "$device" ] || [ -f "$device" ] || exit 5
  [ -n "$(blkid --probe --output value --match-tag TYPE "$device")" ] || exit 4
fi
