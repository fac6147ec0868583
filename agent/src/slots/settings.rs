//! What a device says of its slots.

use std::path::{Path, PathBuf};

use lazaret_agent_core::slot::Slot;

use super::BOOTLOADERS;
use crate::config::Reader;

/// The settings of the slots; what each says is in `SETTINGS` under the name of its comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotSettings {
    /// `bootloader`.
    pub bootloader: String,
    /// `slots_dir`.
    pub folder: PathBuf,
    /// `slot_a`, where it is not `a/image` below the folder.
    pub a: Option<PathBuf>,
    /// `slot_b`, likewise.
    pub b: Option<PathBuf>,
    /// `boot_record`: what it names differs by bootloader.
    pub record: PathBuf,
    /// `boot_command_line`.
    pub command_line: PathBuf,
    /// `slot_content`.
    pub content: SlotContent,
}

/// What becomes of an image in its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotContent {
    /// Nothing more: the bootloader or the application reads it as it is.
    Image,
    /// It is a tar archive, and is unpacked beside it.
    Tree,
}

/// Where the record of a bootloader lies on most machines.
const RECORDS: &[(&str, &str)] =
    &[("grub", "/boot/grub/grubenv"), ("systemd-boot", "/efi"), ("uboot", "/etc/fw_env.config")];

impl SlotSettings {
    /// The slots `a` and `b` below a folder, behind the bootloader `directory`.
    #[must_use]
    pub fn directory(folder: &Path) -> Self {
        Self {
            bootloader: "directory".into(),
            folder: folder.to_owned(),
            a: None,
            b: None,
            record: PathBuf::new(),
            command_line: PathBuf::from("/proc/cmdline"),
            content: SlotContent::Image,
        }
    }

    /// Reads them.
    pub(crate) fn read(from: &mut Reader<'_>) -> Option<Self> {
        let folder = from.path("slots_dir");
        let bootloader = from.text("bootloader", "directory", |text| {
            let known: Vec<&str> = BOOTLOADERS.iter().map(|(name, _)| *name).collect();
            if known.contains(&text) {
                return Ok(text.to_owned());
            }
            Err(format!("expected one of {}, got {text:?}", known.join(", ")))
        });
        let (a, b) = (from.optional_path("slot_a"), from.optional_path("slot_b"));
        let record = from.optional_path("boot_record");
        let command_line = from.optional_path("boot_command_line");
        let content = from.text("slot_content", "image", |text| match text {
            "image" => Ok(SlotContent::Image),
            "tree" => Ok(SlotContent::Tree),
            _ => Err(format!("expected image or tree, got {text:?}")),
        });
        let bootloader = bootloader?;
        let is_directory = bootloader == "directory";
        for (name, there) in
            [("slot_a", a.is_some()), ("slot_b", b.is_some()), ("boot_record", record.is_some())]
        {
            if there && is_directory {
                from.wrong(name, "is not for bootloader = \"directory\", which has its own");
            }
        }
        if a.is_some() && a == b {
            from.wrong("slot_b", "expected another place than slot_a");
        }
        let usual = RECORDS.iter().find(|(name, _)| *name == bootloader);
        let usual = usual.map(|(_, path)| PathBuf::from(path)).unwrap_or_default();
        let command_line = command_line.unwrap_or_else(|| PathBuf::from("/proc/cmdline"));
        let record = record.unwrap_or(usual);
        Some(Self { bootloader, folder: folder?, a, b, record, command_line, content: content? })
    }

    /// Where the tree of a slot is, where its image is one.
    #[must_use]
    pub fn tree(&self, slot: Slot) -> PathBuf {
        self.folder.join(slot.as_str()).join("tree")
    }

    /// Where the image of a slot is.
    #[must_use]
    pub fn image(&self, slot: Slot) -> PathBuf {
        let given = match slot {
            Slot::A => &self.a,
            Slot::B => &self.b,
        };
        given.clone().unwrap_or_else(|| self.folder.join(slot.as_str()).join("image"))
    }
}
