//! Every setting there is, in words: what `check-config --explain` prints and what docs/CONFIG.md
//! has a row for. Reading them is `config`.

/// One setting, for `check-config --explain` and the documentation.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its name in the file.
    pub name: &'static str,
    /// What it is without one: `required`, or the value.
    pub default: &'static str,
    /// What it says, with its unit and limits.
    pub doc: &'static str,
}

const fn setting(name: &'static str, default: &'static str, doc: &'static str) -> Setting {
    Setting { name, default, doc }
}

/// Every setting there is. Relative paths are below the folder of the configuration file.
pub const SETTINGS: &[Setting] = &[
    setting("server", "required", "address of the server's device listener, https://HOST:PORT"),
    setting(
        "server_ca",
        "required",
        "file with the CA certificates (PEM) that the server's chains to",
    ),
    setting(
        "mirrors",
        "none",
        "addresses below which metadata/ and targets/ of the repository lie, asked in this order \
         before the server itself; http or https, at most 8: TUF judges what they say",
    ),
    setting(
        "mirror_ca",
        "server_ca",
        "file with the CA certificates (PEM) that those of https mirrors chain to",
    ),
    setting(
        "download_bytes_per_second_min",
        "128",
        "rate below which a transfer is given up and the next mirror asked, 0 to 1048576 bytes a \
         second over timeout_read_ms of waiting; 0 for no limit",
    ),
    setting(
        "stale_alarm_seconds",
        "3600",
        "how long every source may be behind what was seen before until it is an alarm, 1 to \
         604800 s",
    ),
    setting("tuf_root", "required", "file with the TUF root metadata from the factory"),
    setting("state_dir", "required", "folder for journal, identity, metadata, log and bundles"),
    setting(
        "slots_dir",
        "required",
        "folder of the images a/image and b/image; with the bootloader directory also of the link \
         current",
    ),
    setting(
        "slot_a",
        "slots_dir/a/image",
        "file or block device that the first slot's image goes to; not for the directory \
         bootloader",
    ),
    setting("slot_b", "slots_dir/b/image", "the second slot's, likewise"),
    setting("model", "required", "hardware model; only images signed for it are installed"),
    setting("serial", "required", "serial number, as the claim is bound to it"),
    setting(
        "claim_file",
        "none",
        "file with the one-time claim; used once, to enrol. Without one, a device with \
         key.store = \"tpm2\" enrols by what its TPM states",
    ),
    setting(
        "bootloader",
        "directory",
        "what switches between the slots: directory, grub, systemd-boot or uboot",
    ),
    setting(
        "boot_record",
        "by bootloader",
        "where the bootloader keeps what it counts: grub: its environment block \
         (/boot/grub/grubenv); systemd-boot: the EFI system partition (/efi); uboot: the file that \
         says where its environment lies (/etc/fw_env.config)",
    ),
    setting(
        "slot_content",
        "image",
        "what an image is: image, used as it is, or tree, a tar archive that is unpacked to \
         slots_dir/a/tree or slots_dir/b/tree",
    ),
    setting(
        "boot_command_line",
        "/proc/cmdline",
        "file in which lazaret.slot=a or lazaret.slot=b says which slot runs",
    ),
    setting(
        "restart",
        "exec",
        "how to start again into a new image: exec, exit (code 75) or command",
    ),
    setting("restart_command", "none", "program and arguments for restart = \"command\""),
    setting(
        "hook_before",
        "none",
        "program and arguments that run before an image goes into its slot; it may run again after \
         a power cut",
    ),
    setting(
        "hook_after",
        "none",
        "program and arguments that run once the image is in its slot and was read back, before \
         the bootloader is told of it; likewise",
    ),
    setting("hook_seconds", "300", "how long each of them may take, 1 to 3600 s"),
    setting(
        "install_memory_bytes_min",
        "0",
        "free memory without which an update waits, 0 to 1099511627776 bytes; 0 for none",
    ),
    setting(
        "install_battery_percent_min",
        "0",
        "charge without which an update waits for a supply, 0 to 100; 0 for none",
    ),
    setting(
        "install_temperature_celsius_max",
        "0",
        "temperature of the hottest sensor above which an update waits, 0 to 200; 0 for any",
    ),
    setting(
        "watchdog",
        "systemd",
        "who starts the machine again where the agent stands still: none, systemd (where it has \
         asked for it) or the path of a watchdog device such as /dev/watchdog",
    ),
    setting(
        "watchdog_stall_seconds",
        "900",
        "how long the agent's loop may take for one round until it stands still, 60 to 86400 s; \
         longer than hook_seconds and timeout_read_ms",
    ),
    setting(
        "status_socket",
        "none",
        "unix socket at which the running agent answers lazaret-agent status, in a folder there is",
    ),
    setting(
        "status_users",
        "none",
        "numbers of further users that may ask there, as texts, at most 32",
    ),
    setting(
        "trial_log",
        "none",
        "file, or folder such as /sys/fs/pstore, whose last lines are reported with a trial that \
         was not survived",
    ),
    setting("tries", "3", "starts that a new image gets before the bootloader goes back, 1 to 16"),
    setting("trial_seconds", "300", "time in which a new image must pass its probes, 1 to 86400 s"),
    setting(
        "allow_software_keys",
        "false",
        "must be true with key.store = \"file\", because whoever reads the disk can copy that key",
    ),
    setting(
        "key.store",
        "file",
        "where the device key lives: file (in state_dir), tpm2 or pkcs11, both of them behind the \
         key helper",
    ),
    setting(
        "key.helper",
        "beside the agent",
        "the key helper's program, lazaret-agent-keys; with tpm2 and pkcs11",
    ),
    setting(
        "key.timeout_ms",
        "30000",
        "longest that the key helper may take to answer, 100 to 120000 ms; then it is ended",
    ),
    setting(
        "key.tcti",
        "device:/dev/tpmrm0",
        "how the TPM is reached, such as swtpm:host=127.0.0.1,port=2321; with tpm2",
    ),
    setting(
        "key.folder",
        "identity in state_dir",
        "folder of the keys that the TPM has wrapped, of use to no other TPM; with tpm2",
    ),
    setting("key.module", "required", "the token's PKCS#11 module, a shared library; with pkcs11"),
    setting("key.token", "required", "the token's label; with pkcs11"),
    setting("key.label", "lazaret-device", "the key's label in the token; with pkcs11"),
    setting(
        "key.pin_file",
        "required",
        "file whose first line is the token's user PIN, for its owner only; with pkcs11",
    ),
    setting("hold_ms", "50000", "how long the server may hold a poll back, 0 to 55000 ms"),
    setting("backoff_base_ms", "1000", "span of the first retry, 200 ms to 7 days"),
    setting("backoff_ceiling_ms", "300000", "span that retries never exceed, 200 ms to 7 days"),
    setting("timeout_connect_ms", "10000", "time to connect, 100 to 120000 ms"),
    setting(
        "timeout_read_ms",
        "30000",
        "time without a byte after which a transfer is given up, 100 to 600000 ms",
    ),
    setting(
        "stage_sync_bytes",
        "4194304",
        "bytes between two durable steps of staging, 65536 to 1073741824",
    ),
    setting(
        "delta_ram_bytes_max",
        "33554432",
        "memory that a delta may take, in bytes; beyond it the full image is taken",
    ),
    setting(
        "forensic_log_bytes_max",
        "8388608",
        "size of the forensic log on the disk, a quarter of it for the security ring; the oldest \
         records of a ring go when it is full, 1048576 to 67108864 bytes",
    ),
    setting(
        "bundle_bytes_max",
        "67108864",
        "size of one evidence bundle, 1048576 to 268435456 bytes",
    ),
    setting(
        "release_files",
        "none",
        "file, as sha256sum writes it, of what the running release has, against which evidence \
         holds its files; with slot_content = \"tree\" the signed image is the list and this is \
         not asked for",
    ),
    setting("release_root", "/", "folder below which the paths of release_files are"),
    setting(
        "watched_paths",
        "/etc, /usr/local/bin, /usr/local/sbin, /opt",
        "folders in which evidence looks for files that release_files lacks, or, without it, \
         hashes every file; at most 64",
    ),
    setting(
        "profiles",
        "none",
        "[[profiles]] of evidence beside triage and full, at most 16: name, artifacts (all), \
         bytes_max (16777216), artifact_bytes_max (2097152), seconds_max (60), cpu_seconds_max \
         (30), journal_seconds (3600), redact (further words behind which a secret stands)",
    ),
    setting(
        "tamper",
        "clock, console and usb",
        "[[tamper]] inputs that are watched and recorded, at most 16, [] for none: kind \
         (case-switch, clock, console, gpio or usb), name, path (the kind's usual place), closed \
         (0; what gpio reads while the case is closed), code (16, the cover switch; what \
         case-switch listens to)",
    ),
    setting(
        "log",
        "info",
        "what goes to stderr: error, warn, info, debug, trace, or a tracing filter",
    ),
    setting("log_format", "human", "form of it: human or json"),
    setting("hardware", "none", "hardware revision, which tells cohorts of one model apart"),
    setting(
        "time_zone",
        "system",
        "where the device stands, for maintenance windows: system, unknown, a place such as \
         Europe/Berlin or a rule such as CET-1CEST,M3.5.0,M10.5.0/3",
    ),
    setting(
        "power_supply_dir",
        "/sys/class/power_supply",
        "folder in which the system lists batteries and chargers",
    ),
    setting(
        "posture_seconds",
        "300",
        "time between two rounds of attributes and probes outside a trial, 1 to 86400 s",
    ),
    setting(
        "attributes",
        "none",
        "[[attributes]] that the device says of itself, at most 32: name, and value, or command \
         with timeout_ms (10000), whose first line counts; a command named battery_percent or \
         utc_offset_min speaks in place of the system; those named imei, iccid and imsi say the \
         numbers of its modem and SIM, which the server keeps keyed and shows to nobody",
    ),
    setting(
        "measures_command",
        "none",
        "program and arguments that carry out containment in the agent's place, where the agent \
         itself may not touch the network, such as [\"systemctl\", \"restart\", \
         \"lazaret-agent-measures.service\"], which runs lazaret-agent measures --apply-stored",
    ),
    setting("probes", "none", "[[probes]] that judge a new image, at most 16"),
];
