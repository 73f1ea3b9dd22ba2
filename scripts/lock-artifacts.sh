#!/usr/bin/env bash
# Writes artifacts/<set>/jars.lock from artifacts/<set>/pom.xml, for the sets named or for all.
# Jars come from the repositories of your own Maven settings, through a local repository of this run's own,
# so that nothing spoiled or built on this machine gets into a lock.
# Review the diff: a jar that changed under the same coordinates is an alarm, not an update.
set -euo pipefail
export LC_ALL=C

artifacts=$(cd "$(dirname "${BASH_SOURCE[0]}")/../artifacts" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Prints the lock's line for jar $1, a path in repository layout: group/as/path/artifact/version/file.
entry() {
  local path=$1 file=${1##*/} version_dir artifact_dir version artifact group classifier
  version_dir=${path%/*}; version=${version_dir##*/}
  artifact_dir=${version_dir%/*}; artifact=${artifact_dir##*/}
  group=${artifact_dir%/*}; group=${group//\//.}
  classifier=${file#"$artifact-$version"}; classifier=${classifier%.jar}; classifier=${classifier#-}
  printf '%s %s %s %s\n' "$(sha256sum <"$path" | cut -d' ' -f1)" "$(stat -c %s "$path")" \
    "$group:$artifact:$version${classifier:+:$classifier}" "$file"
}

[ $# -gt 0 ] || set -- $(cd "$artifacts" && printf '%s\n' */ | tr -d /)
for set in "$@"; do
  echo "$set" >&2
  jars=$scratch/jars/$set
  mvn -B -q --strict-checksums --file "$artifacts/$set/pom.xml" -Dmaven.repo.local="$scratch/repository" \
    dependency:copy-dependencies -Dmdep.useRepositoryLayout=true -DoutputDirectory="$jars"
  {
    echo "# The jars of $set: SHA-256, size in bytes, Maven coordinates, file name; by coordinates."
    echo "# Made from pom.xml beside this file by scripts/lock-artifacts.sh $set. Not edited by hand."
    (cd "$jars" && find . -name '*.jar' -printf '%P\n' | while read -r jar; do entry "$jar"; done | sort -k3,3)
  } >"$scratch/lock"
  mv "$scratch/lock" "$artifacts/$set/jars.lock"
done
