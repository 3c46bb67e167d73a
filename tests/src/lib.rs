//! End-to-end tests live in `e2e/`, one module per subject. This library holds what they share with the fuzzer.

pub mod fuzzing;
