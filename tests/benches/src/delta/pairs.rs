//! Pairs of images from public packages, two versions of each, kept in the target folder. Each is
//! made by a few lines of shell, with the registries' ordinary clients.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};

/// Two versions of an image.
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

/// All pairs. Linux packages are those that Debian's archive has at the moment.
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
        name: "kernel-modules-amd64",
        size_goal: 1.0,
        is_small: false,
        is_for_the_crate: false,
        script: "
set -- $(apt-cache search --names-only '^linux-image-6.1.0-[0-9]+-cloud-amd64-unsigned$' |
  cut -d' ' -f1 | sort -V | tail -2)
for package; do
  i=$((${i:-0} + 1)); mkdir -p x$i; (cd x$i; apt-get -qq download $package)
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
set -- $(apt-cache search --names-only '^linux-image-6.1.0-[0-9]+-cloud-amd64-unsigned$' |
  cut -d' ' -f1 | sort -V | tail -2)
for package; do
  i=$((${i:-0} + 1)); mkdir -p x$i; (cd x$i; apt-get -qq download $package)
  dpkg-deb -x x$i/*.deb x$i/root; mv x$i/root/boot/vmlinuz-* $i
done",
    },
];

impl Pair {
    /// The old and the new image, fetched at the first call.
    pub(super) fn fetch(&self) -> anyhow::Result<(PathBuf, PathBuf)> {
        let this = std::env::current_exe()?;
        let folder = this.parent().context("this program is in no folder")?;
        let folder = folder.join("delta-pairs").join(self.name);
        let (old, new) = (folder.join("1"), folder.join("2"));
        if !folder.join("complete").exists() {
            std::fs::create_dir_all(&folder)?;
            let script = format!("set -eu{}\nrm -rf x1 x2; touch complete", self.script);
            let made = Command::new("bash").args(["-c", &script]).current_dir(&folder).output()?;
            let said = String::from_utf8_lossy(&made.stderr);
            ensure!(made.status.success(), "{} cannot be fetched: {}", self.name, said.trim());
        }
        Ok((old, new))
    }
}
