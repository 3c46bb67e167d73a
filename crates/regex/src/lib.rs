//! The `regex` crate with what is used of it: one engine, and the Unicode classes that Go's expressions know.
//!
//! `oci-spec` asks for all of `regex`' features for an expression of digits, and features add up over a whole program: half a megabyte of engines
//! and tables. By `[patch.crates-io]` it gets this package, whose version is above any other one, and this one alone says which features there are.

pub use real::*;

#[cfg(test)]
mod tests {
    #[test]
    fn what_people_write_is_understood() {
        for (expression, text) in
            [(r"(?i)^straße\b", "STRASSE"), (r"^\p{Lu}\p{Greek}+$", "Ωμέγα"), (r"^\w+\s\d{2}$", "é\u{a0}42")]
        {
            let matches = super::Regex::new(expression).unwrap().is_match(text);
            // Case is folded by letters, never to two of them.
            assert_eq!(matches, !expression.contains('ß'), "{expression}");
        }
        assert!(super::Regex::new("(?i)ΣΑΣ").unwrap().is_match("σας"));
    }
}
