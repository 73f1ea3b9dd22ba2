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

  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../Cargo.toml
      ../Cargo.lock
      ../README.md
      ../artifacts
      ../benches
      ../docs/events.md
      ../examples
      ../src
      ../stacks
      ../tests
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

  # The tests of whole clusters fetch jars and listen on many addresses; here only what needs neither.
  cargoTestFlags = [ "--lib" ];

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
