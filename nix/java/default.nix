# How a JVM is started: class path, class-data archive, heap, metrics.
{ lib, pkgs }:
let
  makeClassPath = pkgs.callPackage ./class-path.nix { };
  makeClassArchive = pkgs.callPackage ./class-archive.nix { };
in
{
  # Arguments in front of all others, for a node with these facts, whose class path is the jars of `folder`.
  software =
    {
      facts,
      jre,
      folder,
    }:
    let
      inherit (facts) role;
      classPath = makeClassPath {
        name = role;
        inherit folder;
      };
      archive = makeClassArchive {
        name = role;
        inherit jre classPath;
        classList = ../../artifacts + "/${facts.software.name}-${facts.software.version}/classes.txt";
        # An archive belongs to a collector; sizes don't matter to it.
        options = lib.filter (lib.hasSuffix "GC") (facts.jvm.options or [ ]);
      };
    in
    {
      inherit classPath archive;
      arguments = [
        "@${classPath}"
        "-XX:SharedArchiveFile=${archive}"
        "-Xshare:auto"
      ];
    };

  limits =
    jvm:
    [
      "-Xms${toString jvm.heap_mib}m"
      "-Xmx${toString jvm.heap_mib}m"
    ]
    ++ jvm.options;

  metrics = port: [
    "-Dcom.sun.management.jmxremote.host=127.0.0.1"
    "-Djava.rmi.server.hostname=127.0.0.1"
    "-Dcom.sun.management.jmxremote.port=${toString port}"
    "-Dcom.sun.management.jmxremote.rmi.port=${toString port}"
    "-Dcom.sun.management.jmxremote.authenticate=false"
    "-Dcom.sun.management.jmxremote.ssl=false"
  ];
}
