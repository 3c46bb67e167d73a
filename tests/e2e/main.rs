//! One module per subject.
