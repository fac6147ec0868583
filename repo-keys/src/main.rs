//! Empty room.

fn main() {}
