# The software that nodes run, by where their facts say that it comes from, and what images hold of it in advance.
{ lib, pkgs }:
let
  java = import ./java { inherit lib pkgs; };
  # `jars` is the folder of the class path.
  known = {
    kafka = {
      # The overlay's, so that one who overrides it there has that on machines and images.
      package = pkgs.kafka_3_9 or (pkgs.callPackage ./kafka.nix { });
      jars = "libs";
    };
    zookeeper = {
      package = pkgs.zookeeper;
      jars = "lib";
    };
  };
  jars =
    facts:
    known.${facts.software.name}
      or (throw "${facts.node}: there is no software `${facts.software.name}` (known: ${lib.concatStringsSep ", " (lib.attrNames known)})");
  # As local hosts unpack it. The digest is of the archive, which is the same on both sides.
  archive =
    facts:
    let
      inherit (facts.software) name version source;
      inherit (source.archive) url sha256;
    in
    {
      package =
        pkgs.runCommand "${name}-${version}"
          {
            inherit version;
            src = pkgs.fetchurl { inherit url sha256; };
            nativeBuildInputs = [ pkgs.unzip ];
          }
          ''
            shopt -s dotglob nullglob
            mkdir unpacked
            if [ "$(head -c 2 "$src")" = PK ]; then
              unzip -q "$src" -d unpacked
            else
              tar -xf "$src" -C unpacked
            fi
            meant=unpacked
            for ((strip = ${toString (source.archive.strip or 0)}; strip > 0; strip--)); do
              entries=("$meant"/*)
              [ "''${#entries[@]}" = 1 ] && [ -d "''${entries[0]}" ] || {
                echo "${name}: there isn't one directory around what its archive holds" >&2
                exit 1
              }
              meant=''${entries[0]}
            done
            mv "$meant" "$out"
          '';
    };
  installed = facts: {
    package =
      pkgs.${facts.software.name}
        or (throw "${facts.node}: nixpkgs has no package `${facts.software.name}`: set octad.nodes.${facts.node}.package");
  };
  sources = { inherit archive installed jars; };
  of =
    facts:
    let
      source = lib.head (lib.attrNames facts.software.source);
    in
    (sources.${source} or (throw "${facts.node}: software of the source `${source}` can't be had here"))
      facts;
  # As the modules have it where nothing is overridden. All nodes of a role have the same software and JVM options.
  inAdvance =
    node:
    let
      inherit (lib.importJSON (./facts/ha-nixos + "/${node}.json")) facts;
      inherit (of facts) package jars;
    in
    {
      inherit package;
    }
    // java.software {
      inherit facts;
      jre = pkgs.jdk17_headless;
      folder = "${package}/${jars}";
    };
in
{
  inherit of;
  broker = inAdvance "broker-1";
  zookeeper = inAdvance "zk-1";
}
