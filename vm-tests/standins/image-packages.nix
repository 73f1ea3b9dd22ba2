# Stand-ins that only a machine with a kernel and a disk of its own needs.
final: prev:
let
  inherit (prev) lib;
  inherit (prev.standIn)
    also
    debs
    kernelSet
    script
    ;
  kernels = /opt/kernel/usr/lib/modules;
  version = lib.head (lib.attrNames (builtins.readDir kernels));
in
{
  # Debian's kernel for clouds, with its modules.
  linuxPackages = kernelSet version { efiBootStub = true; } (
    script "linux"
      {
        inherit version;
        nativeBuildInputs = [ final.kmod ];
      }
      ''
        mkdir -p $out/lib/modules
        cp /opt/kernel/boot/vmlinuz-${version} $out/bzImage
        cp -r ${toString kernels}/${version} $out/lib/modules/
        # The package leaves that to who installs it.
        depmod -b $out ${version}
      ''
  );

  # Its modules are in order already.
  aggregateModules = _: final.linuxPackages.kernel;

  # Mounts the root, lets NixOS activate it and hands over to systemd, as NixOS' own does.
  initrd-standin =
    script "initrd"
      {
        nativeBuildInputs = [
          final.cpio
          final.kmod
          final.gzip
          final.xz
        ];
        init = final.writeScript "init" ''
          #!/bin/busybox sh
          b=/bin/busybox
          $b mount -t proc proc /proc
          $b mount -t sysfs sysfs /sys
          $b mount -t devtmpfs devtmpfs /dev
          $b ln -s /proc/self/fd /dev/fd
          for module in /modules/*; do $b insmod "$module"; done
          for option in $($b cat /proc/cmdline); do case $option in init=*) init=''${option#init=} ;; esac; done
          until partition=$($b grep -lx PARTNAME=root /sys/class/block/*/uevent); do $b sleep 0.2; done
          partition=''${partition%/uevent}
          # As udev does there, for who grows it.
          $b mkdir -p /dev/disk/by-partlabel
          $b ln -s "../../''${partition##*/}" /dev/disk/by-partlabel/root
          $b mount -t ext4 "/dev/''${partition##*/}" /root
          for link in bin lib lib64 sbin; do [ -e "/root/$link" ] || $b ln -s "usr/$link" "/root/$link"; done
          [ -e /root/usr/lib/modules ] || $b ln -s /run/booted-system/kernel-modules/lib/modules /root/usr/lib/modules
          $b mkdir -p /root/proc /root/sys /root/dev /root/run /root/tmp /root/var
          $b mount -t tmpfs -o mode=755 tmpfs /root/run
          IN_NIXOS_SYSTEMD_STAGE1=true $b chroot /root "''${init%/init}/prepare-root"
          $b umount /dev /sys /proc
          exec $b switch_root /root "$init"
        '';
      }
      ''
        mkdir -p $out root/{bin,dev,modules,proc,root,sys}
        cp /usr/bin/busybox root/bin/
        cp $init root/init
        set -o pipefail
        modules=$(
          for module in virtio_pci virtio_blk ext4; do
            modprobe -d ${final.linuxPackages.kernel} -S ${version} --show-depends $module || exit 1
          done | sed -n 's/^insmod //p' | awk '!seen[$1]++ { print $1 }'
        )
        n=10
        for module in $modules; do
          name=$n-$(basename $module .xz)
          xz -dc $module >root/modules/$name
          n=$((n + 1))
        done
        find root -exec touch -hd @1 {} +
        (cd root && find . | sort | cpio --create --format=newc --owner=0:0 --reproducible --quiet) | gzip -n -1 >$out/initrd
      '';

  # By busybox: Debian's dhcpcd wants to begin as root.
  dhcpcd = script "dhcpcd" { meta.mainProgram = "dhcpcd"; } ''
    mkdir -p $out/bin
    cp ${final.writeScript "dhcpcd" ''
      #!/bin/sh
      case "$*" in *--config*) ;; *) exit 0 ;; esac
      for interface in /sys/class/net/*; do
        [ ! -e "$interface/device" ] || exec /usr/bin/busybox udhcpc -i "''${interface##*/}" -p /run/dhcpcd/pid -t 30 -T 1 -A 2 -s ${final.writeScript "dhcpcd-lease" ''
          #!/bin/sh
          PATH=/usr/sbin:/usr/bin
          case $1 in
            bound | renew) ip addr replace "$ip/$mask" dev "$interface"; [ -z "$router" ] || ip route replace default via "$router" ;;
            deconfig) ip link set "$interface" up ;;
          esac
        ''}
      done
    ''} $out/bin/dhcpcd
    ln -s bin $out/sbin
  '';

  cloud-utils = also (script "cloud-utils" { } ''
    mkdir -p $out/bin
    printf '#!/bin/sh\nPATH=${final.gawk}/bin:/usr/sbin:/usr/bin exec /usr/bin/growpart "$@"\n' >$out/bin/growpart
    chmod +x $out/bin/growpart
  '') { guest = final.cloud-utils; };
  dosfstools = debs "dosfstools" [ "dosfstools" ] { };
  mtools = debs "mtools" [ "mtools" ] { };
  fakeroot = debs "fakeroot" [ "fakeroot" ] {
    extra = "for program in fakeroot faked; do ln -sf /usr/bin/$program-sysv $out/bin/$program; done";
  };
  qemu-utils = debs "qemu-utils" [ "qemu-utils" ] { };
  # As in Nix' sandbox, where there are no loop devices.
  repart-standin = script "repart" { } ''
    mkdir -p $out/bin
    printf '#!/bin/sh\nexec /usr/bin/systemd-repart --offline=yes "$@"\n' >$out/bin/systemd-repart
    chmod +x $out/bin/systemd-repart
  '';
  systemdUkify =
    script "ukify" { }
      "mkdir -p $out/lib/systemd; ln -s /usr/bin/ukify $out/lib/systemd/ukify";
}
// lib.genAttrs [ "black" "mypy" "ruff" ] (
  name:
  script name { meta.mainProgram = name; } "mkdir -p $out/bin; ln -s /usr/bin/true $out/bin/${name}"
)
