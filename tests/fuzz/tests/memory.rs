//! The densest metadata that the limits let in, and what it takes to refuse it.

use lazaret_fuzz::{ALLOCATED, raw_targets};
use lazaret_protocol_tuf::Limits;

/// What one JSON value takes at most once it is read, in bytes: an object with one member.
const VALUE_BYTES_MAX: usize = 1024;

/// Copies of a file that are there at one time: the repository's, the transport's, the client's.
const COPIES: usize = 4;

#[test]
fn no_metadata_takes_more_memory_than_its_limits_allow() {
    let limits = Limits::default();
    let bytes_max = usize::try_from(limits.targets_bytes_max).unwrap();
    let allowed = COPIES * (bytes_max + 1) + VALUE_BYTES_MAX * limits.json_values_max;
    for piece in
        ["{\"\":0},", "[],", "0,", "\"\",", "{},", "[", "{\"\":", "\"a\":0,", " ", "[[0]],"]
    {
        for (before, after) in
            [("[", "0]"), ("{\"signed\":[", "0]}"), ("{\"signed\":{", "}}"), ("", "")]
        {
            let times = (bytes_max - before.len() - after.len()) / piece.len();
            let input = format!("{before}{}{after}", piece.repeat(times)).into_bytes();
            let start = ALLOCATED.current_usage();
            ALLOCATED.reset_peak_usage();
            raw_targets(&input);
            let took = ALLOCATED.peak_usage() - start;
            assert!(took <= allowed, "{took} bytes for {piece} in {before}, allowed are {allowed}");
        }
    }
}
