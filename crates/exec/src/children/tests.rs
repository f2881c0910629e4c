//! Tests of the loop, against real processes.

use super::streams::EARFUL;
use super::*;
use std::sync::Mutex;

/// The loop reaps all children of its process, so its tests run one at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn run(jobs: &[Job]) -> Vec<(usize, Ended)> {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut children = Children::new(Signals::listen().unwrap()).unwrap();
    let ids: Vec<ChildId> = jobs.iter().map(|job| children.start(job)).collect();
    let mut ended = Vec::new();
    while ended.len() < ids.len() {
        if let Some(ChildEvent::Ended(id, end)) = children.next(None).unwrap() {
            ended.push((ids.iter().position(|known| *known == id).unwrap(), end));
        }
    }
    ended
}

fn sh(script: &str) -> Job {
    Job::new(["sh", "-c", script], Duration::from_secs(20))
}

#[test]
fn a_child_gets_its_input_and_gives_its_output_and_status() {
    let mut job = sh("cat; echo oops >&2; exit 3");
    job.stdin = vec![b'x'; 300_000];
    job.keep = 1_000_000;
    let (_, ended) = run(&[job]).remove(0);
    assert_eq!((ended.ending, ended.stdout.len()), (Ending::Exited(3), 300_000));
    assert_eq!(ended.clause(), "exit status 3: oops");
}

#[test]
fn a_child_past_its_time_is_ended_with_its_descendants() {
    let mut job = sh("trap '' TERM; sleep 600 & sleep 600; sleep 600");
    job.timeout = Duration::from_millis(100);
    job.grace = Duration::from_millis(100);
    let (_, ended) = run(&[job]).remove(0);
    assert_eq!(ended.ending, Ending::TimedOut);
}

#[test]
fn a_service_left_in_the_background_is_not_waited_for() {
    let (_, ended) = run(&[sh("echo started; sleep 2 &")]).remove(0);
    assert_eq!((ended.ending, ended.text().as_str()), (Ending::Exited(0), "started\n"));
    assert!(ended.took < Duration::from_secs(2));
}

#[test]
fn a_missing_program_is_heard_of_like_any_other_end() {
    let (_, ended) = run(&[Job::new(["/no/such/program"], Duration::MAX)]).remove(0);
    assert_eq!(ended.ending, Ending::NotStarted);
    assert!(ended.last_words().contains("/no/such/program"), "{}", ended.last_words());
}

#[test]
fn a_flood_of_output_is_kept_within_bounds() {
    let mut job = sh("yes out | head -c 2000000; yes err | head -c 2000000 >&2; echo last >&2");
    job.keep = 1000;
    let (_, ended) = run(&[job]).remove(0);
    assert_eq!((ended.stdout.len(), ended.stderr.len(), ended.truncated), (1000, 1000, true));
    assert!(ended.last_words().ends_with("last"));
}

#[test]
fn a_followed_child_is_heard_while_it_runs_and_a_flood_is_passed_on_in_parts() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut children = Children::new(Signals::listen().unwrap()).unwrap();
    // It ends only when it is answered, which takes that it was heard before.
    let mut job =
        sh("echo first; echo oops >&2; until [ -e \"$0\" ]; do sleep 0.05; done; yes x | head -c 3000000");
    let dir = tempfile::tempdir().unwrap();
    let go = dir.path().join("go");
    job.argv.push(go.clone().into());
    let id = children.start(&job);
    children.follow(id);
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let ended = loop {
        match children.next(None).unwrap() {
            Some(ChildEvent::Said(_, said)) => {
                assert!(said.stdout.len() < EARFUL + 16 * 1024);
                stdout.extend(said.stdout);
                stderr.extend(said.stderr);
                if stdout == b"first\n" && stderr == b"oops\n" {
                    std::fs::write(&go, "").unwrap();
                }
            }
            Some(ChildEvent::Ended(_, ended)) => break ended,
            _ => {}
        }
    };
    assert!(ended.succeeded() && ended.stdout.is_empty() && ended.stderr.is_empty());
    assert_eq!((stdout.len(), stderr.as_slice()), (3_000_006, &b"oops\n"[..]));
}

#[test]
fn many_children_end_in_the_order_they_finish() {
    let jobs: Vec<Job> = (0..200).map(|_| Job::new(["true"], Duration::from_secs(20))).collect();
    assert!(run(&jobs).iter().all(|(_, ended)| ended.succeeded()));
    let order: Vec<usize> =
        run(&[sh("sleep 0.3"), sh("sleep 0.1")]).into_iter().map(|(which, _)| which).collect();
    assert_eq!(order, [1, 0]);
}
