# How a machine boots, by the name that facts have for it. The same module makes the image and belongs to each node on
# it, since one that leaves it out has no file systems and no boot loader.
{
  amazon = ./amazon.nix;
  google-compute = ./google-compute.nix;
  qcow2 = ./qcow2.nix;
  raw = ./raw.nix;
}
