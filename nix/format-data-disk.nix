# The one program that formats a data disk, and only one on which there is nothing. It makes a directory for each node, and
# puts the leave to begin with nothing there, without which a broker doesn't start on an empty disk; `octad admit` takes
# it back.
{
  lib,
  writeShellApplication,
  util-linux,
  xfsprogs,
  # Whose directories are made where none is named: on a machine that knows its nodes.
  nodes ? [ ],
}:
writeShellApplication {
  name = "octad-format-data-disk";
  runtimeInputs = [
    util-linux
    xfsprogs
  ];
  text = ''
    usage="usage: octad-format-data-disk [--refill] DEVICE NODE…"
    leave=new
    [ "''${1:-}" != --refill ] || { leave=refill; shift; }
    case "''${1:---}" in -*) echo "$usage" >&2; exit 64 ;; esac
    device=$1
    shift
    [ $# != 0 ] || set -- ${lib.escapeShellArgs nodes}
    if [ $# = 0 ]; then
      echo "error: nothing says whose disk $device is" >&2
      echo "hint: name its nodes: octad-format-data-disk $device broker-1" >&2
      exit 64
    fi
    for node; do
      # mkfs.xfs reads words.
      case $node in "" | . | .. | */* | *[[:space:]]*) echo "error: '$node' is no name of a node" >&2; exit 64 ;; esac
    done
    [ -b "$device" ] || { echo "error: $device is no disk" >&2; exit 1; }
    # 2 is blkid's answer for a device on which it finds nothing.
    found=$(blkid --probe "$device") && code=0 || code=$?
    if [ "$code" != 2 ]; then
      echo "error: $device is left alone: ''${found:-blkid could not look at it ($code)}" >&2
      echo "hint: wipefs --all $device makes it blank, and all that it holds is lost" >&2
      exit 1
    fi
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    echo "$leave" >"$scratch/leave"
    # mkfs makes the files with the file system, so that neither is there without the other: as it reads a directory with
    # what is in it.
    {
      printf '%s\n' / "0 0" "d--755 0 0"
      for node; do printf '%s\n' "$node d--755 0 0" "octad-fresh ---644 0 0 $scratch/leave" "\$"; done
      printf '%s\n' "\$"
    } >"$scratch/contents"
    mkfs.xfs -L octad-data -p "$scratch/contents" "$device"
  '';
}
