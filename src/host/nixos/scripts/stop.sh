# Stops $node for good: it isn't started at boot either. A process that runs is asked to end before
# the machine's uptime of $deadline ms, or not at all: it ends with 75 then. It is killed after $patience s.
state=/var/lib/octad-deploy
unit=octad-$node.service
[ -e "/etc/octad/$node.json" ] || exit 0
has_process() { [ "$(systemctl show --property=MainPID --property=ControlPID --value "$unit" | tr -d '\n')" != 00 ]; }
if [ "$deadline" != - ] && has_process; then
  read -r uptime rest </proc/uptime
  [ "$(echo "$uptime" | tr -d .)0" -le "$deadline" ] || exit 75
fi
mkdir -p "$state/stopped" && : >"$state/stopped/$node" && sync "$state/stopped" || exit 1
# What is frozen can't be told to end.
systemctl thaw "$unit" 2>/dev/null
timeout "$patience" systemctl stop "$unit" && exit 0
systemctl kill --signal=KILL "$unit"
systemctl stop "$unit"
