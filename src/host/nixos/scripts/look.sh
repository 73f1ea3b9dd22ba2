# Tells how a machine stands, a line for each thing. $since is when the connection was made, by its uptime.
state=/var/lib/octad-deploy
data=/var/lib/octad
# Whoever looks by a connection that is younger than a change has reached the machine anew.
run=/run/octad-deploy
[ ! -e "$run/changed" ] || [ "$(echo "$since" | tr -d .)0" -le "$(cat "$run/changed")" ] || : >"$run/reached"
[ -e /etc/NIXOS ] && echo nixos
! systemctl is-active --quiet octad-switch.service || echo changing
read -r boot </proc/sys/kernel/random/boot_id
read -r uptime rest </proc/uptime
echo "boot $boot"
echo "uptime $uptime"
echo "now $(date +%s%3N)"
echo "system $(readlink -f /run/current-system)"
echo "profile $(readlink -f /nix/var/nix/profiles/system)"
echo "user ${SUDO_USER:-$(id -un)}"
for of in current:facts booted:booted; do
  file=/run/${of%:*}-system/etc/octad-system.json
  [ ! -e "$file" ] || printf '%s %s\n' "${of#*:}" "$(cat "$file")"
done
echo "addresses $(ip -4 -o address show | while read -r number interface family address rest; do printf '%s ' "${address%/*}"; done)"
[ ! -e "$state/trial" ] || echo "trial $(cat "$state/trial")"
[ ! -e "$state/boots" ] || echo torn
[ ! -e "$state/last" ] || echo "last $(cat "$state/last")"
[ "$(stat -c %d "$data" 2>/dev/null)" = "$(stat -c %d "$data/.." 2>/dev/null)" ] || echo mounted
for what in stopped removed; do
  for mark in "$state/$what"/*; do
    [ ! -e "$mark" ] || echo "$what ${mark##*/}"
  done
done
units=
for file in /etc/octad/*.json; do
  [ -e "$file" ] || continue
  node=${file##*/}
  node=${node%.json}
  printf 'document %s %s\n' "$node" "$(cat "$file")"
  units="$units octad-$node.service"
  # Nix writes the parts of a document in the order of their names, and this is the last one.
  written=$(sed -n 's/.*,"written":"\([^"]*\)"}$/\1/p' "$file")
  [ -z "$written" ] || [ ! -e "$data/$node/$written" ] || echo "written $node"
done
for place in "$data"/*/; do
  node=${place%/}
  node=${node##*/}
  [ -d "$place" ] && [ "$node" != lost+found ] || continue
  echo "directory $node"
  [ ! -e "$place/octad-fresh" ] || echo "fresh $node"
  [ ! -e "$place/octad-data.json" ] || echo "marker $node"
done
[ -z "$units" ] || systemctl show $units -p Id -p ActiveState -p SubState -p Result -p MainPID -p ControlPID -p NRestarts \
  -p ExecMainCode -p ExecMainStatus -p ExecMainStartTimestampMonotonic -p AssertResult -p FreezerState -p Environment |
  while IFS= read -r line; do
    printf 'show %s\n' "$line"
    case $line in
      MainPID=0) ;;
      MainPID=*)
        pid=${line#MainPID=}
        echo "show Runs=$(tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | sed -n 's/^OCTAD_DOCUMENT=//p')"
        echo "show Process=$(sed 's/.*) \(.\).*/\1/' "/proc/$pid/stat" 2>/dev/null)"
        ;;
    esac
  done
echo looked
