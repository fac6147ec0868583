//! Bodies: slow ones are dropped, honest ones are read.

use futures_util::stream;
use tokio::time::{Instant, sleep};

use super::*;

const PACE: BodyPace = BodyPace { silence_max: Duration::from_secs(20), bytes_per_second_min: 512 };

/// A body of chunks of so many bytes, each after so many milliseconds.
fn body(
    chunks: usize,
    bytes: usize,
    every_ms: u64,
) -> impl Stream<Item = Result<Bytes, warp::Error>> {
    stream::unfold(0, move |count| async move {
        if count == chunks {
            return None;
        }
        sleep(Duration::from_millis(every_ms)).await;
        Some((Ok(Bytes::from(vec![0; bytes])), count + 1))
    })
}

#[tokio::test(start_paused = true)]
async fn who_sends_a_byte_now_and_then_is_dropped_long_before_the_request_is() {
    let begun = Instant::now();
    let refused = read(body(1000, 1, 1000), 1000, PACE).await.unwrap_err();
    assert_eq!(refused.response.status(), 400);
    assert_eq!(refused.got.len(), 20, "what came is not lost");
    assert_eq!(begun.elapsed().as_secs(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_slow_link_that_goes_on_is_waited_for() {
    // 64 KiB at 600 bytes a second take almost two minutes.
    let whole = read(body(109, 600, 1000), 65_400, PACE).await.unwrap();
    assert_eq!(whole.len(), 65_400);
}

#[tokio::test(start_paused = true)]
async fn a_silence_ends_a_body_however_fast_it_came_before() {
    let begun = Instant::now();
    let fast = body(1, 1 << 20, 0).chain(body(1, 1, 60_000));
    assert!(read(fast, 1 << 21, PACE).await.is_err());
    assert_eq!(begun.elapsed().as_secs(), 20);
}

#[test]
fn no_deadline_is_later_than_a_silence_from_now_or_than_the_pace_allows() {
    for elapsed in [0, 1, 19, 20, 21, 1000].map(Duration::from_secs) {
        for got in [0_u32, 1, 511, 512, 10_240, 1 << 30] {
            let deadline = PACE.deadline(elapsed, got as usize);
            assert!(deadline <= elapsed + PACE.silence_max);
            let earned = Duration::from_millis(u64::from(got) * 1000 / 512);
            assert!(deadline <= PACE.silence_max + earned);
        }
    }
}
