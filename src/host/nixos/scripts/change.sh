# Has a machine run another system, in a unit of its own, so that no link is needed for that: $what (try, keep, confirm,
# revert), $new, $deadline (ms since boot; nothing is stopped after it), $anew (nodes that are begun anew), $patience (s that
# each may take to end), $reach (s within which somebody must reach the machine anew after a change). "keep" is a "try" that
# stops nothing and is for good as soon as the machine is reached.
#
# What is on trial is in `trial`: what the machine ran before, what it is to run on trial, in which boot, and what it ran on
# trial until then. What boots is the profile, which changes when a trial is confirmed. A trial is over with the boot, or where
# another hand has the machine run something else.
state=/var/lib/octad-deploy
run=/run/octad-deploy
mkdir -p "$state" "$run"
read -r boot </proc/sys/kernel/random/boot_id
phase() { printf '%s\n' "$*" >"$run/phase.new" && mv "$run/phase.new" "$run/phase"; }
note() { echo "$2" >"$state/$1.new" && sync "$state/$1.new" && mv "$state/$1.new" "$state/$1" && sync "$state"; }
forget() { rm -f "$state/$1" && sync "$state"; }
running() { readlink -f /run/current-system; }
late() {
  [ "$deadline" != - ] || return 1
  read -r uptime rest </proc/uptime
  [ "$(echo "$uptime" | tr -d .)0" -gt "$deadline" ]
}
end_nodes() {
  for node in $anew; do
    timeout "$patience" systemctl stop "octad-$node.service" ||
      { systemctl kill --signal=KILL "octad-$node.service"; systemctl stop "octad-$node.service"; }
  done
}
begin_nodes() {
  for node in $anew; do
    rm -f "$state/stopped/$node"
    systemctl reset-failed "octad-$node.service" 2>/dev/null
    systemctl start --no-block "octad-$node.service"
  done
}
# Nodes whose services this system has otherwise than the one that runs.
differing() {
  for file in "$1"/etc/systemd/system/octad-*.service; do
    unit=${file##*/}
    there=/run/current-system/etc/systemd/system/$unit
    [ ! -e "$there" ] || cmp -s "$file" "$there" || echo "${unit#octad-}"
  done | sed 's/[.]service$//'
}
# Failed units that aren't nodes.
failed() { systemctl list-units --failed --plain --no-legend | while read -r unit rest; do case $unit in octad-*) ;; *) echo "$unit" ;; esac; done | sort; }
switch() { "$1/bin/switch-to-configuration" "$2" >>"$run/log" 2>&1; }
# The profile leads to a system, which boots from now on.
boots() {
  nix-env --profile /nix/var/nix/profiles/system --set "$1" >>"$run/log" 2>&1 || return 1
  switch "$1" boot || return 1
  sync
}
back() {
  [ "$(readlink -f /nix/var/nix/profiles/system)" = "$old" ] || boots "$old"
  switch "$old" test
  begin_nodes
  forget trial
}
old=
if [ -e "$state/trial" ]; then
  read -r old tried in_boot tried_before <"$state/trial"
  runs=$(running)
  if [ "$in_boot" != "$boot" ] || { [ "$runs" != "$old" ] && [ "$runs" != "$tried" ] && [ "$runs" != "$tried_before" ]; }; then
    old=
    forget trial
  fi
fi
case $what in
  try | keep)
    [ "$what" = try ] || anew=
    begun=$(differing "$new" | grep -vxF "$(echo $anew | tr ' ' '\n')" | tr '\n' ' ')
    if [ -n "$begun" ]; then
      phase "broken $new would begin anew what nobody was asked about: $begun"
      exit
    fi
    fresh=
    [ -n "$old" ] || { old=$(running); fresh=1; }
    if late; then phase late; exit; fi
    note trial "$old $new $boot $(running)" && note last "$new" || { phase broken could not write "$state"; exit; }
    failed >"$run/failed"
    # Between the two: it has been asked whether they may be stopped, and that holds until the deadline.
    if late; then
      if [ -n "$fresh" ]; then forget trial; else note trial "$old $tried $boot $tried_before"; fi
      phase late
      exit
    fi
    end_nodes
    rm -f "$run/reached"
    : >"$run/log"
    switch "$new" test
    code=$?
    worse=$(failed | comm -13 "$run/failed" - | tr '\n' ' ')
    if [ "$code" != 0 ] && { [ "$code" != 4 ] || [ -n "$worse" ]; }; then
      back
      phase "broken switch-to-configuration ended with $code${worse:+; units that failed: $worse}: $(tail -n 5 "$run/log" | tr '\n' ';')"
      exit
    fi
    begin_nodes
    phase changed
    waited=0
    while [ ! -e "$run/reached" ]; do
      if [ "$waited" -ge "$((reach * 5))" ]; then
        end_nodes
        back
        phase "broken nobody reached the machine within $reach s of the change"
        exit
      fi
      sleep 0.2
      waited=$((waited + 1))
    done
    [ "$what" = try ] || { boots "$new" && forget trial; } || { phase "broken $(tail -n 5 "$run/log" | tr '\n' ';')"; exit; }
    phase done
    ;;
  confirm)
    if [ -n "$old" ]; then
      boots "$(running)" && forget trial || { phase "broken $(tail -n 5 "$run/log" | tr '\n' ';')"; exit; }
    fi
    phase done
    ;;
  revert)
    if [ -n "$old" ]; then
      anew=$(differing "$old")
      if late; then phase late; exit; fi
      end_nodes
      back
    fi
    phase done
    ;;
esac
