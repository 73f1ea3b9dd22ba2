# Every node of the example stacks, as STACK-NODE.
{ mkNode, readFacts }:
let
  of =
    stack: nodes:
    map (node: {
      name = "${stack}-${node}";
      value = mkNode nodes.${node};
    }) (builtins.attrNames nodes);
  stacks = readFacts ./facts;
in
builtins.listToAttrs (builtins.concatLists (builtins.attrValues (builtins.mapAttrs of stacks)))
