# Stands before what changes the machine: lets it go on only under a lease. $lease_id, $lease_token, $lease_boot and $lease_before (it
# is to be done in this boot and before this uptime, in ms), $lease_holder; $beside where it may be done beside a change. Ends with 77 where there is no such lease any more, with 76
# where what was asked for before isn't at its end.
mkdir -p /var/lib/octad-deploy /run/octad-deploy || exit 1
exec 8>/run/octad-deploy/deed.lock 9>/var/lib/octad-deploy/lease.lock
flock --timeout 20 8 || exit 76
flock 9 || exit 1
recorded
[ "$lease_boot" = "$has_boot" ] || { echo booted; exit 77; }
[ "$now" -lt "$lease_before" ] || { echo passed; exit 77; }
[ "$has_token" -lt "$lease_token" ] || { [ "$has_token" = "$lease_token" ] && [ "$has_id" = "$lease_id" ]; } || { echo "$has_holder"; exit 77; }
# It was not reached when the lease was taken.
[ "$has_token" = "$lease_token" ] || record_as "$lease_token" "$lease_id" "$has_boot" "$lease_before" "$((lease_before - now))" "$lease_holder" || exit 1
exec 9>&-
[ -n "$beside" ] || ! systemctl is-active --quiet octad-switch.service || exit 76
