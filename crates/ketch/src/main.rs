//! `ketch`: which of its roles the arguments ask for.

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let argv0 = args.next().unwrap_or_else(|| OsString::from("ketch"));
    let code = cli::main(&argv0, args.collect());
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
