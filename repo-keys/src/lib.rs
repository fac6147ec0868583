//! `lazaret-keys`: the ceremonies that make and sign what a server cannot. Every step is a function
//! from files to files, on a machine without a network; no crate here can open a connection.

pub mod authority;
pub mod change;
pub mod cli;
pub mod commands;
pub mod difference;
pub mod error;
pub mod hashing;
pub mod plan;
pub mod session;
