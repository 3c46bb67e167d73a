//! Nothing that is written in a Dockerfile or an ignore file makes its reader panic or go on for long.

use dockerfile::check::Findings;
use dockerfile::ignore::{Matcher, Parent};
use dockerfile::word::{Lexer, Unset};
use dockerfile::{Kind, parse, parse_trigger};
use proptest::prelude::*;

/// Text of which more is a Dockerfile than chance would give.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[A-Z]{3,11} ",
        "FROM |COPY |RUN |ADD |ENV |ONBUILD |ARG |HEALTHCHECK |LABEL |# |# escape=`|VOLUME |SHELL ",
        "\\\\\n|`\n|\n|\n\n|\r\n|\t| ",
        "<<-?[\"']?[A-C][\"']?|[A-C]\n|--[a-z]{1,6}=|--mount=type=|=|,",
        "\\[\"a\", ?|\"b\"\\]|\"|'|\\$|\\$\\{|\\}|:-|##|/",
        ".{0,6}",
        "scratch|AS a|a=b ",
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| format!("FROM scratch\n{}", pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn parsing_never_panics(text in text(), bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut findings = Findings::default();
        let _ = parse(&bytes, &mut findings);
        let Ok(dockerfile) = parse(text.as_bytes(), &mut findings) else { return Ok(()) };
        let lexer = Lexer::new(dockerfile.escape);
        let last = text.lines().count().max(1);
        for mut instruction in dockerfile.stages.into_iter().flat_map(|stage| stage.instructions) {
            prop_assert!(instruction.lines.first >= 1 && instruction.lines.last <= last);
            if let Kind::OnBuild(trigger) = &instruction.kind {
                let _ = parse_trigger(trigger, instruction.lines);
            }
            let mut word = |word: &str| lexer.expand(word, &Unset).map(|expanded| expanded.text);
            let mut content = |content: &str| Ok(content.to_owned());
            let _ = instruction.expand(&mut word, &mut content);
        }
    }

    #[test]
    fn a_directory_that_is_taken_takes_what_is_in_it_along(
        patterns in proptest::collection::vec("!?[a-c*?/.\\[\\]-]{1,8}", 0..6),
        path in "[a-c]{1,2}(/[a-c.]{1,2}){0,4}",
    ) {
        let Ok(matcher) = Matcher::new(&patterns) else { return Ok(()) };
        let mut parent = Parent::default();
        for (at, _) in path.match_indices('/') {
            let (taken, own) = matcher.matches_in(&path[..at], &parent);
            prop_assert_eq!(taken, matcher.matches(&path[..at]));
            // Where a walk may stay out of a directory, nothing in it is an exception.
            if taken && !matcher.may_except_below(&path[..at]) {
                prop_assert!(matcher.matches(&path), "{:?} {}", patterns, path);
            }
            parent = own;
        }
        prop_assert_eq!(matcher.matches_in(&path, &parent).0, matcher.matches(&path));
    }

    #[test]
    fn a_word_without_anything_special_is_itself(word in "[a-zA-Z0-9_./:=@%+,-]{0,40}") {
        let expanded = Lexer::new('\\').expand(&word, &Unset).expect("nothing can be wrong");
        prop_assert_eq!(&expanded.text, &word);
        prop_assert_eq!(expanded.words, if word.is_empty() { vec![] } else { vec![word] });
    }
}
