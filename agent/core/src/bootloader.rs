//! What boot loaders keep of the two slots, as values: the marks, the changes that are made to
//! them, and the formats in which U-Boot, GRUB and systemd-boot keep them. Reading and writing them
//! is the shell's.

pub mod boot_entry;
pub mod fw_env;
pub mod grub;
mod marks;
pub mod uboot;

pub use marks::{Change, Mark, Marks};
