//! What boot loaders keep of the slots: GRUB's block, U-Boot's environment and the file that says
//! where it lies, names of boot entries. Whoever had the disk in their hands may have written them.

use lazaret_agent_core::bootloader::Change;
use lazaret_agent_core::bootloader::boot_entry::{EntryName, version_of, with_version};
use lazaret_agent_core::bootloader::fw_env;
use lazaret_agent_core::bootloader::grub::{BLOCK_BYTES, GrubEnv};
use lazaret_agent_core::bootloader::uboot::{Flags, UbootEnv};
use lazaret_agent_core::slot::Slot;

/// A good checksum is not found by chance: it is made for the data that follows.
fn summed(data: &[u8], head: usize) -> Vec<u8> {
    let sum = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(data);
    let mut copy = sum.to_le_bytes().to_vec();
    copy.resize(head, 1);
    copy.extend_from_slice(data);
    copy
}

pub(crate) fn grub_seeds() -> Vec<Vec<u8>> {
    let text = b"# GRUB Environment Block\nORDER=B A\nA_OK=1\nB_OK=1\nB_TRY=1\nB_MAX=3\n";
    let mut block = text.to_vec();
    block.resize(BLOCK_BYTES, b'#');
    vec![block, b"# GRUB Environment Block\na=\\\\\\\nb\n".to_vec()]
}

/// What is read is written as something that says the same, and every change of it can be read.
pub(crate) fn grub(input: &[u8]) {
    let mut block = input.to_vec();
    block.resize(BLOCK_BYTES, b'#');
    for block in [input, &block] {
        let Ok(mut env) = GrubEnv::parse(block) else { continue };
        let Ok(marks) = env.marks() else { continue };
        env.put(&marks.after(Change::Try { slot: Slot::B, tries: 3 }));
        if let Ok(block) = env.to_block() {
            let again = GrubEnv::parse(&block).expect("what was written can be read");
            assert_eq!(again, env);
        }
    }
}

pub(crate) fn uboot_seeds() -> Vec<Vec<u8>> {
    let text = b"BOOT_ORDER=A B\0BOOT_A_OK=1\0BOOT_B_LEFT=3\0bootcmd=run x\0\0".to_vec();
    vec![text.clone(), summed(&text, 4), summed(&text, 5)]
}

/// The input as it is, and as the data of a copy whose checksum is good.
pub(crate) fn uboot(input: &[u8]) {
    let mut data = input.to_vec();
    data.resize(input.len().max(512), 0);
    let (alone, first, second) = (summed(&data, 4), summed(&data, 5), vec![0; data.len() + 5]);
    let read = [
        UbootEnv::parse(input),
        UbootEnv::parse(&alone),
        UbootEnv::parse_two([&first, &second], Flags::Counting),
        UbootEnv::parse_two([&second, &first], Flags::Active),
    ];
    for mut env in read.into_iter().flatten() {
        let Ok(marks) = env.marks() else { continue };
        env.put(&marks.after(Change::Keep(Slot::A)));
        if let Ok(written) = env.written() {
            let again = match env_of(&written.bytes, first.len()) {
                Some(again) => again,
                None => UbootEnv::parse(&written.bytes).expect("what was written can be read"),
            };
            assert_eq!(again.marks(), env.marks());
        }
    }
}

/// Two copies have a flag, an only one has none.
fn env_of(copy: &[u8], length: usize) -> Option<UbootEnv> {
    (copy.len() == length)
        .then(|| UbootEnv::parse_two([copy, &vec![0; length]], Flags::Counting).ok())?
}

pub(crate) fn place_seeds() -> Vec<Vec<u8>> {
    vec![
        b"# two copies\n/dev/mmcblk0 0x60000 0x4000\n/dev/mmcblk0 -0x4000 0x4000 0x200 1\n"
            .to_vec(),
        b"lazaret-b+2-1.conf".to_vec(),
        b"title B\r".to_vec(),
        b"title B\nversion 7\nsort-key x\noptions lazaret.slot=b\n".to_vec(),
    ]
}

/// Texts: where an environment lies, the name of an entry, an entry.
pub(crate) fn places(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Ok(copies) = fw_env::parse(&text) {
        assert!(matches!(copies.all().len(), 1 | 2));
    }
    if let Some(name) = EntryName::parse(&text) {
        let again = EntryName::parse(&name.to_string()).expect("a name of ours is one");
        assert_eq!((again.slot, again.mark_of_name()), (name.slot, name.mark_of_name()));
    }
    let entry = with_version(&text, 7);
    assert_eq!((version_of(&entry), with_version(&entry, 7)), (7, entry.clone()));
}
