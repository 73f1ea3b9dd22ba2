# EC2. Login keys come from its metadata.
{ modulesPath, ... }:
{
  imports = [ (modulesPath + "/../maintainers/scripts/ec2/amazon-image.nix") ];

  # It would take a configuration from user data, and build it on the machine.
  virtualisation.amazon-init.enable = false;
}
