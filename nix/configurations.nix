# Every machine of the example stacks, as STACK-HOST.
{ mkHosts, readFacts }:
let
  of =
    stack: documents:
    let
      hosts = mkHosts {
        root = ../.;
        inherit documents;
      };
    in
    map (host: {
      name = "${stack}-${host}";
      value = hosts.${host};
    }) (builtins.attrNames hosts);
  stacks = readFacts ./facts;
in
builtins.listToAttrs (builtins.concatLists (builtins.attrValues (builtins.mapAttrs of stacks)))
