//! The order of names in documents: as people count, 2 before 10.

use std::cmp::Ordering;

/// Compares two keys as the library does that docker's client writes YAML with.
pub(crate) fn natural(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut digits = false;
    for place in 0..a.len().min(b.len()) {
        let (x, y) = (a[place], b[place]);
        if x == y {
            digits = x.is_numeric();
            continue;
        }
        return match (x.is_alphabetic(), y.is_alphabetic()) {
            (true, true) => x.cmp(&y),
            // Within a number, what goes on with a letter is over, and smaller.
            (x_letter, y_letter) if x_letter || y_letter => {
                let first = if digits { x_letter } else { y_letter };
                if first { Ordering::Less } else { Ordering::Greater }
            }
            _ => numbers(&a, &b, place),
        };
    }
    a.len().cmp(&b.len())
}

fn numbers(a: &[char], b: &[char], place: usize) -> Ordering {
    // A zero within a number counts; one before it doesn't.
    let zero = a[place] == '0' || b[place] == '0';
    let before = a[..place].iter().rev().take_while(|c| c.is_ascii_digit());
    let started = u64::from(zero && before.into_iter().any(|c| *c != '0'));
    let number = |letters: &[char]| {
        let digits = letters[place..].iter().map_while(|c| c.to_digit(10));
        digits.fold((started, place), |(number, end), digit| {
            (number.saturating_mul(10).saturating_add(u64::from(digit)), end + 1)
        })
    };
    let ((x, x_end), (y, y_end)) = (number(a), number(b));
    x.cmp(&y).then(x_end.cmp(&y_end)).then(a[place].cmp(&b[place]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_in_dockers_order() {
        let mut names = ["b10", "b9", "B", "a", "_x", "1", "a.b", "a-b", "a_b"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["_x", "1", "B", "a", "a-b", "a.b", "a_b", "b9", "b10"]);
    }
}
