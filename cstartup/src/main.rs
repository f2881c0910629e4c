//! The program; everything is in the library beside it, where tests can reach it.

fn main() -> std::process::ExitCode {
    orderly_exec::main(cstartup::run)
}
