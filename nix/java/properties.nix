# Properties files, as Java reads them. src/resource/properties.rs is the other half: both write the same bytes. No
# nixpkgs in it, so that Nix alone can compare them.
let
  inherit (builtins)
    attrNames
    concatStringsSep
    foldl'
    fromJSON
    genList
    listToAttrs
    replaceStrings
    stringLength
    substring
    ;
  bytes = text: genList (at: substring at 1 text) (stringLength text);
  digit = number: substring number 1 "0123456789ABCDEF";
  modulo = number: by: number - by * (number / by);
  hex =
    number:
    concatStringsSep "" (
      map (by: digit (modulo (number / by) 16)) [
        4096
        256
        16
        1
      ]
    );
  escaped = unit: "\\u${hex unit}";
  character = unit: fromJSON "\"${escaped unit}\"";
  pair = code: fromJSON "\"${concatStringsSep "" (map escaped (units code))}\"";

  # What the bytes of UTF-8 stand for, by the byte. Nix can't be asked for that, only for a character of a known number.
  known = byte: value: {
    inherit value;
    name = byte;
  };
  first = text: substring 0 1 text;
  begins =
    more: value: byte:
    known byte { inherit more value; };
  begun = listToAttrs (
    genList (n: begins 0 (n + 1) (character (n + 1))) 127
    ++ genList (n: begins 1 (n + 2) (first (character (64 * (n + 2))))) 30
    ++ genList (n: begins 2 n (first (character (if n == 0 then 2048 else 4096 * n)))) 16
    ++ genList (n: begins 3 n (first (pair (if n == 0 then 65536 else 262144 * n)))) 5
  );
  continued = listToAttrs (genList (n: known (substring 1 1 (character (128 + n))) n) 64);

  # The UTF-16 units of a character.
  units =
    code:
    if code < 65536 then
      [ code ]
    else
      [
        (55296 + (code - 65536) / 1024)
        (56320 + modulo (code - 65536) 1024)
      ];
  special = {
    "\\" = "\\\\";
    "\n" = "\\n";
    "\r" = "\\r";
    "\t" = "\\t";
  };
  printed =
    code: byte:
    special.${byte}
      or (if code >= 32 && code <= 126 then byte else concatStringsSep "" (map escaped (units code)));
  escape =
    text:
    (foldl'
      (
        seen: byte:
        if seen.more == 0 then
          let
            inherit (begun.${byte}) more value;
          in
          if more == 0 then
            seen // { out = seen.out + printed value byte; }
          else
            seen
            // {
              inherit more;
              code = value;
            }
        else
          let
            code = seen.code * 64 + continued.${byte};
            more = seen.more - 1;
          in
          {
            inherit code more;
            out = if more == 0 then seen.out + printed code "" else seen.out;
          }
      )
      {
        out = "";
        code = 0;
        more = 0;
      }
      (bytes text)
    ).out;

  behind = from: text: substring from (stringLength text) text;
  # Those that begin a comment, those that end a name, and spaces before a value, which aren't part of it.
  name =
    text:
    let
      start = first text;
      marked = if start == "#" || start == "!" then "\\" else "";
    in
    marked + replaceStrings [ " " "=" ":" ] [ "\\ " "\\=" "\\:" ] (escape text);
  value = text: if first text == " " then "\\ " + escape (behind 1 text) else escape text;
  line = key: text: "${name key}=${value text}\n";
in
{
  # The line for one property.
  inherit line;
  # The whole file, in the order of the names' bytes.
  properties =
    settings: concatStringsSep "" (map (key: line key settings.${key}) (attrNames settings));
}
