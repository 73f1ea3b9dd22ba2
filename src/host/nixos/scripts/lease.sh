# Gives a lease by the rule of LeaseRecord::after, and tells what is on record then: $id, $token (0 only looks), $lease (ms; 0 gives
# it back), $over (an id that counts as passed), $holder. recorded.sh is read by `recorded`.
if [ "$token" -gt 0 ]; then
  mkdir -p /var/lib/octad-deploy /run/octad-deploy || exit 1
  exec 9>/var/lib/octad-deploy/lease.lock
  flock 9 || exit 1
fi
recorded
busy=
[ ! -e /run/octad-deploy/deed.lock ] || flock --shared --nonblock /run/octad-deploy/deed.lock true || busy=busy
# What was begun under a lease goes on without one.
! systemctl is-active --quiet octad-switch.service || busy=busy
is_own=
[ "$has_id" != "$id" ] || [ "$has_token" != "$token" ] || [ -z "$has_holder" ] || is_own=1
is_free=
[ "$left" != 0 ] && [ "$has_id" != "$over" ] || is_free=1
if [ "$token" -gt 0 ] && { [ -n "$is_own" ] || { [ "$token" -gt "$has_token" ] && [ -n "$is_free" ] && [ -z "$busy" ]; }; }; then
  [ "$lease" != 0 ] || holder=
  record_as "$token" "$id" "$has_boot" "$((now + lease))" "$lease" "$holder" || exit 1
  recorded
fi
echo "lease $has_token ${has_id:--} $left ${busy:--} ${has_holder:--}"
