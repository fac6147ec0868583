//! The only room that knows warp. The routes of the two faces are tables in `device` and
//! `operator`; this file lists rooms.

pub(crate) mod body;
pub(crate) mod conditions;
pub(crate) mod device;
pub(crate) mod door;
pub(crate) mod est;
pub(crate) mod files;
pub(crate) mod listener;
pub(crate) mod openapi;
pub(crate) mod operator;
pub(crate) mod page;
pub(crate) mod places;
pub(crate) mod rates;
pub(crate) mod reply;
pub(crate) mod route;
pub(crate) mod router;
pub(crate) mod sign_in;
pub(crate) mod stalls;
