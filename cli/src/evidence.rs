//! Reading an evidence bundle from a file of unknown origin, as far as the world is needed for it:
//! the archive and the certificate. What is then to be thought of it, `lazaret_protocol_evidence`
//! decides.

pub(crate) mod age;
pub(crate) mod archive;
pub(crate) mod certificate;
pub(crate) mod opened;

#[cfg(test)]
pub(crate) mod fixture;
