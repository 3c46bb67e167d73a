//! One binary, several roles: the arguments decide. Nothing but dispatch happens here.

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let code = match args.get(1).map(String::as_str) {
        Some("shim") => shim::main(&args[2..]),
        _ => 125,
    };
    std::process::exit(code);
}
