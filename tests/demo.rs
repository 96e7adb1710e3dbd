//! The demo as a newcomer runs it: one command, everything as promised, nothing left behind.

use std::process::{Command, Output};

fn demo(variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluicegate"));
    command.arg("demo").env_clear();
    command.envs(variables.iter().copied());
    command.output().expect("the demo can be started")
}

#[test]
fn every_act_goes_as_promised() {
    let folder = tempfile::tempdir().expect("a directory");
    let place = folder.path().to_str().expect("a plain path");
    let output = demo(&[("TMPDIR", place), ("LANG", "C"), ("TERM", "xterm")]);
    let page = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{page}\n{errors}");
    assert!(page.contains("All 8 went as promised"), "{page}");
    assert!(page.contains("1,073,741,824"), "{page}");
    assert!(
        page.is_ascii() && !page.contains('\x1b'),
        "a pipe in the C locale gets plain ASCII"
    );
    let left = folder.path().read_dir().expect("a directory").count();
    assert_eq!(left, 0, "certificates and keys are gone with the demo");
}
