# Has a machine run another system, in a unit of its own, so that no link is needed for that: $what (try, keep, later, boot, confirm,
# revert), $new, $made (what of, and under which lease: its sources and its token), $anew (nodes that are begun anew, each as NODE=DEADLINE), $deadline (of others that the change begins anew),
# $patience (s that each may take to end), $reach (s within which somebody must reach the machine anew after a change), $longest
# (s that a switch may take). Deadlines are ms since boot, after which no process is asked to end; "-" is none. A "keep" is a
# "try" that stops nothing and is for good as soon as the machine is reached.
#
# What is on trial is in `trial`: what the machine ran before, what it is to run on trial, in which boot, and what it ran on
# trial until then. What boots is the profile, which changes when a trial is confirmed. A trial is over with the boot, or where
# another hand has the machine run something else. While what boots is being changed, `boots` has what it is to be: where that
# is cut off, the profile and the boot loader may be of two minds until they are told anew.
#
# How far it is stands in `phase`: changed, and at its end done, late (nothing has changed), refused (nor has it), broken (it runs
# what it ran before) or stuck, each with what there is to say.
state=/var/lib/octad-deploy
run=/run/octad-deploy
mkdir -p "$state" "$run"
read -r boot </proc/sys/kernel/random/boot_id
: >"$run/log"
# The journal has it as well.
trap 'cat "$run/log"' EXIT
phase() { echo "$*"; printf '%s\n' "$*" >"$run/phase.new" && mv "$run/phase.new" "$run/phase"; }
ends() { phase "$@"; exit; }
note() { echo "$2" >"$state/$1.new" && sync "$state/$1.new" && mv "$state/$1.new" "$state/$1" && sync "$state"; }
forget() { rm -f "$state/$1" && sync "$state"; }
running() { readlink -f /run/current-system; }
last_words() { tail -n 5 "$run/log" | tr '\n' ';'; }
uptime_ms() { read -r uptime rest </proc/uptime && echo "$(echo "$uptime" | tr -d .)0"; }
has_process() { [ "$(systemctl show --property=MainPID --property=ControlPID --value "octad-$1.service" | tr -d '\n')" != 00 ]; }
# Whether it is too late to stop a process of those that are begun anew.
late() {
  now=$(uptime_ms)
  for entry in $anew; do
    [ "${entry#*=}" = - ] || [ "$now" -le "${entry#*=}" ] || ! has_process "${entry%=*}" || return 0
  done
  return 1
}
end_nodes() {
  for entry in $anew; do
    unit=octad-${entry%=*}.service
    # What is frozen can't be told to end, and would be begun anew as it is.
    systemctl thaw "$unit" 2>/dev/null
    timeout "$patience" systemctl stop "$unit" || { systemctl kill --signal=KILL "$unit"; systemctl stop "$unit"; }
  done
}
begin_nodes() {
  for entry in $anew; do
    node=${entry%=*}
    # Also who loses power now starts it as it boots.
    [ ! -d "$state/stopped" ] || { rm -f "$state/stopped/$node" && sync "$state/stopped"; }
    systemctl reset-failed "octad-$node.service" 2>/dev/null
    systemctl start --no-block "octad-$node.service"
  done
}
# Nodes that weren't asked to stop, whose services this system has otherwise than the one that runs.
differing() {
  for file in "$1"/etc/systemd/system/octad-*.service; do
    unit=${file##*/}
    node=${unit#octad-}
    node=${node%.service}
    there=/run/current-system/etc/systemd/system/$unit
    [ ! -e "$there" ] || [ -e "$state/stopped/$node" ] || cmp -s "$file" "$there" || echo "$node"
  done
}
# With those the switch to this system begins anew as well.
with_differing() {
  for node in $(differing "$1"); do
    case " $anew" in *" $node="*) ;; *) anew="$anew $node=$deadline" ;; esac
  done
}
# Failed units that aren't nodes.
failed() { systemctl list-units --failed --plain --no-legend | while read -r unit rest; do case $unit in octad-*) ;; *) echo "$unit" ;; esac; done | sort; }
# One that hangs is ended: who hangs as well is ended with the unit.
switch() { timeout --kill-after=10 "$longest" "$1/bin/switch-to-configuration" "$2" >>"$run/log" 2>&1; }
# The profile leads to a system, which boots from now on.
boots() {
  note boots "$1" && nix-env --profile /nix/var/nix/profiles/system --set "$1" >>"$run/log" 2>&1 && switch "$1" boot && sync &&
    forget boots
}
# What runs is what boots from now on, and nothing is on trial any more.
keeps() { { boots "$1" && forget trial; } || ends stuck "$1 runs and can't be had boot: $(last_words)"; }
# Goes back, and says why: what was tried stays on trial where it can't.
back() {
  if [ -e "$state/boots" ] || [ "$(readlink -f /nix/var/nix/profiles/system)" != "$old" ]; then
    boots "$old" || ends stuck "$*, and can't have $old boot: $(last_words)"
  fi
  # Where the switch ends half way, those that it stopped are begun all the same.
  with_differing "$old"
  switch "$old" test
  code=$?
  begin_nodes
  [ "$(running)" = "$old" ] || ends stuck "$*, and can't go back to $old (code $code): $(last_words)"
  forget trial
}
old=
runs=$(running)
if [ -e "$state/trial" ]; then
  read -r old tried in_boot tried_before <"$state/trial"
  if [ "$in_boot" != "$boot" ] || { [ "$runs" != "$old" ] && [ "$runs" != "$tried" ] && [ "$runs" != "$tried_before" ]; }; then
    old=
    forget trial
  fi
fi
case $what in
  try | keep)
    [ -x "$new/bin/switch-to-configuration" ] || ends refused "$new isn't there"
    turn=$anew
    for node in $(differing "$new"); do
      case " $anew" in *" $node="*) continue ;; esac
      has_process "$node" || continue
      # All groups on a machine were asked for its turn. What begins nobody anew is none.
      [ -n "$turn" ] || ends refused "$new would begin $node anew, which nobody was asked about"
      anew="$anew $node=$deadline"
    done
    ! late || ends late
    fresh=
    [ -n "$old" ] || { old=$(running); fresh=1; }
    note trial "$old $new $boot $(running)" || ends refused "$state can't be written to"
    failed >"$run/failed"
    # It has been asked whether they may be stopped, and that holds until then.
    if late; then
      if [ -n "$fresh" ]; then forget trial; else note trial "$old $tried $boot $tried_before"; fi
      ends late
    fi
    end_nodes
    note last "$new${made:+ $made}"
    rm -f "$run/reached"
    switch "$new" test
    code=$?
    worse=$(failed | comm -13 "$run/failed" - | tr '\n' ' ')
    if [ "$code" != 0 ] && { [ "$code" != 4 ] || [ -n "$worse" ]; }; then
      why="switch-to-configuration ended with $code${worse:+; units that failed: $worse}: $(last_words)"
      back "$why"
      ends broken "$why"
    fi
    begin_nodes
    # Whoever comes by a connection that is younger than this has reached it.
    uptime_ms >"$run/changed"
    phase changed
    waited=0
    while [ ! -e "$run/reached" ]; do
      if [ "$waited" -ge "$((reach * 5))" ]; then
        why="nobody reached the machine within $reach s of the change"
        end_nodes
        back "$why"
        ends broken "$why"
      fi
      sleep 0.2
      waited=$((waited + 1))
    done
    [ "$what" = try ] || keeps "$new"
    ;;
  later)
    [ -x "$new/bin/switch-to-configuration" ] || ends refused "$new isn't there"
    [ -z "$old" ] || ends refused "a change is on trial there"
    boots "$new" || ends stuck "$new can't be had boot: $(last_words)"
    ;;
  boot)
    [ -z "$old" ] || ends refused "a change is on trial there"
    ! late || ends late
    end_nodes
    phase boots
    # It ends with the machine: until then nobody takes it for done.
    systemctl reboot && sleep "$longest"
    begin_nodes
    ends refused "it does not boot: systemctl reboot ended with $?"
    ;;
  confirm)
    # One that was cut off before its switch is no trial of anything.
    if [ -e "$state/boots" ] || { [ -n "$old" ] && [ "$runs" != "$old" ]; }; then keeps "$runs"; else forget trial; fi
    ;;
  revert)
    if [ -n "$old" ]; then
      with_differing "$old"
      ! late || ends late
      end_nodes
      back "it was to go back"
    elif [ -e "$state/boots" ]; then
      keeps "$runs"
    fi
    ;;
esac
phase done
