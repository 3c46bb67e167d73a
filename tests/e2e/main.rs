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
mod image_limits;
mod import;
mod leak_check;
mod listening;
mod listings;
mod login;
mod ping_version_info;
mod platforms;
mod probe;
mod pull;
mod push;
mod recorded;
mod registry_faults;
mod reload;
mod replayed;
mod rmi;
mod save_load;
mod seccomp;
mod service;
mod settings;
mod settings_in_containers;
mod shutdown;
mod swarm_refused;
mod system_df;
mod tls;
