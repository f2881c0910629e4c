//! clush and pdsh: the one call that runs a command on many nodes.
//!
//! How many nodes are reached at a time is theirs (`-f`), and so is what lies between: gateways are
//! ClusterShell's topology.conf. A node that hangs takes one place of that many until its limit (`-u`).

use super::quoting::quote;
use super::ssh::Ssh;
use crate::roster::Member;
use crate::template::Template;
use nix::sys::signal::Signal;
use orderly_exec::job::Job;
use orderly_plan::inventory::Groups;
use orderly_plan::nodeset;
use std::path::PathBuf;
use std::time::Duration;

/// The settings of `driver = "clush"` and `driver = "pdsh"`, programs that run a command on many nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parallel {
    pub tool: ParallelTool,
    /// The program, and what it gives to ssh.
    pub ssh: Ssh,
    /// What it reaches nodes by (`-R`); none is its own default.
    pub worker: Option<String>,
    /// What takes the command to a node, in the place of a worker of its own.
    pub run: Option<Template>,
    /// clush: the file that says which gateway leads where, when it is not in its usual place.
    pub topology: Option<PathBuf>,
    /// Nodes are called by their names even where they have an address.
    pub names: bool,
}

/// A program that runs a command on many nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParallelTool {
    Clush,
    Pdsh,
}

impl ParallelTool {
    /// Returns the word of `driver`, which is also the program's usual name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Clush => "clush",
            Self::Pdsh => "pdsh",
        }
    }
}

/// One argument may have 128 KiB.
const LONGEST: usize = 126 * 1024;

/// What the program itself may need beside the nodes' commands.
const MARGIN: Duration = Duration::from_secs(10);

/// A command for many nodes, ready to be sent.
#[derive(Debug)]
pub(crate) struct BatchCall<'e> {
    /// The line for the nodes' shells.
    pub line: &'e str,
    /// For the command on one node.
    pub limit: Duration,
    /// Nodes at a time.
    pub fanout: usize,
}

/// Returns what a node is called in the call, and in its answers.
pub(crate) fn target<'m>(parallel: &Parallel, node: &'m Member) -> &'m str {
    if parallel.names { &node.name } else { &node.address }
}

/// Returns why a node cannot be named to the program: it would be taken for something else.
pub(crate) fn unnamable(parallel: &Parallel, node: &Member) -> Option<String> {
    let target = target(parallel, node);
    // pdsh reads `rcmd:user@host`.
    let colon = parallel.tool == ParallelTool::Clush;
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c) || (colon && c == ':');
    let is_plain = !target.is_empty() && !target.starts_with('-') && target.chars().all(plain);
    (!is_plain).then(|| {
        format!(
            "node {}: {} would take \"{target}\" for its own syntax; give the node another address, or \
             names = true in [shell]",
            node.name,
            parallel.tool.word()
        )
    })
}

/// Returns the call for these nodes.
///
/// # Errors
/// When the command line would be longer than the kernel takes.
pub(crate) fn job(parallel: &Parallel, nodes: &[&Member], remote: &BatchCall<'_>) -> Result<Job, String> {
    let set = nodeset::fold(nodes.iter().map(|node| target(parallel, node)));
    let connecting = whole_seconds(parallel.ssh.connect_timeout);
    // The program counts from before it connects, and ours is the limit that counts.
    let limit = whole_seconds(remote.limit).saturating_add(connecting).saturating_add(1);
    let mut argv: Vec<String> = vec![parallel.ssh.program.clone()];
    match parallel.tool {
        ParallelTool::Clush => {
            // Whatever clush.conf says: exit statuses node by node, and no colours in the names.
            argv.extend(["-q", "--color=never", "-O", "maxrc=no", "--nostdin"].map(str::to_owned));
            if let Some(topology) = &parallel.topology {
                argv.push(format!("--topology={}", topology.display()));
            }
        }
        // It ends its ssh processes when it is interrupted in this mode, and never when it is terminated.
        ParallelTool::Pdsh => argv.push("-b".into()),
    }
    let worker = if parallel.run.is_some() { Some("exec") } else { parallel.worker.as_deref() };
    argv.extend(worker.into_iter().flat_map(|worker| ["-R".to_owned(), worker.to_owned()]));
    for (flag, number) in [("-f", remote.fanout as u64), ("-t", connecting), ("-u", limit)] {
        argv.extend([flag.to_owned(), number.to_string()]);
    }
    if let Some(user) = &parallel.ssh.user {
        argv.extend(["-l".to_owned(), user.clone()]);
    }
    let options = ssh_options(parallel);
    if parallel.tool == ParallelTool::Clush && worker.is_none_or(|worker| worker == "ssh") {
        // clush takes them apart as a shell does.
        argv.extend(["-o".to_owned(), quote(&options)]);
    }
    argv.extend(["-w".to_owned(), set]);
    argv.extend(command_words(parallel, remote.line));
    if argv.iter().any(|word| word.len() > LONGEST) {
        return Err(format!(
            "the call of {} would be longer than a command line can be",
            parallel.ssh.program
        ));
    }
    let rounds = u32::try_from(nodes.len().div_ceil(remote.fanout.max(1))).unwrap_or(u32::MAX);
    let each = Duration::from_secs(limit) + MARGIN;
    let mut job = Job::new(argv, each.saturating_mul(rounds.max(1)));
    match parallel.tool {
        // Into a pipe it would print the answers of all when the last node has ended.
        ParallelTool::Clush => job.env.push(("PYTHONUNBUFFERED".into(), "1".into())),
        ParallelTool::Pdsh => {
            job.tell = Signal::SIGINT;
            job.env.push(("PDSH_SSH_ARGS_APPEND".into(), escape_places(&options.join(" ")).into()));
        }
    }
    Ok(job)
}

/// Returns what stands behind the nodes: the line, or what takes it to each of them.
fn command_words(parallel: &Parallel, line: &str) -> Vec<String> {
    let pdsh = parallel.tool == ParallelTool::Pdsh;
    let Some(run) = &parallel.run else {
        // pdsh puts in %h, %u and %n with every worker, clush only with exec.
        return vec![if pdsh { escape_places(line) } else { line.to_owned() }];
    };
    // A control character stands for the node while the rest is made safe: no name or line has it.
    let hole = Member {
        name: "\u{1}".into(),
        number: None,
        address: "\u{1}".into(),
        groups: Groups::default(),
        kind: crate::roster::MemberKind::Node,
        bmc: None,
        attributes: std::collections::BTreeMap::new(),
    };
    let words = run.fill_as_is(&[&hole], line);
    let words: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    // pdsh starts the program with these words, clush gives one line to a shell.
    let words = if pdsh { words } else { vec![quote(&words)] };
    words.iter().map(|word| escape_places(word).replace('\u{1}', "%h")).collect()
}

fn escape_places(text: &str) -> String {
    text.replace('%', "%%")
}

fn ssh_options(parallel: &Parallel) -> Vec<String> {
    let mut options = parallel.ssh.options.clone();
    options.extend(parallel.ssh.safeguards());
    options.push("-T".into());
    if let Some(port) = parallel.ssh.port {
        options.extend(["-p".to_owned(), port.to_string()]);
    }
    options
}

fn whole_seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0)).clamp(1, 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::tests::member;

    fn parallel(tool: ParallelTool) -> Parallel {
        Parallel {
            tool,
            ssh: Ssh {
                program: tool.word().into(),
                user: Some("root".into()),
                port: Some(2222),
                connect_timeout: Duration::from_millis(2500),
                options: vec!["-F".into(), "/etc/orderly/ssh_config".into()],
            },
            worker: (tool == ParallelTool::Pdsh).then(|| "ssh".into()),
            run: None,
            topology: None,
            names: false,
        }
    }

    fn call(parallel: &Parallel, line: &str) -> Job {
        let (one, two) = (member("n1", 1), member("n2", 2));
        let remote = BatchCall { line, limit: Duration::from_secs(20), fanout: 64 };
        job(parallel, &[&one, &two], &remote).unwrap()
    }

    fn words(job: &Job) -> Vec<&str> {
        job.argv.iter().map(|word| word.to_str().unwrap()).collect()
    }

    const SSH: &str = "-F /etc/orderly/ssh_config -o BatchMode=yes -o ConnectTimeout=2 -o ControlMaster=no \
                       -o ControlPath=none -o ServerAliveInterval=10 -o ServerAliveCountMax=3 -T -p 2222";

    #[test]
    fn clush_gets_all_nodes_at_once_and_ssh_its_options() {
        let job = call(&parallel(ParallelTool::Clush), "echo 100% %h");
        let expected = [
            "clush",
            "-q",
            "--color=never",
            "-O",
            "maxrc=no",
            "--nostdin",
            "-f",
            "64",
            "-t",
            "3",
            "-u",
            "24",
            "-l",
            "root",
            "-o",
            SSH,
            "-w",
            "10.0.0.[1-2]",
            "echo 100% %h",
        ];
        assert_eq!(words(&job), expected);
        assert_eq!((job.stdin.as_slice(), job.tell), (&b""[..], Signal::SIGTERM));
        assert_eq!(job.env, [("PYTHONUNBUFFERED".into(), "1".into())]);
    }

    #[test]
    fn pdsh_puts_no_places_into_the_command_and_gets_no_input() {
        let mut parallel = parallel(ParallelTool::Pdsh);
        parallel.names = true;
        let job = call(&parallel, "echo 100% %h");
        let expected = [
            "pdsh",
            "-b",
            "-R",
            "ssh",
            "-f",
            "64",
            "-t",
            "3",
            "-u",
            "24",
            "-l",
            "root",
            "-w",
            "n[1-2]",
            "echo 100%% %%h",
        ];
        assert_eq!(words(&job), expected);
        assert_eq!(job.env, [("PDSH_SSH_ARGS_APPEND".into(), SSH.into())]);
        assert!(job.stdin.is_empty() && job.tell == Signal::SIGINT);
    }

    #[test]
    fn a_program_of_the_site_takes_the_command_to_each_node() {
        let run = ["my rsh", "-n{node}", "50%", "{command}"].map(str::to_owned);
        for (tool, expected) in [
            (ParallelTool::Clush, vec!["'my rsh' '-n%h' '50%%' 'echo %%h it'\\''s'"]),
            (ParallelTool::Pdsh, vec!["my rsh", "-n%h", "50%%", "echo %%h it's"]),
        ] {
            let mut parallel = parallel(tool);
            parallel.run = Some(Template::parse(&run).unwrap());
            let job = call(&parallel, "echo %h it's");
            let words = words(&job);
            assert!(words.windows(2).any(|pair| pair == ["-R", "exec"]), "{words:?}");
            assert_eq!(words[words.len() - expected.len()..], expected, "{words:?}");
        }
    }

    #[test]
    fn what_the_programs_would_take_for_syntax_is_not_passed() {
        let (clush, pdsh) = (parallel(ParallelTool::Clush), parallel(ParallelTool::Pdsh));
        for (address, for_clush, for_pdsh) in [
            ("n1", true, true),
            ("n1.example.com", true, true),
            ("10.0.0.1", true, true),
            ("fe80::1", true, false),
            ("@group", false, false),
            ("n[1-2]", false, false),
            ("-x", false, false),
            ("^file", false, false),
            ("/n.*/", false, false),
            ("root@n1", false, false),
            ("n1,n2", false, false),
            ("n1!n2", false, false),
            ("a b", false, false),
            ("%h", false, false),
            ("n*", false, false),
            ("", false, false),
        ] {
            let mut node = member("n1", 1);
            node.address = address.into();
            for (parallel, fine) in [(&clush, for_clush), (&pdsh, for_pdsh)] {
                assert_eq!(unnamable(parallel, &node).is_none(), fine, "{:?} {address}", parallel.tool);
            }
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_said_so() {
        let one = member("n1", 1);
        let line = "x".repeat(LONGEST + 1);
        let remote = BatchCall { line: &line, limit: Duration::from_secs(1), fanout: 1 };
        assert!(job(&parallel(ParallelTool::Pdsh), &[&one], &remote).unwrap_err().contains("longer"));
    }
}
