//! What a device's TPM says of itself.

use lazaret_protocol_tpm::public::Public;

pub(crate) fn run(input: &[u8]) {
    if let Ok(public) = Public::parse(input) {
        let _key = public.verifier();
    }
}

/// A P-256 signing key's public area (part 2, 12.2.4), with a point of zeros.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let head: &[u8] = &[0, 0x23, 0, 0x0b, 0, 4, 0, 0x72, 0, 0, 0, 0x10, 0, 0x18, 0, 0x0b];
    let curve: &[u8] = &[0, 3, 0, 0x10];
    let coordinate = [&[0, 32][..], &[0; 32]].concat();
    vec![[head, curve, &coordinate, &coordinate].concat()]
}
