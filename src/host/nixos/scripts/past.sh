# Tells of all systems that the machine has had boot and still has, each with the documents in it.
echo "now $(readlink /nix/var/nix/profiles/system)"
for link in /nix/var/nix/profiles/system-*-link; do
  number=${link#*/system-}
  number=${number%-link}
  system=$(readlink -f "$link")
  [ -e "$system/bin/switch-to-configuration" ] || continue
  echo "generation $number $(stat -c %Y "$link") $system"
  for file in "$system"/etc/octad/*.json; do
    [ -e "$file" ] || continue
    node=${file##*/}
    printf 'document %s %s\n' "${node%.json}" "$(cat "$file")"
  done
done
echo told
