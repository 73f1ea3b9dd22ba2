# Removes $node of $stack, which doesn't run, with its data. The system still has its service until the next change: it isn't started.
state=/var/lib/octad-deploy
marker=/var/lib/octad/$node/octad-data.json
[ ! -e "$marker" ] || grep -qF "\"stack\":\"$stack\"" "$marker" || { echo "the data is of another stack: $(cat "$marker")"; exit 1; }
! systemctl is-active --quiet "octad-$node.service" || { echo "it runs"; exit 1; }
mkdir -p "$state/removed" "$state/stopped" || exit 1
: >"$state/stopped/$node" && : >"$state/removed/$node" && sync "$state/removed" || exit 1
rm -rf "/var/lib/octad/$node"
