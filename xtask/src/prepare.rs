//! What the tests need of the system, and how it gets there: apt, when this is root on a Debian,
//! and otherwise a plain word about what to install.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::run;
use crate::tree::Tree;

/// One thing of the system that the tests use.
#[derive(Debug)]
struct Need {
    found_by: FoundBy,
    package: &'static str,
    why: &'static str,
}

/// How one sees that a need is met.
#[derive(Debug)]
enum FoundBy {
    /// A command of that name is on the path, or where Debian keeps the administrator's.
    Command(&'static str),
    /// There is such a file.
    File(&'static str),
    /// Python has that module.
    PythonModule(&'static str),
}

const NEEDS: &[Need] = &[
    Need {
        found_by: FoundBy::PythonModule("ensurepip"),
        package: "python3-venv",
        why: "python-tuf, a second client and a maker of TUF repositories, from PyPI",
    },
    Need {
        found_by: FoundBy::Command("cc"),
        package: "build-essential",
        why: "the compiler's linker, and the C code of ring and zstd",
    },
    Need {
        found_by: FoundBy::Command("openssl"),
        package: "openssl",
        why: "a second reader of certificates and signatures",
    },
    Need {
        found_by: FoundBy::Command("ssh-keygen"),
        package: "openssh-client",
        why: "signs approvals of plans, in tests and for operators",
    },
    Need {
        found_by: FoundBy::Command("age"),
        package: "age",
        why: "opens what devices encrypt to responders",
    },
    Need {
        found_by: FoundBy::Command("zstd"),
        package: "zstd",
        why: "unpacks bundles of evidence",
    },
    Need {
        found_by: FoundBy::Command("mactime"),
        package: "sleuthkit",
        why: "reads the body file of a bundle of evidence",
    },
    Need {
        found_by: FoundBy::Command("curl"),
        package: "curl",
        why: "a client of the listeners that is not ours",
    },
    Need {
        found_by: FoundBy::Command("chromium"),
        package: "chromium",
        why: "opens the report of an incident as people do",
    },
    Need {
        found_by: FoundBy::Command("slowhttptest"),
        package: "slowhttptest",
        why: "hundreds of slow clients at the front door",
    },
    Need {
        found_by: FoundBy::File("/etc/ssl/certs/ca-certificates.crt"),
        package: "ca-certificates",
        why: "stock tools refuse to start without a list of public authorities",
    },
    Need {
        found_by: FoundBy::Command("faketime"),
        package: "faketime",
        why: "devices whose clocks stand at 1970 or 2106",
    },
    Need {
        found_by: FoundBy::Command("nft"),
        package: "nftables",
        why: "quarantine is one nftables load",
    },
    Need {
        found_by: FoundBy::Command("fw_setenv"),
        package: "libubootenv-tool",
        why: "a second reader and writer of U-Boot's environment",
    },
    Need {
        found_by: FoundBy::Command("grub-editenv"),
        package: "grub-common",
        why: "a second reader and writer of GRUB's environment block",
    },
    Need {
        found_by: FoundBy::File("/usr/lib/grub/i386-pc/boot.img"),
        package: "grub-pc-bin",
        why: "a machine that boots in an emulator",
    },
    Need {
        found_by: FoundBy::Command("busybox"),
        package: "busybox-static",
        why: "the small system of that machine",
    },
    Need {
        found_by: FoundBy::Command("systemd-analyze"),
        package: "systemd",
        why: "what the agent's unit may do",
    },
    Need {
        found_by: FoundBy::Command("mksquashfs"),
        package: "squashfs-tools",
        why: "images with compressed parts, as deltas meet them",
    },
    Need {
        found_by: FoundBy::Command("lz4"),
        package: "lz4",
        why: "kernels are packed with it, and packed again by our own code",
    },
    Need {
        found_by: FoundBy::Command("zstd"),
        package: "zstd",
        why: "frames of zstd that are not ours",
    },
    Need {
        found_by: FoundBy::Command("xz"),
        package: "xz-utils",
        why: "what deltas have to leave alone",
    },
    Need {
        found_by: FoundBy::Command("ip"),
        package: "iproute2",
        why: "tests of the network run in namespaces of their own",
    },
    Need {
        found_by: FoundBy::Command("pkg-config"),
        package: "pkg-config",
        why: "finds the system's TPM library for the device's key helper",
    },
    Need {
        found_by: FoundBy::File("/usr/include/tss2/tss2_esys.h"),
        package: "libtss2-dev",
        why: "the device's key helper speaks to TPMs through it",
    },
    Need {
        found_by: FoundBy::Command("valgrind"),
        package: "valgrind",
        why: "counts the instructions that one poll's decision takes",
    },
    Need {
        found_by: FoundBy::Command("swtpm"),
        package: "swtpm",
        why: "a TPM 2.0 for tests of device keys",
    },
    Need {
        found_by: FoundBy::Command("swtpm_setup"),
        package: "swtpm-tools",
        why: "makes a TPM with the certificate of a maker, as a factory does",
    },
    Need {
        found_by: FoundBy::Command("softhsm2-util"),
        package: "softhsm2",
        why: "a PKCS#11 token for tests of keys",
    },
    Need {
        found_by: FoundBy::Command("pkcs11-tool"),
        package: "opensc",
        why: "a second reader of PKCS#11 tokens",
    },
    Need {
        found_by: FoundBy::Command("tpm2_activatecredential"),
        package: "tpm2-tools",
        why: "a second reader of what is made for TPMs",
    },
    Need {
        found_by: FoundBy::Command("pki"),
        package: "strongswan-pki",
        why: "a client of EST that is not ours",
    },
    Need {
        found_by: FoundBy::File("/usr/lib/ipsec/plugins/libstrongswan-openssl.so"),
        package: "libstrongswan-standard-plugins",
        why: "the keys of that client",
    },
    Need {
        found_by: FoundBy::File("/usr/lib/ipsec/plugins/libstrongswan-curl.so"),
        package: "libstrongswan-extra-plugins",
        why: "the connections of that client",
    },
];

/// Where Debian keeps the administrator's commands; not on everybody's path.
const ADMINISTRATOR_FOLDERS: [&str; 2] = ["/usr/sbin", "/sbin"];

/// Installs what is missing, and says what and why.
///
/// # Errors
/// Something is missing and cannot be installed from here; the text says what to install.
pub(crate) fn run(tree: &Tree) -> anyhow::Result<()> {
    let missing: Vec<&Need> = NEEDS.iter().filter(|need| !is_met(need)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for need in &missing {
        println!("missing: {} ({})", need.package, need.why);
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    anyhow::ensure!(
        is_root(tree) && has_command("apt-get"),
        "expected {} to be installed; only root on a Debian is helped: install them and run again",
        packages.join(", ")
    );
    let quiet = [("DEBIAN_FRONTEND", "noninteractive")];
    run::shown_with(tree, "apt-get", &["update", "-q"], &quiet)?;
    let install = ["install", "-y", "-q", "--no-install-recommends"];
    run::shown_with(tree, "apt-get", &[&install[..], &packages].concat(), &quiet)
}

fn is_met(need: &Need) -> bool {
    match need.found_by {
        FoundBy::Command(name) => {
            has_command(name)
                || ADMINISTRATOR_FOLDERS.iter().any(|folder| Path::new(folder).join(name).exists())
        }
        FoundBy::File(path) => Path::new(path).exists(),
        FoundBy::PythonModule(name) => Command::new("python3")
            .args(["-c", "import importlib, sys; importlib.import_module(sys.argv[1])", name])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success()),
    }
}

/// Whether the shell finds a command of that name. Names come from [`NEEDS`] alone.
pub(crate) fn has_command(name: &str) -> bool {
    Command::new("sh")
        .args(["-c", "command -v \"$0\"", name])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn is_root(tree: &Tree) -> bool {
    run::read(tree, "id", &["-u"]).is_ok_and(|id| id.trim() == "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_is_found_exactly_where_there_is_one() {
        assert!(has_command("sh"));
        assert!(!has_command("lazaret-has-no-such-command"));
        assert!(is_met(&need(FoundBy::File("/dev/null"))));
        assert!(!is_met(&need(FoundBy::File("/dev/null/none"))));
    }

    fn need(found_by: FoundBy) -> Need {
        Need { found_by, package: "none", why: "a test" }
    }
}
