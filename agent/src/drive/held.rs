//! A poll that the server may hold back, on a thread of its own: the loop goes on with an image,
//! its probes and its reports meanwhile, and still hears of a halt the moment that it is given.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::time::Duration;
use std::{io, thread};

use lazaret_protocol::poll::{PollReply, PollRequest};

use crate::transport::{Transport, TransportError};

type Answer = Result<PollReply, TransportError>;

/// One poll that is out. Dropped, its answer is of no interest any more; its thread ends when the
/// transport's own limits do. Orders in such an answer are lost on nobody: they come again with the
/// next.
#[derive(Debug)]
pub(super) struct HeldPoll {
    coming: Receiver<Answer>,
    came: Option<Answer>,
    bell: Bell,
}

/// Says, to whoever is busy with something long, that an answer came.
#[derive(Debug, Clone, Default)]
pub(super) struct Bell(Arc<AtomicBool>);

impl Bell {
    /// Whether it has rung.
    pub(super) fn rang(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl HeldPoll {
    /// Sends it.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub(super) fn send(transport: Transport, request: PollRequest) -> io::Result<Self> {
        tracing::debug!("poll {} waits on the server", request.sequence);
        let (to, coming) = channel();
        let bell = Bell::default();
        let rung = bell.clone();
        let send = move || {
            // Nobody listens where the poll was given up.
            let _ = to.send(transport.poll(&request));
            rung.0.store(true, Ordering::Release);
        };
        thread::Builder::new().name("poll".into()).spawn(send)?;
        Ok(Self { coming, came: None, bell })
    }

    /// What rings when the answer is there.
    pub(super) fn bell(&self) -> Bell {
        self.bell.clone()
    }

    /// Waits for the answer; says whether it came.
    pub(super) fn wait(&mut self, ms: u64) -> bool {
        if self.came.is_none() {
            self.came = match self.coming.recv_timeout(Duration::from_millis(ms)) {
                Ok(answer) => Some(answer),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(Err(ended())),
            };
        }
        self.came.is_some()
    }

    /// The answer, where it came.
    pub(super) fn answer(&mut self) -> Option<Answer> {
        match self.came.take() {
            None => match self.coming.try_recv() {
                Ok(answer) => Some(answer),
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Disconnected) => Some(Err(ended())),
            },
            came => came,
        }
    }
}

fn ended() -> TransportError {
    TransportError::Malformed { what: "the poll", why: "its thread has ended".into() }
}
