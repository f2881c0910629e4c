//! Signals, as a run hears of them.

use nix::sys::signal::Signal;
use orderly_plan::drivers::Event;

/// Returns how a signal is heard of.
pub(crate) fn event(signal: Signal) -> Event {
    if signal == Signal::SIGUSR1 { Event::Attention } else { Event::Signal(signal as i32) }
}
