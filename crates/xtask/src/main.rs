//! Checks and generators. `cargo xtask` lists the verbs; CI calls the same ones.

mod record;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((verb, rest)) if verb == "record" => record::run(rest),
        _ => {
            println!("record   ask a real dockerd and write tests/recordings");
            Ok(())
        }
    }
}
