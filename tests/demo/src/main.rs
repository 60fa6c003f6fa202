//! `cargo demo` (an alias in `.cargo/config.toml`): builds the gateway with its sandbox and starts
//! `passerelle demo`, whose source is `api/src/demo`.
//!
//! Cargo does not say how long a build takes. This program does, before the first one.

use std::{
    env, fs, io,
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode},
};

const FIRST_BUILD: &str = "\
Passerelle is compiled first, together with the whole WhatsApp protocol.
This happens once and takes about ten minutes on two cores; it needs a C compiler and 2 GB of memory.
The crate `waproto` alone takes several minutes, during which cargo prints nothing new.
Then the demo starts by itself. The next `cargo demo` starts at once.
";

fn main() -> ExitCode {
    if !protocol_is_compiled().unwrap_or(false) {
        eprintln!("{FIRST_BUILD}");
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // Cargo describes this package to it in variables. Some build scripts watch them, such as ring's, so that
    // their crates would be compiled again after each build without this program.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    // `exec` replaces this process, so Ctrl-C reaches the demo and its exit status is the command's.
    let error = command
        .args(["run", "--release", "-p", "passerelle"])
        .args(["--features", "sandbox", "--", "demo"])
        .args(env::args_os().skip(1))
        .exec();
    eprintln!("cargo demo: starting cargo: {error}");
    ExitCode::FAILURE
}

/// Whether an earlier build left the protocol's crate beside this program.
fn protocol_is_compiled() -> io::Result<bool> {
    let dependencies = env::current_exe()?.with_file_name("deps");
    for entry in fs::read_dir(dependencies)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("libwaproto-") && name.ends_with(".rlib") {
            return Ok(true);
        }
    }
    Ok(false)
}
