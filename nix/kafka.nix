# Kafka 3.9.2, the last line that keeps its metadata in ZooKeeper. Newer nixpkgs only carry 4.x, so the flake has its
# own: libs/, config/ and bin/.
{
  lib,
  stdenvNoCC,
  fetchurl,
  makeWrapper,
  jdk17_headless,
  coreutils,
  gnugrep,
  gnused,
  procps,
}:
stdenvNoCC.mkDerivation (finalAttrs: {
  pname = "kafka";
  version = "3.9.2";
  scala = "2.13";

  src = fetchurl {
    url = "mirror://apache/kafka/${finalAttrs.version}/kafka_${finalAttrs.scala}-${finalAttrs.version}.tgz";
    hash = "sha256-1dlRwiSE+aCQiwVWO8gKBC3pd53x4GqJ930nzrX2gyM=";
  };

  nativeBuildInputs = [ makeWrapper ];

  installPhase = ''
    runHook preInstall
    mkdir -p $out/bin
    cp -R config libs $out
    cp bin/*.sh $out/bin
    # The tools log to a file beside the program where nothing else is said.
    for script in $out/bin/*.sh; do
      wrapProgram "$script" \
        --set-default JAVA_HOME ${finalAttrs.passthru.jre} \
        --set-default LOG_DIR /tmp/kafka-tools \
        --prefix PATH : ${
          lib.makeBinPath [
            coreutils
            gnugrep
            gnused
            procps
          ]
        }
    done
    runHook postInstall
  '';

  passthru.jre = jdk17_headless;

  meta = {
    description = "Distributed log with which services publish and follow records";
    homepage = "https://kafka.apache.org";
    license = lib.licenses.asl20;
    sourceProvenance = [ lib.sourceTypes.binaryBytecode ];
    platforms = lib.platforms.linux;
  };
})
