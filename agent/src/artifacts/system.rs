//! The machine: mounts, kernel, distribution, modules, uptime.

use super::{Failure, Scene, cut, together};

pub(super) fn mounts(_: &Scene<'_>) -> Result<Vec<u8>, Failure> {
    together(&["/proc/self/mountinfo", "/proc/partitions", "/proc/swaps"])
}

pub(super) fn system(_: &Scene<'_>) -> Result<Vec<u8>, Failure> {
    let uname = rustix::system::uname();
    let said = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    let mut out = format!(
        "== uname\n{} {} {} {} {}\n",
        said(uname.sysname()),
        said(uname.nodename()),
        said(uname.release()),
        said(uname.version()),
        said(uname.machine()),
    )
    .into_bytes();
    out.extend(together(&[
        "/etc/os-release",
        "/proc/cmdline",
        "/proc/uptime",
        "/proc/loadavg",
        "/proc/meminfo",
        "/proc/modules",
    ])?);
    Ok(cut(out))
}
