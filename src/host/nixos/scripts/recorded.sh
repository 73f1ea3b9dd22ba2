# Reads who may change the machine: has_token, has_id, has_holder, and left, for how many ms that still holds.
record=/var/lib/octad-deploy/lease
read -r has_boot </proc/sys/kernel/random/boot_id
read -r uptime rest </proc/uptime
# With a 1 before it 08 is no octal number.
now=$((${uptime%.*} * 1000 + 1${uptime#*.}0 - 1000))
has_token=0 has_id= has_holder= left=0
if [ -s "$record" ]; then
  read -r has_token has_id in_boot ends lease_of has_holder <"$record"
  # How long it was off nobody knows.
  [ "$in_boot" = "$has_boot" ] || ends=$lease_of
  left=$((ends - now))
  [ "$left" -gt 0 ] || left=0
fi
# What is noted outlasts a loss of power: a token that was seen once is never forgotten.
record_as() { printf '%s\n' "$*" >"$record.new" && sync "$record.new" && mv "$record.new" "$record" && sync "${record%/*}"; }
