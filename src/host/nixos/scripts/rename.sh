# Has the data of $from be that of $to. Ends with 3 where both are there.
data=/var/lib/octad
state=/var/lib/octad-deploy
[ -d "$data/$from" ] || exit 0
[ ! -d "$data/$to" ] || exit 3
! systemctl is-active --quiet "octad-$from.service" || { echo "it runs"; exit 1; }
marker=$data/$from/octad-data.json
[ ! -e "$marker" ] || sed "s/\"node\":\"$from\"/\"node\":\"$to\"/" "$marker" >"$data/$from/octad-data.new"
[ ! -e "$marker" ] || { sync -f "$data/$from" && mv "$data/$from/octad-data.new" "$marker"; } || exit 1
rm -f "$state/removed/$to" "$state/stopped/$to"
mkdir -p "$state/removed" && : >"$state/removed/$from" || exit 1
mv "$data/$from" "$data/$to" && sync -f "$data"
