# Tells of $system, which the machine has from before, as look.sh does of the one that it runs.
[ -e "$system/bin/switch-to-configuration" ] || { echo "it isn't there any more"; exit; }
file=$system/etc/octad-system.json
[ ! -e "$file" ] || echo "facts $(cat "$file")"
for file in "$system"/etc/octad/*.json; do
  [ -e "$file" ] || continue
  node=${file##*/}
  printf 'document %s %s\n' "${node%.json}" "$(cat "$file")"
done
echo looked
