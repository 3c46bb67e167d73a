//! End-to-end tests: one module per subject, one isolated engine per test. See the documentation of `testkit`.
//!
//! A test says what it covers of docs/compatibility.md by a line `// covers: …` above it; CONTRIBUTING.md has the form.

mod autostart;
mod bad_input;
mod cli;
mod cli_globals;
mod containers;
mod corpus;
mod daemon_config;
mod disk_trouble;
mod errors;
mod events;
mod handover;
mod listening;
mod ping_version_info;
mod recorded;
mod settings;
mod swarm_refused;
mod system_df;
