# The jars of a folder as an argument file for java, by name. The wildcard `libs/*` follows the order in which the
# file system lists them: a class-data archive that was dumped on one disk then fails on another.
{ runCommand }:
{ name, folder }:
runCommand "${name}-class-path" { } ''
  export LC_ALL=C
  jars=(${folder}/*.jar)
  [ -e "''${jars[0]}" ] || { echo "there is no jar in ${folder}" >&2; exit 1; }
  (IFS=:; printf -- '-cp\n"%s"\n' "''${jars[*]}") >$out
''
