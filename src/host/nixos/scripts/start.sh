# Starts $node, and waits until systemd is at it. Ends with 2 where the machine has no such node, with 3 where it can't.
[ -e "/etc/octad/$node.json" ] && [ ! -e "/var/lib/octad-deploy/removed/$node" ] || exit 2
unit=octad-$node.service
mark=/var/lib/octad-deploy/stopped/$node
# Also who loses power now starts it as it boots.
[ ! -d "${mark%/*}" ] || { rm -f "$mark" && sync "${mark%/*}"; } || exit 3
# One that waits before its next try begins anew.
systemctl is-active --quiet "$unit" || systemctl reset-failed "$unit" 2>/dev/null
systemctl start --no-block "$unit" || exit 3
for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  told=$(systemctl show "$unit" -p ActiveState -p AssertResult -p Job)
  case $told in
    *ActiveState=active* | *ActiveState=activating*) exit 0 ;;
    *Job=[1-9]*) ;;
    *AssertResult=no*) echo "its data is not there" && exit 3 ;;
    *ActiveState=failed*) systemctl status --no-pager --lines=3 "$unit" | tail -n 3 && exit 3 ;;
  esac
  sleep 0.1
done
