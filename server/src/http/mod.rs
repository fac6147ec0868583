//! The only room that knows warp. Routes of the two faces stand in `device` and `operator`; this
//! file lists rooms.

pub(crate) mod body;
pub(crate) mod device;
pub(crate) mod listener;
pub(crate) mod operator;
pub(crate) mod reply;
