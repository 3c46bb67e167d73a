//! The word that was probably meant.

/// The nearest of the known words, if one is near.
pub(crate) fn nearest<'w>(typed: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    // A word of two letters is near to every other one.
    let limit = (typed.chars().count() / 3).min(3);
    known
        .map(|word| (distance(typed, word), word))
        .filter(|(far, _)| *far <= limit)
        .min()
        .map(|(_, word)| word)
}

/// How many letters are to be changed, added, left out or swapped.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = change.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_near_and_other_words_are_not() {
        let known = ["image", "ports", "volumes", "environment"];
        let near = |typed| nearest(typed, known.into_iter());
        assert_eq!(near("imagee"), Some("image"));
        assert_eq!(near("prots"), Some("ports"));
        assert_eq!(near("enviroment"), Some("environment"));
        assert_eq!(near("banana"), None);
        assert_eq!(nearest("a", ["b"].into_iter()), None);
    }
}
