//! What a device does next. Everything here decides and nothing acts: no clock, disk, network or
//! randomness lives here. The shell (`lazaret-agent`) brings facts as an [`event::Event`], gets a
//! new [`journal::Journal`] and a list of [`action::Action`]s from [`update::step`], and carries
//! them out in order.
#![no_std]
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

extern crate alloc;

pub mod action;
mod boot;
pub mod bootloader;
pub mod clock;
pub mod event;
pub mod health;
pub mod journal;
pub mod offer;
pub mod order;
pub mod poll;
mod quarantine;
pub mod reason;
pub mod record;
pub mod slot;
pub mod update;
pub mod vitals;
