# Gives a node its directory on the data disk: $node, $device, $marker (its text), $written (what is there once it has begun),
# $is_here (not empty where the machine runs it already), $files (names) and put, which puts them there; disk.sh stands
# before it. Ends with 3 where the directory is somebody else's.
place=$data/$node
if ! is_mounted; then
  mkdir -p "$data" && mount -o noatime "$device" "$data" || exit 1
fi
if [ -e "$place/octad-data.json" ]; then
  [ "$(cat "$place/octad-data.json")" = "$marker" ] || exit 3
  # What it held is gone, and whoever has it formatted anew says that it may be.
  if [ -n "$written" ] && [ ! -e "$place/$written" ] && [ ! -e "$place/octad-fresh" ]; then
    echo refill >"$place/octad-fresh" && sync -f "$place" || exit 1
  fi
  exit 0
fi
# A machine that another tool made runs this node, with what it has there.
if [ -z "$is_here" ] || [ ! -d "$place" ]; then
  # A first formatting that was cut off left its own files alone.
  for found in "$place"/* "$place"/.[!.]*; do
    [ -e "$found" ] || continue
    case " octad-fresh octad-data.new $files " in
      *" ${found##*/} "*) ;;
      *) exit 3 ;;
    esac
  done
  mkdir -p "$place" || exit 1
  [ -z "$written" ] || [ -e "$place/octad-fresh" ] || echo new >"$place/octad-fresh" || exit 1
  put || exit 1
fi
printf %s "$marker" >"$place/octad-data.new" && sync -f "$place" || exit 1
mv "$place/octad-data.new" "$place/octad-data.json" && sync -f "$place"
