//! Real containers under real shims: namespaces, cgroups, an overlay on one layer, a static busybox inside.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

mod fixture;
mod hostile;
mod inside;
mod life;
mod output;
