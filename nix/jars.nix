# The jars of artifacts/*/jars.lock, in the form that octad takes from $OCTAD_ARTIFACTS: jars/<sha256>-<file name>.
# The locks are the owner; each line of them is a SHA-256, a size, Maven coordinates and a file name.
{
  lib,
  fetchurl,
  linkFarm,
}:
let
  sets = lib.filterAttrs (_: type: type == "directory") (builtins.readDir ../artifacts);
  linesOf = set: lib.splitString "\n" (builtins.readFile (../artifacts + "/${set}/jars.lock"));
  isEntry = line: line != "" && !lib.hasPrefix "#" line;

  jar =
    line:
    let
      field = lib.elemAt (lib.splitString " " line);
      coordinate = lib.elemAt (lib.splitString ":" (field 2));
      group = lib.replaceStrings [ "." ] [ "/" ] (coordinate 0);
      sha256 = field 0;
      file = field 3;
    in
    lib.nameValuePair "jars/${sha256}-${file}" (fetchurl {
      url = "mirror://maven/${group}/${coordinate 1}/${coordinate 2}/${file}";
      inherit sha256;
    });
in
linkFarm "octad-jars" (
  lib.listToAttrs (map jar (lib.filter isEntry (lib.concatMap linesOf (lib.attrNames sets))))
)
