//! The shim alone, as the tests start it and as its memory is measured. `ketch shim` is the same function.

fn main() {
    let args: Vec<String> = std::env::args().skip(2).collect();
    std::process::exit(shim::main(&args));
}
