//! The one loop of a run: advance the run, wait, hear. What happens on the way is told by [`crate::telling`].

use crate::elsewhere;
use crate::elsewhere::protocol::StatusRecord;
use crate::held_back::{self, HeldBackTeller};
use crate::telling::Telling;
use crate::watch::{self, InTheWay};
use orderly_exec::screen::ScreenSize;
use orderly_plan::drivers::{Drivers, Event};
use orderly_plan::run::Run;
use std::time::Duration;

/// How often the live line is renewed.
const GLANCE: Duration = Duration::from_millis(500);

/// Drives a run to its end and returns the first signal that interrupted it, if one did.
///
/// The first INT, TERM or HUP begins nothing more and waits for the driver calls that run; the second
/// ends those too. SIGUSR1, and Enter at the terminal, print where the run stands.
pub fn drive(run: &mut dyn Run, drivers: &mut dyn Drivers, telling: &mut Telling<'_>) -> Option<i32> {
    drive_steered(run, drivers, telling, &mut |_, _, _| None)
}

/// As [`drive`], and has somebody look at the run each time before it is advanced, and at the latest when he said.
pub fn drive_steered<R: Run + ?Sized>(
    run: &mut R,
    drivers: &mut dyn Drivers,
    telling: &mut Telling<'_>,
    steer: &mut Steering<'_, R>,
) -> Option<i32> {
    drivers.listen();
    let door = telling.door.clone();
    elsewhere::attend(&door, run, drivers, telling);
    let signal = drive_to_end(run, drivers, telling, steer);
    door.leave();
    drivers.leave();
    // What follows is no part of it: lines that nobody renews would tell what is no longer so.
    telling.reporter.clear();
    telling.held(&run.endings(), drivers.now());
    if let Some(timeline) = &mut telling.timeline {
        timeline.close_round(drivers.now());
    }
    for warning in drivers.take_last_warnings() {
        telling.warn(&warning);
    }
    signal
}

/// Changes a run under way; returns when it is to be looked at again at the latest.
pub type Steering<'s, R> = dyn FnMut(&mut R, &mut dyn Drivers, &mut Telling<'_>) -> Option<Duration> + 's;

/// The loop of [`drive`].
fn drive_to_end<R: Run + ?Sized>(
    run: &mut R,
    drivers: &mut dyn Drivers,
    telling: &mut Telling<'_>,
    steer: &mut Steering<'_, R>,
) -> Option<i32> {
    let began = drivers.now();
    let mut signal = None;
    let mut ended_rest = false;
    let mut glance = began;
    let door = telling.door.clone();
    let mut held_back = HeldBackTeller::default();
    loop {
        elsewhere::serve(&door, run, began, drivers, telling);
        let look = steer(run, drivers, telling);
        run.advance(drivers);
        held_back.look(drivers, telling);
        let is_shown = telling.reporter.is_live() || door.is_watched();
        if is_shown && drivers.now() >= glance {
            let now = drivers.now();
            glance = now + GLANCE;
            let status = held_back::status(run, drivers, now);
            if door.is_watched() {
                door.show(&StatusRecord::of(&status, began, now, telling.name));
            }
            if let Some(size) = telling.reporter.screen() {
                // The last column stays free: a terminal would go on to the next line after it.
                let room = ScreenSize { columns: size.columns - 1, ..size };
                telling.reporter.draw(watch::lines(&status, began, now, telling.name, room), size);
            }
        }
        telling.notices(&run.take_notices());
        if run.is_over() {
            if run.outstanding() == 0 {
                return signal;
            }
            // Every node has its outcome: what still runs (a call hanging on one node of many, a
            // probe on its way) can tell nothing new.
            if !std::mem::replace(&mut ended_rest, true) {
                drivers.end_all();
            }
        }
        let wake = run.wake();
        if wake.is_none() && run.outstanding() == 0 && !drivers.is_held_back() {
            // Nothing runs and nothing is due, so nothing will ever be heard: what is left is
            // reported as it stands.
            return signal;
        }
        let soon = door.has_more().then_some(began);
        let until = [wake, look, is_shown.then_some(glance), soon].into_iter().flatten().min();
        let events = drivers.next(until);
        for warning in drivers.take_warnings() {
            telling.warn(&warning);
        }
        for event in events {
            match event {
                Event::Signal(number) if signal.is_none() => {
                    signal = Some(number);
                    telling.interrupted(run.outstanding());
                    run.interrupt();
                }
                Event::Signal(_) => {
                    telling.warn("interrupted again: ending what runs");
                    drivers.end_all();
                }
                Event::Attention => {
                    let now = drivers.now();
                    let in_the_way = InTheWay { held: run.held(), waiting: run.waiting(InTheWay::MOST) };
                    let status = held_back::status(run, drivers, now);
                    let columns = telling.reporter.columns();
                    for line in watch::whole(&status, &in_the_way, (began, now), telling.name, columns) {
                        telling.reporter.show(line);
                    }
                }
                // Answered before the next step.
                Event::Asked => {}
                Event::Power(..) | Event::Probe(..) | Event::BootId(..) | Event::Ended(..) => {
                    run.hear(drivers, &event);
                }
            }
        }
    }
}
