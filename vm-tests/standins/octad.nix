# Stand-ins for what the flake builds itself: jars that Octad fetched by Maven, Debian's Java, and the program that cargo
# made.
{
  # Of SHA256-FILE, as Octad keeps them.
  jars,
  octad,
  java ? "/usr/lib/jvm/java-17-openjdk-amd64",
}:
final: _:
let
  inherit (final) lib;
  read =
    set:
    lib.filter (line: line != "" && !lib.hasPrefix "#" line) (
      lib.splitString "\n" (builtins.readFile (../../artifacts + "/${set}/jars.lock"))
    );
  package =
    name: version: folder:
    final.runCommandLocal "${name}-${version}"
      {
        pname = name;
        inherit version;
        passthru.jre = final.jdk17_headless;
      }
      ''
        mkdir -p $out/${folder} $out/bin
        ${lib.concatMapStringsSep "\n" (
          line:
          let
            field = lib.elemAt (lib.splitString " " line);
          in
          "cp ${toString jars}/${field 0}-${field 3} $out/${folder}/${field 3}"
        ) (read "${name}-${version}")}
      '';
in
{
  jdk17_headless = final.runCommandLocal "jdk17-standin" { meta.mainProgram = "java"; } ''
    mkdir -p $out/bin
    ln -s ${java}/bin/* $out/bin/
  '';
  octad-kafka = package "kafka" "3.9.2" "libs";
  octad-zookeeper = package "zookeeper" "3.9.5" "lib";
  # As images take them.
  kafka_3_9 = final.octad-kafka;
  zookeeper = final.octad-zookeeper;
  octad = final.runCommandLocal "octad" { meta.mainProgram = "octad"; } ''
    mkdir -p $out/bin
    cp ${
      builtins.path {
        path = octad;
        name = "octad";
      }
    } $out/bin/octad
  '';
}
