//! BuildKit's protocol: its messages, and both ends of it.
//!
//! ```text
//!  client                                             engine
//!    POST /grpc ── h2c ──►  Control.Solve, Status, …     Service
//!                           LLBBridge (a client's own frontend drives the build)
//!    POST /session ── h2c, roles turned round ──
//!    attach::Session ◄──    FileSync, FileSend, Auth, Secrets, SSH, Upload
//! ```
//!
//! | module | is |
//! |---|---|
//! | [`proto`] | the messages |
//! | [`client`] | asking an engine to build |
//! | [`attach`] | what a client offers a build: directories, secrets, agents, places for results |
//! | [`serve`] | the engine's end: sessions |
//!
//! Directories go by `fsutil`'s packets. Nothing here builds: the engine's end speaks to the traits of `build`.

pub mod attach;
pub mod client;
mod error;
mod metadata;
pub mod problem;
pub mod proto;
pub mod serve;
mod tunnel;

use grpc::{Code, Status};

/// The frontend attribute of our own by which a client wants to hear why each step runs.
pub const EXPLAIN: &str = "ketch.explain";

/// A name that nobody else has, for builds, sessions and refs: 25 characters, as BuildKit's own are.
pub fn identity() -> Result<String, Status> {
    let mut bytes = [0; 25];
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    match filled {
        Ok(25) => {}
        _ => return Err(Status::new(Code::Internal, "the kernel gives no random bytes")),
    }
    const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz012345";
    Ok(bytes.iter().map(|byte| char::from(DIGITS[usize::from(byte % 32)])).collect())
}
