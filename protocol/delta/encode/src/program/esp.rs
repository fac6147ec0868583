//! Images of Espressif's chips (ESP-IDF, "App Image Format"): a header of 24 bytes, then segments,
//! each with its address and length in front.

use lazaret_protocol_delta::{Code, Region};

type Known = (Vec<Region>, Vec<Region>, Vec<Code>);

/// What both images' headers say. Segments beyond the bytes given are left out.
pub(super) fn regions(base: &[u8], result: &[u8]) -> Option<Known> {
    let (base, result) = (segments(base)?, segments(result)?);
    Some((base, result, vec![Code::Xtensa]))
}

fn segments(image: &[u8]) -> Option<Vec<Region>> {
    let [0xe9, count @ 1..=16, ..] = image else { return None };
    let mut regions = Vec::new();
    let mut at = 24u64;
    for _ in 0..*count {
        let Some(head) = usize::try_from(at).ok().and_then(|at| image.get(at..)) else { break };
        let Some([a, b, c, d, e, f, g, h]) = head.first_chunk::<8>() else { break };
        let address = u32::from_le_bytes([*a, *b, *c, *d]).into();
        let length = u32::from_le_bytes([*e, *f, *g, *h]).into();
        regions.push(Region { offset: at + 8, length, address, program: 0 });
        at += 8 + length;
    }
    Some(regions)
}
