# Google Compute Engine. Login keys come from its metadata.
{ modulesPath, ... }:
{
  imports = [ (modulesPath + "/virtualisation/google-compute-image.nix") ];
}
