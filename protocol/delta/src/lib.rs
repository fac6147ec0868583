#![no_std]
//! Empty room.
