//! A machine with each of the bootloaders, on which the stock tools do at power on what the boot
//! loader does.

#![allow(clippy::disallowed_methods, reason = "all of this is a test")]

use std::collections::BTreeMap;

use lazaret_agent_core::bootloader::boot_entry::{Counter, EntryName, version_of};

use super::*;

/// Variables of others, which must stay.
const OTHERS: [(&str, &str); 2] = [("saved_entry", "1"), ("board", "gw 2")];

/// A machine with one of the bootloaders.
pub(crate) struct Machine {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) settings: SlotSettings,
    open: Open,
}

impl Machine {
    /// A machine on which nothing is installed.
    pub(crate) fn new(name: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (_, open) = BOOTLOADERS.iter().find(|(known, _)| *known == name).unwrap();
        let at = |file: &str| folder.path().join(file);
        let settings = SlotSettings {
            bootloader: name.into(),
            folder: at("slots"),
            a: None,
            b: None,
            record: match name {
                "grub" => at("grubenv"),
                "systemd-boot" => at("efi"),
                _ => at("fw_env.config"),
            },
            command_line: at("cmdline"),
            content: SlotContent::Image,
        };
        let machine = Self { folder, settings, open: *open };
        fs::write(&machine.settings.command_line, "quiet\n").unwrap();
        match name {
            "grub" => {
                output(Command::new("grub-editenv").arg(&machine.settings.record).arg("create"));
                machine.set_grub(&OTHERS);
            }
            "uboot" => {
                let image = machine.folder.path().join("env.img");
                let line = |offset: &str| format!("{} {offset} 0x4000\n", image.display());
                fs::write(&machine.settings.record, line("0x0") + &line("0x4000")).unwrap();
                fs::write(&image, vec![0xff; 0x8000]).unwrap();
                machine.set_uboot(&OTHERS);
            }
            "systemd-boot" => {
                let entries = machine.settings.record.join("loader/entries");
                fs::create_dir_all(&entries).unwrap();
                for slot in ["a", "b"] {
                    let text =
                        format!("title {slot}\nlinux /{slot}/linux\noptions lazaret.slot={slot}\n");
                    fs::write(entries.join(format!("lazaret-{slot}+0.conf")), text).unwrap();
                }
                let rescue = "title Rescue\nsort-key z\nlinux /rescue/linux\noptions quiet\n";
                fs::write(entries.join("rescue.conf"), rescue).unwrap();
            }
            _ => {}
        }
        machine
    }

    fn name(&self) -> &str {
        &self.settings.bootloader
    }

    /// Whether something else is started where no slot is any good.
    pub(super) fn has_rescue(&self) -> bool {
        matches!(self.name(), "directory" | "systemd-boot")
    }

    pub(super) fn try_open(&self, durable: Durable) -> Result<Box<dyn Bootloader>, SlotError> {
        (self.open)(&self.settings, durable)
    }

    pub(super) fn open(&self, durable: Durable) -> Box<dyn Bootloader> {
        self.try_open(durable).unwrap()
    }

    /// Power on, and the agent's start.
    pub(crate) fn start(&self) -> Box<dyn Bootloader> {
        self.try_start().unwrap()
    }

    pub(super) fn try_start(&self) -> Result<Box<dyn Bootloader>, SlotError> {
        self.power_on();
        let mut slots = self.try_open(Durable::default())?;
        slots.boot()?;
        Ok(slots)
    }

    /// What the boot loader does: it picks a slot, counts, and starts the kernel with a command
    /// line.
    pub(crate) fn power_on(&self) {
        let picked = match self.name() {
            "grub" => self.power_on_grub(),
            "uboot" => self.power_on_uboot(),
            "systemd-boot" => self.power_on_systemd_boot(),
            _ => return,
        };
        let named = picked.map_or(String::new(), |slot| format!(" lazaret.slot={slot}"));
        fs::write(&self.settings.command_line, format!("quiet{named}\n")).unwrap();
    }

    /// As `agent/boot/grub.cfg`.
    fn power_on_grub(&self) -> Option<Slot> {
        let said = self.grub();
        let of = |name: &str| said.get(name).map_or("", String::as_str);
        let order: Vec<&str> = of("ORDER").split_whitespace().collect();
        for slot in &order {
            let (tried, most) = (of(&format!("{slot}_TRY")), of(&format!("{slot}_MAX")));
            if of(&format!("{slot}_OK")) != "1" {
                continue;
            }
            if most.is_empty() {
                return slot_of(slot);
            }
            let tried: u8 = tried.parse().unwrap();
            if tried < most.parse().unwrap() {
                self.set_grub(&[(&format!("{slot}_TRY"), &(tried + 1).to_string())]);
                return slot_of(slot);
            }
        }
        order.first().and_then(|slot| slot_of(slot))
    }

    /// As `agent/boot/uboot.cmd`.
    fn power_on_uboot(&self) -> Option<Slot> {
        let said = self.uboot();
        let of = |name: &str| said.get(name).map_or("", String::as_str);
        let order: Vec<&str> = of("BOOT_ORDER").split_whitespace().collect();
        for slot in &order {
            if of(&format!("BOOT_{slot}_OK")) == "1" {
                return slot_of(slot);
            }
            let name = format!("BOOT_{slot}_LEFT");
            let left = u8::from_str_radix(of(&name), 16).unwrap();
            if left > 0 {
                self.set_uboot(&[(&name, &format!("{:x}", left - 1))]);
                return slot_of(slot);
            }
        }
        order.first().and_then(|slot| slot_of(slot))
    }

    /// As systemd-boot orders entries and renames the one that it starts: none left comes last,
    /// then by sort-key, then by version from the highest.
    fn power_on_systemd_boot(&self) -> Option<Slot> {
        let entries = self.settings.record.join("loader/entries");
        let mut list: Vec<(bool, bool, String, u64, String)> = Vec::new();
        for file in self.entries().into_iter().filter(|file| file.ends_with(".conf")) {
            let text = fs::read_to_string(entries.join(&file)).unwrap();
            let key = text.lines().find_map(|line| line.strip_prefix("sort-key "));
            let key = key.unwrap_or("").to_owned();
            let counter = EntryName::parse(&file).and_then(|name| name.counter);
            let spent = counter.is_some_and(|counter| counter.left == 0);
            let version = u64::MAX - version_of(&text);
            list.push((spent, key.is_empty(), key, version, file));
        }
        list.sort();
        let (_, _, _, _, file) = list.into_iter().next()?;
        let name = EntryName::parse(&file)?;
        if let Some(Counter { left: left @ 1.., done }) = name.counter {
            let counter = Some(Counter { left: left - 1, done: done + 1 });
            let to = EntryName { counter, ..name }.to_string();
            fs::rename(entries.join(&file), entries.join(to)).unwrap();
        }
        Some(name.slot)
    }

    pub(super) fn entries(&self) -> Vec<String> {
        let listed = fs::read_dir(self.settings.record.join("loader/entries")).unwrap();
        listed.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// What `grub-editenv` reads.
    pub(super) fn grub(&self) -> BTreeMap<String, String> {
        variables(&output(Command::new("grub-editenv").arg(&self.settings.record).arg("list")))
    }

    fn set_grub(&self, variables: &[(&str, &str)]) {
        let mut command = Command::new("grub-editenv");
        command.arg(&self.settings.record).arg("set");
        output(command.args(variables.iter().map(|(name, value)| format!("{name}={value}"))));
    }

    /// What `fw_printenv` reads.
    pub(super) fn uboot(&self) -> BTreeMap<String, String> {
        variables(&output(Command::new("fw_printenv").arg("-c").arg(&self.settings.record)))
    }

    pub(super) fn set_uboot(&self, variables: &[(&str, &str)]) {
        let defaults = self.folder.path().join("defaults");
        fs::write(&defaults, "").unwrap();
        for (name, value) in variables {
            let mut command = Command::new("fw_setenv");
            command.arg("-c").arg(&self.settings.record).arg("-f").arg(&defaults);
            output(command.arg(name).arg(value));
        }
        fs::remove_file(defaults).unwrap();
    }

    /// The record as it is, byte by byte.
    pub(super) fn record(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let all = crate::durable::crash::look(self.folder.path());
        let files = all.into_iter().filter_map(|(path, found)| match found {
            _ if path.ends_with("cmdline") => None,
            crate::durable::crash::Found::File(bytes) => Some((path, bytes.to_vec())),
            crate::durable::crash::Found::Link(to) => Some((path, to.into_bytes())),
            crate::durable::crash::Found::Folder => None,
        });
        files.collect()
    }

    /// What others keep in the record.
    pub(super) fn others(&self) -> String {
        let of = |said: BTreeMap<String, String>| {
            OTHERS.map(|(name, _)| said.get(name).cloned().expect("it is there")).join(",")
        };
        match self.name() {
            "grub" => of(self.grub()),
            "uboot" => of(self.uboot()),
            "systemd-boot" => {
                let entries = self.settings.record.join("loader/entries");
                let mut lines = Vec::new();
                for file in self.entries() {
                    let text = fs::read_to_string(entries.join(file)).unwrap();
                    let others = text.lines().filter(|line| {
                        !line.starts_with("version") && !line.starts_with("sort-key lazaret")
                    });
                    lines.extend(others.map(str::to_owned));
                }
                lines.sort();
                lines.join("\n")
            }
            _ => String::new(),
        }
    }

    /// Makes the record unreadable.
    pub(super) fn spoil(&self) {
        match self.name() {
            "grub" => flip(&self.settings.record, 0),
            "uboot" => {
                flip(&self.folder.path().join("env.img"), 0);
                flip(&self.folder.path().join("env.img"), 0x4000);
            }
            "systemd-boot" => {
                let entries = self.settings.record.join("loader/entries");
                for file in self.entries().iter().filter(|file| file.starts_with("lazaret-b")) {
                    fs::remove_file(entries.join(file)).unwrap();
                }
            }
            _ => {
                let record = self.settings.folder.join("boot.json");
                fs::OpenOptions::new().write(true).open(record).unwrap().set_len(10).unwrap();
            }
        }
    }
}

fn slot_of(letter: &str) -> Option<Slot> {
    Slot::ALL.into_iter().find(|slot| slot.as_str().eq_ignore_ascii_case(letter))
}

fn variables(text: &str) -> BTreeMap<String, String> {
    let pair =
        |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    text.lines().filter_map(pair).collect()
}
