//! End-to-end tests: one module per subject, one isolated engine per test. See the documentation of `testkit`.
//!
//! A test says what it covers of docs/compatibility.md by a line `// covers: …` above it; CONTRIBUTING.md has the form.

mod at_a_terminal;
mod autostart;
mod bad_input;
mod cli;
mod cli_globals;
mod cli_plugins;
mod containers;
mod corpus;
mod daemon_config;
mod devices;
mod disk_trouble;
mod docker_py;
mod engine_log;
mod errors;
mod events;
mod far_engines;
mod handover;
mod leak_check;
mod listening;
mod listings;
mod login;
mod ping_version_info;
mod probe;
mod recorded;
mod registry;
mod reload;
mod replayed;
mod seccomp;
mod service;
mod settings;
mod settings_in_containers;
mod shutdown;
mod swarm_refused;
mod system_df;
mod tls;
