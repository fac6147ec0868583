//! Who is at the other end: certificates of connections become peers, and the registry is asked on
//! every request, because TLS sessions and open connections outlive revocation.

pub(crate) mod certificate;
pub(crate) mod device;
pub(crate) mod factory;
pub(crate) mod operator;
