//! The shell completions: written for every program, and what a shell can read.

use bed::Bed;

#[test]
fn every_program_has_completions_that_a_shell_can_read() {
    let bed = Bed::new();
    let built = std::env::current_exe().unwrap();
    // The test executable lies in `deps`, beside `examples`; cargo builds both for a test run.
    let writer = built.parent().unwrap().parent().unwrap().join("examples/completions");
    assert!(writer.exists(), "{} is built by cargo test", writer.display());
    bed.external(writer).arg(bed.path("completions")).run();
    for program in
        ["seqfile", "cstartup", "cshutdown", "csLogger", "habackup", "harestore", "ha-release", "ha-takeover"]
    {
        bed.external("/bin/bash").args(["-n", &format!("completions/{program}.bash")]).run();
        for file in [format!("_{program}"), format!("{program}.fish")] {
            assert!(!bed.read(format!("completions/{file}")).is_empty(), "{file}");
        }
    }
    let said = bed.read("completions/cshutdown.bash");
    assert!(said.contains("--force-off"), "flags are completed");
}
