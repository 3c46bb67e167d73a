//! How the release binary is linked.

use std::env::var;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let of_lld = var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86_64");
    if of_lld && var("PROFILE").is_ok_and(|profile| profile == "release") {
        // Functions of the same machine code are one: generic code is often the same for several types, and nothing
        // here compares functions' addresses. The linker that comes with Rust can do it; where another is used, not.
        println!("cargo:rustc-link-arg-bins=-Wl,--icf=all");
    }
}
