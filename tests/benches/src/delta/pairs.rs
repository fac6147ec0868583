//! Pairs of images from public packages, two versions of each, kept in the target folder. Each is
//! made by a few lines of shell, with the registries' ordinary clients. Debian's packages come
//! through an apt of our own that knows nothing of this machine: other architectures and other
//! suites than it has can be asked for, and nothing is installed.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};

/// Two versions of an image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    pub(super) name: &'static str,
    /// At most this share of HDiffPatch's size is to be reached.
    pub(super) size_goal: f64,
    /// Whether it is measured with `--quick`.
    pub(super) is_small: bool,
    /// Whether the crate bsdiff comes to an end in memory that people have.
    pub(super) is_for_the_crate: bool,
    /// Makes the files `1` and `2` in the current folder.
    script: &'static str,
}

/// All pairs. Debian's packages are those that its archive has at the moment.
pub(super) const PAIRS: &[Pair] = &[
    Pair {
        name: "mcu-stm32",
        size_goal: 0.60,
        is_small: true,
        is_for_the_crate: true,
        script: "
for i in 1 2; do
  npm pack --silent @pybricks/firmware@7.2$((6 + i)).0
  mkdir -p x$i; tar xzf pybricks-firmware-7.2$((6 + i)).0.tgz -C x$i
  python3 -c 'import sys, zipfile
open(sys.argv[2], \"wb\").write(zipfile.ZipFile(sys.argv[1]).read(\"firmware-base.bin\"))' \
    x$i/package/build/primehub.zip $i
done",
    },
    Pair {
        name: "esbuild-arm64",
        size_goal: 0.80,
        is_small: false,
        is_for_the_crate: true,
        script: "
for i in 1 2; do
  npm pack --silent @esbuild/linux-arm64@0.28.$i
  mkdir -p x$i; tar xzf esbuild-linux-arm64-0.28.$i.tgz -C x$i; mv x$i/package/bin/esbuild $i
done",
    },
    Pair {
        name: "esbuild-amd64",
        size_goal: 0.80,
        is_small: false,
        is_for_the_crate: true,
        script: "
for i in 1 2; do
  npm pack --silent @esbuild/linux-x64@0.28.$i
  mkdir -p x$i; tar xzf esbuild-linux-x64-0.28.$i.tgz -C x$i; mv x$i/package/bin/esbuild $i
done",
    },
    Pair {
        name: "cryptography-arm64",
        size_goal: 0.80,
        is_small: false,
        is_for_the_crate: true,
        script: "
for i in 1 2; do
  pip download -q --no-deps --only-binary=:all: --platform manylinux2014_aarch64 \
    --dest x$i cryptography==50.0.$i
  python3 -c 'import sys, zipfile
open(sys.argv[2], \"wb\").write(zipfile.ZipFile(sys.argv[1]).read(
    \"cryptography/hazmat/bindings/_rust.abi3.so\"))' x$i/*.whl $i
done",
    },
    Pair {
        name: "kernel-arm64",
        size_goal: 0.80,
        is_small: false,
        is_for_the_crate: true,
        script: "
apt_of arm64 bookworm bookworm-updates bookworm-security
set -- $(apt_cache search --names-only '^linux-image-6.1.0-[0-9]+-arm64$' |
  cut -d' ' -f1 | sort -V | tail -2)
for package; do
  i=$((${i:-0} + 1)); mkdir -p x$i; (cd x$i; apt_get download $package)
  dpkg-deb --fsys-tarfile x$i/*.deb | tar -xf - -C x$i ./boot; mv x$i/boot/vmlinuz-* $i
done",
    },
    Pair {
        name: "kernel-modules-amd64",
        size_goal: 1.0,
        is_small: false,
        is_for_the_crate: false,
        script: "
apt_of amd64 bookworm bookworm-updates bookworm-security
set -- $(apt_cache search --names-only '^linux-image-6.1.0-[0-9]+-cloud-amd64-unsigned$' |
  cut -d' ' -f1 | sort -V | tail -2)
for package; do
  i=$((${i:-0} + 1)); mkdir -p x$i; (cd x$i; apt_get download $package)
  dpkg-deb -x x$i/*.deb x$i/root
  tar --sort=name --mtime=@0 --owner=0 --group=0 -cf $i -C x$i/root/lib modules
done",
    },
    Pair {
        name: "vmlinuz-amd64",
        size_goal: 0.50,
        is_small: false,
        is_for_the_crate: true,
        script: "
apt_of amd64 bookworm bookworm-updates bookworm-security
set -- $(apt_cache search --names-only '^linux-image-6.1.0-[0-9]+-cloud-amd64-unsigned$' |
  cut -d' ' -f1 | sort -V | tail -2)
for package; do
  i=$((${i:-0} + 1)); mkdir -p x$i; (cd x$i; apt_get download $package)
  dpkg-deb -x x$i/*.deb x$i/root; mv x$i/root/boot/vmlinuz-* $i
done",
    },
    Pair {
        name: "root-squashfs",
        size_goal: 0.15,
        is_small: false,
        is_for_the_crate: false,
        script: "
root_folders
for i in 1 2; do
  mksquashfs x$i $i -comp zstd -Xcompression-level 19 -noappend -all-time 0 -mkfs-time 0 \
    -no-progress -quiet >/dev/null
done",
    },
    Pair {
        name: "root-ext4",
        size_goal: 0.90,
        is_small: false,
        is_for_the_crate: false,
        script: "
root_folders
for i in 1 2; do
  rm -f $i; truncate -s 320M $i
  E2FSPROGS_FAKE_TIME=1 /sbin/mkfs.ext4 -q -O ^has_journal -d x$i \
    -U 6c617a61-7265-7400-0000-000000000000 \
    -E hash_seed=6c617a61-7265-7400-0000-000000000001,lazy_itable_init=0 $i
done",
    },
];

/// What the scripts share. `apt_of ARCHITECTURE SUITE...` makes an apt of our own; `root_folders`
/// unpacks the packages of a small system into `x1`, as Debian's point release has them, and into
/// `x2`, with all updates.
const FUNCTIONS: &str = "
apt_of() {
  apt=$PWD/x-apt; rm -rf $apt; mkdir -p $apt/lists/partial $apt/cache/archives/partial $apt/parts
  : > $apt/status; : > $apt/sources
  cat > $apt/conf <<END
Dir::State::lists \"$apt/lists\"; Dir::State::status \"$apt/status\"; Dir::Cache \"$apt/cache\";
Dir::Etc::sourcelist \"$apt/sources\"; Dir::Etc::sourceparts \"$apt/parts\";
APT::Architecture \"$1\"; APT::Architectures { \"$1\"; }; APT::Sandbox::User \"root\";
END
  shift
  key=/usr/share/keyrings/debian-archive-keyring.gpg
  for suite; do
    archive=debian; case $suite in *-security) archive=debian-security;; esac
    echo \"deb [signed-by=$key] http://deb.debian.org/$archive $suite main\" >> $apt/sources
  done
  apt_get update
}
apt_get() { apt-get -qq -c $apt/conf \"$@\"; }
apt_cache() { apt-cache -c $apt/conf \"$@\"; }
root_folders() {
  for i in 1 2; do
    suites=bookworm; test $i = 1 || suites='bookworm bookworm-updates bookworm-security'
    apt_of amd64 $suites
    apt_get -y -d --no-install-recommends install base-files bash coreutils libc-bin dash systemd \
      systemd-sysv udev openssh-server curl python3-minimal apt util-linux mount login procps \
      iproute2 e2fsprogs tzdata kmod ca-certificates dbus wpasupplicant
    rm -rf x$i; mkdir x$i
    for package in $apt/cache/archives/*.deb; do dpkg-deb -x $package x$i; done
    find x$i -exec touch -h -d @0 {} +
  done
}
";

impl Pair {
    /// A pair that is at hand, for which only this is promised: never more than the best peer.
    pub(super) fn given(is_for_the_crate: bool) -> Pair {
        Pair { name: "given", size_goal: 1.0, is_small: false, is_for_the_crate, script: "" }
    }

    /// The old and the new image, fetched at the first call.
    pub(super) fn fetch(&self) -> anyhow::Result<(PathBuf, PathBuf)> {
        let this = std::env::current_exe()?;
        let folder = this.parent().context("this program is in no folder")?;
        let folder = folder.join("delta-pairs").join(self.name);
        let (old, new) = (folder.join("1"), folder.join("2"));
        if !folder.join("complete").exists() {
            std::fs::create_dir_all(&folder)?;
            let script =
                format!("set -eu{FUNCTIONS}{}\nrm -rf x1 x2 x-apt; touch complete", self.script);
            let made = Command::new("bash").args(["-c", &script]).current_dir(&folder).output()?;
            let said = String::from_utf8_lossy(&made.stderr);
            ensure!(made.status.success(), "{} cannot be fetched: {}", self.name, said.trim());
        }
        Ok((old, new))
    }
}
