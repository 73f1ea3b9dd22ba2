# nixpkgs whose compiled packages are stand-ins: trees of links into the /usr of the machine that builds and runs them, a
# Debian trixie folder of make-world. Everything that nixpkgs generates as text (units, /etc, activation, what
# switch-to-configuration and the test driver read) is real. For tests only: nothing here is reproducible, pure or patched
# as nixpkgs' packages are.
#
#   nixpkgs    path of a nixpkgs tree
#   tools      folder of what cargo built from that tree: bin/switch-to-configuration, bin/nixos-init
#   world      tells one world from another: in another, all is built again
#   overlays   further ones
{
  nixpkgs,
  tools ? "/opt/tools",
  world ? builtins.hashFile "sha256" /var/lib/dpkg/status,
  overlays ? [ ],
  system ? "x86_64-linux",
}:
let
  lib = import (nixpkgs + "/lib");

  raw =
    name: script:
    derivation {
      inherit name system;
      builder = "/bin/bash";
      args = [
        "-c"
        # Nix kills who closes its output, as mkdir does right before it ends: bash must not become it.
        "PATH=/usr/bin; ${script}; exit"
      ];
    };
  libc =
    raw "libc-standin" "mkdir -p $out/bin $out/lib; ln -s /usr/bin/getent /usr/bin/getconf /usr/bin/ldd /usr/bin/iconv /usr/bin/locale $out/bin"
    // {
      pname = "glibc";
      version = "2.41";
      bin = libc;
      dev = libc;
      getent = libc;
      out = libc;
    };

  standIns =
    final: _:
    let
      # What nixpkgs has of a kernel, with one that is a package.
      kernelSet =
        version: features: package:
        let
          kernel = also package {
            inherit features;
            modDirVersion = version;
            baseVersion = lib.versions.majorMinor version;
            target = "bzImage";
            buildDTBs = false;
            commonMakeFlags = [ ];
            kernelAtLeast = lib.versionAtLeast version;
            kernelOlder = lib.versionOlder version;
            isZen = false;
            isHardened = false;
            isLibre = false;
            isXen = false;
            config = lib.genAttrs [ "isYes" "isNo" "isEnabled" "isDisabled" "isModule" "isSet" ] (_: _: true);
            configfile = final.writeText "config" "CONFIG_ARCH_MMAP_RND_BITS_MAX=32\nCONFIG_ARCH_MMAP_RND_COMPAT_BITS_MAX=16\n";
            inherit (final) stdenv;
          };
          set = {
            inherit kernel;
            inherit (kernel) kernelAtLeast kernelOlder;
            inherit (final) stdenv;
            extend = _: set;
            recurseForDerivations = false;
          };
        in
        set;
      # Packages refer to outputs of each other; here all of them are one tree, and overriding changes nothing.
      whole =
        drv:
        let
          self =
            drv
            // lib.genAttrs [
              "bin"
              "dev"
              "lib"
              "man"
              "doc"
              "info"
              "terminfo"
              "client"
              "getent"
              "out"
              "mount"
              "login"
              "swap"
              "sudo"
              "debug"
              "data"
              "dnsutils"
              "withPython"
              "host"
              "nscd"
              "tools"
              "unwrapped"
              "lastlog"
              "libs"
              "minimal"
              "scripts"
              "udev"
              "vdo"
            ] (_: self)
            // {
              override = _: self;
              overrideAttrs = _: self;
              outputName = "out";
              meta = (drv.meta or { }) // {
                outputsToInstall = [ "out" ];
              };
            };
        in
        self;
      # Attributes that stay when the package is overridden.
      also = drv: more: whole (drv // more);
      script =
        name: args: text:
        whole (
          final.runCommandLocal "${name}-standin" (
            {
              inherit world;
              pname = name;
              version = args.version or "0.standin";
            }
            // args
          ) text
        );
      # All programs of Debian packages, and what D-Bus, PAM and systemd look for beside them.
      debs =
        name: packages: args:
        script name
          (
            {
              meta.mainProgram =
                {
                  gnused = "sed";
                  gnugrep = "grep";
                  gnutar = "tar";
                  iproute2 = "ip";
                  findutils = "find";
                  nftables = "nft";
                  openssh = "ssh";
                  libxslt = "xsltproc";
                  procps = "ps";
                  kbd = "loadkeys";
                  dbus = "dbus-daemon";
                  netcat = "nc";
                  xfsprogs = "mkfs.xfs";
                  iputils = "ping";
                  vde2 = "vde_switch";
                  libxml2 = "xmllint";
                  diffutils = "diff";
                }
                .${name} or name;
            }
            // removeAttrs args [ "extra" ]
          )
          ''
            mkdir -p $out/bin $out/share $out/lib
            for package in ${toString packages}; do
              dpkg -L $package >/dev/null
              for file in $(dpkg -L $package); do
                case $file in
                  /usr/bin/* | /usr/sbin/* | /bin/* | /sbin/*) [ -d $file ] || ln -sf $file $out/bin/ ;;
                  /usr/share/dbus-1/*/* | /usr/share/polkit-1/*/*)
                    [ -d $file ] || { mkdir -p $out/$(dirname ''${file#/usr/}); ln -sf $file $out/''${file#/usr/}; } ;;
                esac
              done
            done
            ln -s bin $out/sbin
            ${args.extra or ""}
          '';
      simple = name: debs name [ name ] { };
      shell = "${final.bash}/bin/bash";
      # A program that does nothing; what needs it isn't tested.
      nothing =
        name: programs:
        script name { meta.mainProgram = builtins.head (programs ++ [ name ]); } ''
          mkdir -p $out/bin $out/lib $out/share
          for program in ${toString programs}; do printf '#!/bin/sh\nexit 0\n' >$out/bin/$program; chmod +x $out/bin/$program; done
          ln -s bin $out/sbin
        '';
    in
    lib.genAttrs [
      "acl"
      "bc"
      "bzip2"
      "coreutils"
      "cpio"
      "curl"
      "diffutils"
      "file"
      "findutils"
      "gawk"
      "git"
      "gzip"
      "iptables"
      "jq"
      "kbd"
      "kmod"
      "less"
      "lsof"
      "nano"
      "nftables"
      "openssl"
      "patch"
      "procps"
      "psmisc"
      "rsync"
      "socat"
      "strace"
      "tcpdump"
      "vde2"
      "xfsprogs"
      "zstd"
      "ethtool"
      "iproute2"
      "dbus-broker"
      "ncurses"
    ] simple
    // {
      coreutils-full = final.coreutils;
      # `env` itself, since activation makes /usr/bin/env a link to it.
      coreutils = debs "coreutils" [ "coreutils" ] {
        extra = "rm $out/bin/env; cp /usr/bin/env $out/bin/";
      };
      gnugrep = debs "gnugrep" [ "grep" ] { };
      gnused = debs "gnused" [ "sed" ] { };
      gnutar = debs "gnutar" [ "tar" ] { };
      gnupatch = final.patch;
      xz = debs "xz" [ "xz-utils" ] { };
      ncurses = debs "ncurses" [ "ncurses-bin" ] {
        extra = "mkdir -p $out/share; ln -s /usr/share/terminfo $out/share/terminfo";
      };
      bash = script "bash" {
        passthru.shellPath = "/bin/bash";
        meta.mainProgram = "bash";
      } "mkdir -p $out/bin; ln -s /usr/bin/bash $out/bin/bash; ln -s /usr/bin/bash $out/bin/sh";
      bashInteractive = final.bash;
      bashNonInteractive = final.bash;
      runtimeShellPackage = final.bash;
      runtimeShell = shell;
      # Debian reaches these by /etc/alternatives, which no container has.
      gawk = debs "gawk" [ "gawk" ] { extra = "ln -sf /usr/bin/gawk $out/bin/awk"; };
      iptables = debs "iptables" [ "iptables" ] {
        extra = "for n in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do ln -sf /usr/sbin/$n-nft $out/bin/$n; done";
      };
      dash = debs "dash" [ "dash" ] { };
      iputils = debs "iputils" [ "iputils-ping" ] { };
      util-linux = debs "util-linux" [ "util-linux" "util-linux-extra" "mount" "login" "bsdutils" ] {
        extra = "mkdir -p $out/lib/tmpfiles.d; touch $out/lib/tmpfiles.d/uuidd.conf";
      };
      util-linuxMinimal = final.util-linux;
      util-linux-systemd = final.util-linux;
      e2fsprogs = debs "e2fsprogs" [ "e2fsprogs" ] { };
      shadow = debs "shadow" [ "passwd" "login" "login.defs" ] {
        passthru.shellPath = "/bin/nologin";
        extra = "ln -sf /usr/sbin/nologin $out/bin/nologin; ln -sf /usr/bin/su $out/bin/su";
      };
      su = final.shadow;
      linux-pam =
        script "linux-pam" { }
          "mkdir -p $out/lib $out/bin; ln -s /usr/lib/x86_64-linux-gnu/security $out/lib/security; ln -s /usr/sbin/unix_chkpwd /usr/sbin/mkhomedir_helper $out/bin/";
      pam = final.linux-pam;
      openssh = debs "openssh" [ "openssh-server" "openssh-client" "openssh-sftp-server" ] {
        extra = "ln -s /usr/lib/openssh $out/libexec";
        version = "9.9";
      };
      perl =
        also
          (script "perl" {
            version = "5.40";
            meta.mainProgram = "perl";
          } "mkdir -p $out/bin; ln -s /usr/bin/perl $out/bin/")
          {
            withPackages = _: final.perl;
            libPrefix = "lib/perl5";
            pkgs = lib.genAttrs [ "ConfigIniFiles" "FileSlurp" "JSON" "makePerlPath" ] (_: final.perl);
          };
      perlPackages = final.perl.pkgs;
      python3 =
        also
          (script "python3" {
            version = "3.13";
            meta.mainProgram = "python3";
          } "mkdir -p $out/bin; ln -s /usr/bin/python3 $out/bin/")
          {
            withPackages = _: final.python3;
            pkgs = final.python3Packages;
            interpreter = "/usr/bin/python3";
            pythonVersion = "3.13";
            sitePackages = "lib/python3/dist-packages";
            # Keeps flake8 out of the writers.
            isPy3k = false;
          };
      python3Minimal = final.python3;
      # Python programs as nixpkgs describes them, less their checks: sources, postPatch, the entry points of pyproject.toml.
      python3Packages =
        let
          self = {
            python = final.python3;
            callPackage = lib.callPackageWith (final // self);
            buildPythonApplication =
              args':
              lib.makeOverridable (
                args:
                script args.pname
                  {
                    inherit (args) src;
                    meta.mainProgram = args.pname;
                  }
                  ''
                    cp -r $src $TMPDIR/src; chmod -R u+w $TMPDIR/src; cd $TMPDIR/src
                    ${args.postPatch or ""}
                    mkdir -p $out/lib $out/bin; cp -r . $out/lib/python
                    python3 - <<'PY'
                    import os, tomllib
                    out = os.environ["out"]
                    for name, entry in tomllib.load(open("pyproject.toml", "rb"))["project"]["scripts"].items():
                        module, function = entry.split(":")
                        with open(f"{out}/bin/{name}", "w") as f:
                            f.write(f"#!/usr/bin/python3 -B\nimport os, sys\nsys.path.insert(0, '{out}/lib/python')\n"
                                    "os.environ['PATH'] = '${
                                      lib.makeBinPath (args.propagatedBuildInputs or [ ])
                                    }:' + os.environ.get('PATH', str())\n"
                                    f"from {module} import {function}\nsys.exit({function}())\n")
                        os.chmod(f"{out}/bin/{name}", 0o755)
                    PY
                  ''
              ) args';
          }
          // lib.genAttrs [
            "colorama"
            "ipython"
            "junit-xml"
            "ptpython"
            "pydantic"
            "remote-pdb"
            "setuptools"
          ] (_: final.python3);
        in
        self;
      # The driver's own sources aren't checked; the test script is, see run-test.nix.
      nixos-test-driver =
        final.python3Packages.callPackage (nixpkgs + "/nixos/lib/test-driver") {
          imagemagick_light = null;
          netpbm = final.coreutils;
          tesseract4 = null;
          nixosTests = { };
          vhost-device-vsock = final.coreutils;
          ruff = null;
          ty = null;
        }
        // {
          override = _: final.nixos-test-driver;
        };
      makeWrapper = final.makeSetupHook {
        name = "make-shell-wrapper-hook";
        substitutions = { inherit shell; };
      } (nixpkgs + "/pkgs/build-support/setup-hooks/make-wrapper.sh");
      makeBinaryWrapper = final.makeWrapper;
      makeShellWrapper = final.makeWrapper;

      # Units and the rest of systemd's vendor files are moved to /usr/example by make-world, where NixOS looks for them and where
      # Debian's systemd doesn't.
      systemd =
        also
          (debs "systemd"
            [ "systemd" "systemd-sysv" "systemd-container" "systemd-coredump" "systemd-timesyncd" "udev" ]
            {
              version = "257";
              meta.mainProgram = "systemctl";
              extra = ''
                rm -rf $out/lib; mkdir -p $out/lib/systemd
                for file in /usr/lib/systemd/* /usr/lib/udev; do
                  case $file in */system | */user) ;; /usr/lib/udev) ln -s $file $out/lib/ ;; *) ln -s $file $out/lib/systemd/ ;; esac
                done
                ln -s /usr/lib/x86_64-linux-gnu/security /usr/lib/x86_64-linux-gnu/libnss_*.so.2 $out/lib/
                cp -a /usr/example $out/example
                find $out/example -type f -exec sed -i "s|/usr/lib/systemd/|$out/lib/systemd/|g" {} +
                # Units that nixpkgs expects of its newer systemd: stubs, so that the lists of units need no change.
                cd ${toString nixpkgs}/nixos/modules
                for unit in $(grep -hoE '"[a-zA-Z0-9@.\-]+\.(service|socket|target|timer|path|slice|mount|automount|target\.wants)"' system/boot/systemd.nix system/boot/systemd/*.nix config/console.nix tasks/*.nix | tr -d '"' | sort -u); do
                  file=$out/example/systemd/system/$unit
                  [ -e "$file" ] || case $unit in
                    *.wants) mkdir "$file" ;;
                    *.service) printf '[Unit]\nDescription=Not in this systemd\nConditionPathExists=/not-in-this-systemd\n[Service]\nExecStart=/bin/true\n' >"$file" ;;
                    *) printf '[Unit]\nDescription=Not in this systemd\nConditionPathExists=/not-in-this-systemd\n' >"$file" ;;
                  esac
                  [ -e "$out/example/systemd/user/$unit" ] || case $unit in
                    *.service | *.target | *.socket | *.timer) printf '[Unit]\nDescription=Not in this systemd\nConditionPathExists=/not-in-this-systemd\n' >"$out/example/systemd/user/$unit" ;;
                  esac
                done
                # Each container in a control group of its own: --keep-unit leaves it to the caller, and two in one group fight.
                rm $out/bin/systemd-nspawn
                cat >$out/bin/systemd-nspawn <<'NSPAWN'
                #!/bin/bash
                group=/sys/fs/cgroup/nixos-$(</proc/sys/kernel/random/uuid)
                /usr/bin/mkdir -p "$group" && echo $$ >"$group/cgroup.procs"
                exec /usr/bin/systemd-nspawn "$@"
                NSPAWN
                chmod +x $out/bin/systemd-nspawn
                # Where make-world --images installed them.
                for program in bootctl systemd-repart; do [ ! -e /usr/bin/$program ] || ln -sf /usr/bin/$program $out/bin/; done
                # What is asked by Varlink as of systemd 260, this one's command line does.
                [ ! -e /usr/bin/bootctl ] || { rm $out/bin/bootctl; cat >$out/bin/bootctl <<'BOOTCTL'; chmod +x $out/bin/bootctl; }
                #!/bin/bash
                [ "''${SYSTEMD_VARLINK_LISTEN:-}" = - ] || exec /usr/bin/bootctl "$@"
                read -rd ''' request
                case $request in *BootControl.Install*update*) ;; *) echo "bootctl: not understood here: $request" >&2; exit 1 ;; esac
                if said=$(/usr/bin/bootctl --no-variables update 2>&1); then
                  printf '{"parameters":{}}\0'
                elif [[ $said == *"boot loader version in place already"* ]]; then
                  printf '{"error":"io.systemd.System","parameters":{"errno":116}}\0'
                fi
                echo "$said" >&2
                BOOTCTL
              '';
            }
          )
          (
            {
              interfaceVersion = 2;
              kbd = final.kbd;
              kmod = final.kmod;
              util-linux = final.util-linux;
            }
            // lib.genAttrs [
              "withHostnamed"
              "withTimedated"
              "withLocaled"
              "withLogind"
              "withMachined"
              "withNetworkd"
              "withTimesyncd"
              "withCoredump"
              "withUtmp"
              "withSysusers"
              "withUserDb"
              "withNspawn"
              "withAnalyze"
              "withKmod"
              "withEfi"
            ] (_: true)
            // lib.genAttrs [
              "withTpm2Units"
              "withTpm2Tss"
              "withSysupdate"
              "withHomed"
              "withImportd"
              "withPortabled"
              "withResolved"
              "withCryptsetup"
              "withBootloader"
              "withRemote"
              "withRepart"
              "withOomd"
              "withFirstboot"
              "withBootctl"
              "withApparmor"
              "withVConsole"
              "withUkify"
              "withFido2"
              "withOpenSSL"
              "withLibBPF"
            ] (_: false)
          );
      systemdMinimal = final.systemd;
      systemdLibs = final.systemd;
      udev = final.systemd;
      dbus =
        debs "dbus" [ "dbus" "dbus-bin" "dbus-daemon" "dbus-system-bus-common" "dbus-session-bus-common" ]
          {
            version = "1.16";
            extra = ''
              mkdir -p $out/libexec $out/share/dbus-1 $out/etc/systemd/system $out/lib/systemd
              ln -sf /usr/lib/dbus-1.0/dbus-daemon-launch-helper $out/libexec/
              ln -sf /usr/share/dbus-1/system.conf /usr/share/dbus-1/session.conf $out/share/dbus-1/
              cp /usr/example/systemd/system/dbus.socket $out/etc/systemd/system/
              mkdir -p $out/etc/systemd/user
              printf '[Socket]\nListenStream=%%t/bus\n' >$out/etc/systemd/user/dbus.socket
              printf '[Service]\nType=notify\nExecStart=/usr/bin/dbus-daemon --session --address=systemd: --nofork --nopidfile --systemd-activation --syslog-only\n' >$out/etc/systemd/user/dbus.service
              cp /usr/example/systemd/system/dbus.service $out/etc/systemd/system/ || true
            '';
          };
      dbus-broker = debs "dbus-broker" [ "dbus-broker" ] {
        extra = ''
          mkdir -p $out/lib/systemd/system $out/lib/systemd/user
          cp /usr/example/systemd/system/dbus-broker.service $out/lib/systemd/system/
          cp /usr/example/systemd/user/dbus-broker.service $out/lib/systemd/user/
        '';
      };
      shellcheck = also (simple "shellcheck") { compiler.bootstrapAvailable = true; };
      shellcheck-minimal = final.shellcheck;
      lndir = script "lndir" { meta.mainProgram = "lndir"; } ''
        mkdir -p $out/bin
        printf '#!/bin/bash\nwhile [ "''${1#-}" != "$1" ]; do shift; done\ncp -rsn "$(realpath "$1")"/. "''${2:-.}"\n' >$out/bin/lndir
        chmod +x $out/bin/lndir
      '';
      libxslt = debs "libxslt" [ "xsltproc" ] { };
      libxml2 = debs "libxml2" [ "libxml2-utils" ] { };
      # A kernel of which only the description is asked: containers have none.
      linuxPackages = kernelSet "6.12.0" { } (
        script "linux" { version = "6.12.0"; } "mkdir -p $out/lib/modules/6.12.0; touch $out/bzImage"
      );
      linuxPackagesFor = _: final.linuxPackages;
      # What cargo built from the same nixpkgs.
      switch-to-configuration-ng =
        script "switch-to-configuration" { meta.mainProgram = "switch-to-configuration"; }
          "mkdir -p $out/bin; cp ${
            builtins.path { path = tools + "/bin/switch-to-configuration"; }
          } $out/bin/switch-to-configuration";
      # From PyPI, if they are there: the driver's check of the test script.
      ty =
        script "ty" { meta.mainProgram = "ty"; }
          "mkdir -p $out/bin; printf '#!/bin/sh\nexec ${tools}/bin/ty \"$@\" --extra-search-path ${toString nixpkgs}/nixos/lib/test-driver/src\n' >$out/bin/ty; chmod +x $out/bin/ty";
      ruff = script "ruff" {
        meta.mainProgram = "ruff";
      } "mkdir -p $out/bin; ln -s ${tools}/bin/ruff $out/bin/";
      nixos-init =
        script "nixos-init" { meta.mainProgram = "nixos-init"; }
          "mkdir -p $out/bin; for n in nixos-init initrd-init find-etc clear-etc-opaque resolve-in-root env-generator; do cp ${
            builtins.path { path = tools + "/bin/nixos-init"; }
          } $out/bin/$n; done";
      nix = debs "nix" [ "nix-bin" ] {
        version = "2.26.3";
        extra = ''
          mkdir -p $out/etc/profile.d $out/lib/systemd/system $out/lib/tmpfiles.d
          touch $out/etc/profile.d/nix.sh $out/etc/profile.d/nix-daemon.sh $out/lib/tmpfiles.d/nix-daemon.conf
          printf '[Socket]\nListenStream=/nix/var/nix/daemon-socket/socket\n[Install]\nWantedBy=sockets.target\n' >$out/lib/systemd/system/nix-daemon.socket
          printf '[Service]\nExecStart=@/usr/bin/nix-daemon nix-daemon --daemon\nKillMode=process\n' >$out/lib/systemd/system/nix-daemon.service
        '';
      };
      kmod-blacklist-ubuntu = script "kmod-blacklist" { } "mkdir $out; touch $out/modprobe.conf";
      kmod-debian-aliases = script "kmod-debian-aliases" { } "touch $out";
      tzdata = script "tzdata" { } "mkdir -p $out/share; ln -s /usr/share/zoneinfo $out/share/zoneinfo";
      cacert =
        also
          (script "cacert" { }
            "mkdir -p $out/etc/ssl/certs $out/etc/ssl/trust-source; cp /etc/ssl/certs/ca-certificates.crt $out/etc/ssl/certs/ca-bundle.crt; touch $out/etc/ssl/trust-source/ca-bundle.trust.p11-kit"
          )
          {
            p11kit = final.cacert;
            unbundled = final.cacert;
          };
      iana-etc = script "iana-etc" { } "mkdir -p $out/etc; cp /etc/protocols /etc/services $out/etc/";
      mailcap = script "mailcap" { } "mkdir -p $out/etc; touch $out/etc/mime.types";
      getconf = script "getconf" { } "mkdir -p $out/bin; ln -s /usr/bin/getconf $out/bin/";
      getent = script "getent" {
        meta.mainProgram = "getent";
      } "mkdir -p $out/bin; ln -s /usr/bin/getent $out/bin/";
      hostname-debian = debs "hostname" [ "hostname" ] { };
      hostname = final.hostname-debian;
      inetutils = final.hostname-debian;
      net-tools = final.hostname-debian;
      nettools = final.hostname-debian;
      netcat = debs "netcat" [ "netcat-openbsd" ] { extra = "ln -sf /usr/bin/nc.openbsd $out/bin/nc"; };
      libressl = final.netcat;
      which = script "which" { } "mkdir -p $out/bin; ln -s /usr/bin/which.debianutils $out/bin/which";
      libcap = script "libcap" { } "mkdir -p $out/bin $out/lib";
      attr = script "attr" { } "mkdir -p $out/bin";
      libiconv = libc;
      libiconvReal = final.writeTextFile {
        name = "iconv-standin";
        destination = "/bin/iconv";
        executable = true;
        text = "#!/bin/bash\nexec /usr/bin/perl -CI -pe 's/([^\\x00-\\x7f])/sprintf(\"\\\\u%04x\", ord $1)/ge'\n";
      };
      glibcLocales =
        script "glibc-locales" { }
          "mkdir -p $out/lib/locale; touch $out/lib/locale/locale-archive; ln -s /usr/lib/locale/C.utf8 $out/lib/locale/";
      glibc = libc;
      fetchurl = lib.makeOverridable (
        a:
        final.runCommandLocal (a.name
          or (baseNameOf (a.url or (builtins.head ((a.urls or [ ]) ++ [ "src" ]))))
        ) { } "echo no network >&2; exit 1"
        // {
          url = a.url or "";
          urls = a.urls or [ ];
          outputHash = a.hash or a.sha256 or "";
          outputHashAlgo = "sha256";
          outputHashMode = "flat";
        }
      );
    }
    // {
      # For further overlays.
      standIn = {
        inherit
          also
          debs
          kernelSet
          script
          ;
      };
    }
    // lib.mapAttrs nothing {
      xonsh = [ "xonsh" ];
      makeInitrdNGTool = [ "make-initrd-ng" ];
      fish = [ "fish" ];
      zsh = [ "zsh" ];
      xauth = [ "xauth" ];
      iw = [ "iw" ];
      meson = [ "meson" ];
      cmake = [ "cmake" ];
      kexec-tools = [ "kexec" ];
      bcache-tools = [ "bcache" ];
      bash-completion = [ ];
      nix-bash-completions = [ ];
      bind = [ "host" ];
      mkpasswd = [ "mkpasswd" ];
      fontconfig = [ "fc-cache" ];
      fuse = [ "fusermount" ];
      fuse3 = [ "fusermount3" ];
      lvm2 = [ "dmsetup" ];
      dosfstools = [ "fsck.vfat" ];
      btrfs-progs = [ "btrfs" ];
      mdadm = [ "mdadm" ];
      man-db = [ "man" ];
      texinfo = [ "install-info" ];
      texinfoInteractive = [ "install-info" ];
      time = [ "time" ];
      xwininfo = [ "xwininfo" ];
      polkit = [ "pkexec" ];
      sudo = [ "sudo" ];
      nsncd = [ "nsncd" ];
      lkl = [ "lkl" ];
      libidn2 = [ ];
      openresolv = [ "resolvconf" ];
      logrotate = [ "logrotate" ];
      mtools = [ "mcopy" ];
      dhcpcd = [ "dhcpcd" ];
    };
in
import nixpkgs {
  localSystem = { inherit system; };
  overlays = [ standIns ] ++ overlays;
  config.allowUnsupportedSystem = true;
  stdenvStages =
    {
      localSystem,
      config,
      overlays,
      ...
    }:
    [
      (_: {
        inherit config overlays;
        stdenv =
          (
            let
              g = import (nixpkgs + "/pkgs/stdenv/generic");
            in
            if builtins.functionArgs g ? defaultConfig then g { defaultConfig = config; } else g
          )
            {
              name = "stdenv-standin";
              inherit config;
              buildPlatform = localSystem;
              hostPlatform = localSystem;
              targetPlatform = localSystem;
              preHook = "export NIX_ENFORCE_PURITY= NIX_ENFORCE_NO_NATIVE=1";
              initialPath = [ "/usr" ];
              shell = "/bin/bash";
              cc = raw "cc-standin" "mkdir -p $out" // {
                isGNU = true;
                isClang = false;
                version = "14";
                targetPrefix = "";
                cc = null;
                inherit libc;
                bintools = {
                  dynamicLinker = "/lib64/ld-linux-x86-64.so.2";
                  isGNU = true;
                  targetPrefix = "";
                };
              };
              fetchurlBoot =
                let
                  f = import (nixpkgs + "/pkgs/build-support/fetchurl/boot.nix");
                in
                f (
                  builtins.intersectAttrs (builtins.functionArgs f) {
                    inherit system;
                    rewriteURL = x: x;
                    hashedMirrors = [ ];
                  }
                );
              overrides = _: _: { };
            };
      })
    ];
}
