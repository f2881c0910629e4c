//! The pdsh driver against the real pdsh and real logins.

use crate::real_shells;

#[test]
fn one_call_for_each_ready_set() {
    real_shells::one_call_for_each_ready_set("pdsh");
}

#[test]
fn a_node_that_hangs_holds_nobody_and_is_ended_with_the_call() {
    real_shells::a_node_that_hangs_holds_nobody_and_is_ended_with_the_call("pdsh");
}

#[test]
fn garbage_speaks_for_nobody() {
    real_shells::garbage_speaks_for_nobody("pdsh");
}

#[test]
fn each_failure_is_called_by_its_name() {
    real_shells::each_failure_is_called_by_its_name("pdsh");
}

#[test]
fn a_restart_is_proven_by_boot_ids_read_in_one_call() {
    real_shells::a_restart_is_proven_by_boot_ids_read_in_one_call("pdsh");
}

#[test]
fn a_program_of_the_site_takes_the_commands() {
    real_shells::a_program_of_the_site_takes_the_commands("pdsh");
}
