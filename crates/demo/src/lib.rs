//! `ketch demo`: the main job on a machine that has nothing but this binary.
//!
//! It starts an engine of its own in a scratch folder, makes an image out of the running executable, runs containers
//! of it through the ordinary command line, sends the image to a registry of its own and gets it back, builds another one
//! and runs both as a Compose project with a network, a published port and a volume, joins a running container, kills the engine with SIGKILL while that one works, starts it again, and shows that neither a line nor the
//! exit code was lost. Nothing is downloaded and nothing is left behind.

mod application;
mod asker;
mod image;
mod inside;
mod story;

pub use inside::main as inside;

/// Runs the demo and returns the exit code.
pub fn main() -> i32 {
    match story::tell() {
        Ok(()) => 0,
        Err(error) => {
            story::say(&format!("\nthe demo failed: {error}"));
            1
        }
    }
}
