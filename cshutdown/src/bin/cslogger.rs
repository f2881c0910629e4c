//! The program that subsystems call to write into the log of a shutdown; see `logger`.

fn main() -> std::process::ExitCode {
    orderly_exec::main(cshutdown::logger::run)
}
