//! "did you mean COPY?"

/// Which of `options` is nearest to `value`: fewer than three letters away, the first of equals. Nothing if `value` is
/// one of them, because then it's not the name that is wrong.
pub fn nearest<'a>(value: &str, options: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut best = None;
    let mut distance = 3;
    for option in options {
        if option == value {
            return None;
        }
        let away = levenshtein(value, option, distance);
        if away < distance {
            (best, distance) = (Some(option), away);
        }
    }
    best
}

/// What goes after a message about `value`.
pub fn did_you_mean<'a>(value: &str, options: impl IntoIterator<Item = &'a str>) -> String {
    nearest(value, options).map(|option| format!(" (did you mean {option}?)")).unwrap_or_default()
}

/// The same where case doesn't matter; `options` are in capitals, and the answer is in the case that `value` has.
pub(crate) fn did_you_mean_word(value: &str, options: &[&str]) -> String {
    let upper = value.to_uppercase();
    match nearest(&upper, options.iter().copied()) {
        Some(option) if value == upper => format!(" (did you mean {option}?)"),
        Some(option) => format!(" (did you mean {}?)", option.to_lowercase()),
        None => String::new(),
    }
}

/// How many letters differ, or `limit` if it's at least so many: a long name isn't compared letter by letter.
fn levenshtein(left: &str, right: &str, limit: usize) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    if left.len().abs_diff(right.len()) >= limit {
        return limit;
    }
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, from) in left.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default().min(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_at_most_two_letters_away() {
        for (value, nearest) in [("COPYY", "COPY"), ("FORM", "FROM"), ("rnu", "run"), ("Envv", "env")] {
            assert_eq!(
                did_you_mean_word(value, &["FROM", "COPY", "RUN", "ENV"]),
                format!(" (did you mean {nearest}?)"),
            );
        }
        for value in ["COPY", "XXXXX", "a very long name that is nothing like it"] {
            assert_eq!(did_you_mean_word(value, &["COPY"]), "");
        }
    }
}
