//! What a visitor has not been sent yet. It may read as slowly as it likes: what is kept for it has a limit.

use super::{FORMAT, Told, line};
use serde::Serialize;
use std::collections::VecDeque;
use std::rc::Rc;

/// How many bytes of what happens are kept for a visitor that does not read; one line may be longer.
const KEPT: usize = 256 * 1024;

/// How many may be kept where the next line says it anew.
const KEPT_OF_STANDINGS: usize = 16 * 1024;

/// How many bytes are sent at once.
const AT_ONCE: usize = 32 * 1024;

/// What is left out for a visitor that reads too slowly.
#[derive(Debug, Serialize)]
struct SkippedRecord {
    format: &'static str,
    record: &'static str,
    lines: usize,
}

/// Lines for one visitor.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    queue: VecDeque<Rc<str>>,
    /// So many bytes of the first line were sent.
    sent: usize,
    /// So many bytes of all lines were not.
    queued: usize,
    /// Lines that were left out.
    skipped: usize,
}

impl Outbox {
    /// Keeps a line, whatever has not been sent yet.
    pub(super) fn put(&mut self, line: Rc<str>) {
        self.queued += line.len();
        self.queue.push_back(line);
    }

    /// Keeps a line, unless too much is kept already.
    pub(super) fn offer(&mut self, what: Told, line: &Rc<str>) {
        let is_fresh = what == Told::Standing;
        let kept = if is_fresh { KEPT_OF_STANDINGS } else { KEPT };
        if self.queued == 0 || self.queued + line.len() <= kept {
            self.put(line.clone());
        } else if !is_fresh {
            self.skipped += 1;
        }
    }

    /// Returns how many bytes have not been sent yet.
    pub(super) fn left(&self) -> usize {
        self.queued
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Returns what is to be sent next: many lines at once, because the kernel keeps few of them where each is alone.
    pub(super) fn first_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for line in &self.queue {
            bytes.extend_from_slice(line.as_bytes());
            if bytes.len() >= self.sent + AT_ONCE {
                break;
            }
        }
        bytes.drain(..self.sent);
        bytes
    }

    /// Forgets so many bytes, which were sent. Where nothing is left, what was left out is said next.
    pub(super) fn take_sent(&mut self, count: usize) {
        self.queued -= count;
        self.sent += count;
        while let Some(first) = self.queue.front().map(|line| line.len()).filter(|first| *first <= self.sent)
        {
            self.sent -= first;
            self.queue.pop_front();
        }
        if self.queue.is_empty() && self.skipped > 0 {
            let lines = std::mem::take(&mut self.skipped);
            let record = SkippedRecord { format: FORMAT, record: "skipped", lines };
            if let Ok(line) = line(&record) {
                self.put(line);
            }
        }
    }
}
