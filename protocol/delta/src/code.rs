//! Kinds of machine code and their numbers. What is known about each is in `predict`.

/// Whose branches and pointers are followed while bytes of the base are rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    /// Nothing is rewritten.
    None,
    /// AArch64, and 64-bit pointers.
    Arm64,
    /// x86-64, and 64-bit pointers.
    X86,
    /// Thumb-2, and 32-bit pointers.
    Thumb,
    /// Xtensa, and 32-bit pointers.
    Xtensa,
    /// x86-64 with addresses of 32 bits wherever they stand: kernels, which lie in the topmost 2
    /// GiB.
    X86Absolute,
}

impl Code {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Code; 6] =
        [Code::None, Code::Arm64, Code::X86, Code::Thumb, Code::Xtensa, Code::X86Absolute];

    /// The number that stands for the kind in a payload.
    pub fn number(self) -> u8 {
        match self {
            Code::None => 0,
            Code::Arm64 => 1,
            Code::X86 => 2,
            Code::Thumb => 3,
            Code::Xtensa => 4,
            Code::X86Absolute => 5,
        }
    }

    /// The kind that a number stands for, if any.
    pub fn from_number(number: u8) -> Option<Code> {
        Code::ALL.into_iter().find(|code| code.number() == number)
    }
}
