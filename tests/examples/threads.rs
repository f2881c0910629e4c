//! A process that is a holder by its second thread alone, for the scenarios of holders:
//! `threads apart FILE` has that thread in a mount namespace of its own; the first thread of
//! `threads headless FILE` ends, and the other has the file open.

use anyhow::{Context, bail};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::fs::File;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().collect();
    let [_, what, file] = words.as_slice() else { bail!("threads apart|headless FILE") };
    let is_apart = what == "apart";
    let held = if is_apart { None } else { Some(File::create(file).context("open the file")?) };
    let other = std::thread::spawn(move || -> anyhow::Result<()> {
        if is_apart {
            unshare(CloneFlags::CLONE_NEWNS).context("leave the mount namespace")?;
            let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
            mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).context("be private there")?;
        }
        File::create("ready").context("say that it is so far")?;
        std::thread::park();
        drop(held);
        Ok(())
    });
    if is_apart {
        return other.join().unwrap_or_else(|_| bail!("the other thread panicked"));
    }
    end_this_thread()
}

#[expect(unsafe_code, reason = "std ends the first thread only together with the process")]
fn end_this_thread() -> ! {
    // SAFETY: takes a number, ends the calling thread, and touches nothing of the others.
    unsafe { nix::libc::syscall(nix::libc::SYS_exit, 0) };
    unreachable!("an ended thread does not go on")
}
