# The program octad, from Cargo.lock.
{
  lib,
  rustPlatform,
  installShellFiles,
  pkg-config,
  rdkafka,
}:
let
  manifest = (lib.importTOML ../Cargo.toml).package;
in
rustPlatform.buildRustPackage {
  pname = manifest.name;
  inherit (manifest) version;

  # What the program is made of and nothing else: units name its path, and a line in a document must restart no broker.
  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../Cargo.toml
      ../Cargo.lock
      ../artifacts
      ../src
      ../stacks
    ];
  };
  cargoLock.lockFile = ../Cargo.lock;

  # librdkafka of nixpkgs: the crate's own build runs a script whose interpreter a sandbox lacks.
  buildFeatures = [ "rdkafka/dynamic-linking" ];
  buildType = "dist";
  nativeBuildInputs = [
    installShellFiles
    pkg-config
  ];
  buildInputs = [ rdkafka ];

  # The manifest names it.
  postPatch = ''
    mkdir benches
    echo 'fn main() {}' >benches/journal.rs
  '';

  # Tests read documents, and those of whole clusters fetch jars: .ci/run has them all.
  doCheck = false;

  postInstall = ''
    installShellCompletion --cmd octad \
      --bash <($out/bin/octad completions bash) \
      --fish <($out/bin/octad completions fish) \
      --zsh <($out/bin/octad completions zsh)
    $out/bin/octad man --dir man
    installManPage man/*
  '';

  meta = {
    inherit (manifest) description;
    license = lib.licenses.asl20;
    mainProgram = "octad";
    platforms = lib.platforms.linux;
  };
}
