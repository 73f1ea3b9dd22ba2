# Every machine of the example stacks, as STACK-HOST.
{ mkHostsAt, readFacts }:
let
  of =
    stack: documents:
    let
      hosts = mkHostsAt ../. documents;
    in
    map (host: {
      name = "${stack}-${host}";
      value = hosts.${host};
    }) (builtins.attrNames hosts);
  stacks = readFacts ./facts;
in
builtins.listToAttrs (builtins.concatLists (builtins.attrValues (builtins.mapAttrs of stacks)))
