//! The engine's end.

mod archive;
mod caller;
mod sessions;
#[cfg(test)]
mod tests;

pub use caller::Caller;
pub use sessions::Sessions;
