# Stops $node for good: it isn't started at boot either. A process that runs is asked to end within $left ms of when the
# machine's uptime was $since, or not at all: it ends with 75 then. It is killed after $patience s.
state=/var/lib/octad-deploy
unit=octad-$node.service
[ -e "/etc/octad/$node.json" ] || exit 0
ms() { echo "${1%%.*}$(printf %s "${1#*.}" | cut -c1-2)0"; }
if [ "$left" != - ] && systemctl is-active --quiet "$unit"; then
  read -r uptime rest </proc/uptime
  [ "$(($(ms "$uptime") - $(ms "${since%% *}")))" -le "$left" ] || exit 75
fi
mkdir -p "$state/stopped" && : >"$state/stopped/$node" && sync "$state/stopped" || exit 1
timeout "$patience" systemctl stop "$unit" && exit 0
systemctl kill --signal=KILL "$unit"
systemctl stop "$unit"
