//! Byte ranges: of downloads (RFC 9110) and of uploads (the distribution specification).

use std::ops::Range;

/// What a `Range` header asks for of something `size` bytes long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Everything: there is no range, or none that we have to understand.
    Whole,
    Part(Range<u64>),
    Unsatisfiable,
}

/// Reads `bytes=a-b`, `bytes=a-` and `bytes=-n`. Several ranges at once may be answered by the whole, and are.
pub(crate) fn wanted(header: &str, size: u64) -> Wanted {
    let Some(spec) = header.trim().strip_prefix("bytes=") else { return Wanted::Whole };
    let Some((first, last)) = spec.split_once('-') else { return Wanted::Whole };
    if spec.contains(',') {
        return Wanted::Whole;
    }
    match (number(first), number(last)) {
        (Some(first), Some(last)) if last < first => Wanted::Whole,
        (Some(first), _) if first >= size && (last.is_empty() || number(last).is_some()) => {
            Wanted::Unsatisfiable
        }
        (Some(first), Some(last)) => Wanted::Part(first..last.saturating_add(1).min(size)),
        (Some(first), None) if last.is_empty() => Wanted::Part(first..size),
        (None, Some(0)) if first.is_empty() => Wanted::Unsatisfiable,
        (None, Some(_)) if first.is_empty() && size == 0 => Wanted::Unsatisfiable,
        (None, Some(count)) if first.is_empty() => Wanted::Part(size.saturating_sub(count)..size),
        _ => Wanted::Whole,
    }
}

/// Reads an upload's `Content-Range`: `<start>-<end>`, both inclusive, and nothing around it but a client's `bytes `.
pub(crate) fn chunk(header: &str) -> Option<Range<u64>> {
    let text = header.strip_prefix("bytes ").unwrap_or(header);
    let text = text.split('/').next().unwrap_or_default();
    let (first, last) = text.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?.checked_add(1)?);
    (first < last).then_some(first..last)
}

/// Digits alone: no sign, no space.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // More than fits is beyond every end.
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn downloads() {
        assert_eq!(wanted("bytes=0-3", 10), Wanted::Part(0..4));
        assert_eq!(wanted("bytes=4-", 10), Wanted::Part(4..10));
        assert_eq!(wanted("bytes=-3", 10), Wanted::Part(7..10));
        assert_eq!(wanted("bytes=-30", 10), Wanted::Part(0..10));
        assert_eq!(wanted("bytes=8-99999999999999999999999", 10), Wanted::Part(8..10));
        for whole in
            ["", "bytes=", "bytes=-", "bytes=3-1", "bytes=0-1,3-4", "items=0-1", "bytes=a-b", "bytes=+1-2"]
        {
            assert_eq!(wanted(whole, 10), Wanted::Whole, "{whole}");
        }
        for beyond in ["bytes=10-", "bytes=10-11", "bytes=-0"] {
            assert_eq!(wanted(beyond, 10), Wanted::Unsatisfiable, "{beyond}");
        }
        assert_eq!(wanted("bytes=-1", 0), Wanted::Unsatisfiable);
    }

    #[test]
    fn uploads() {
        assert_eq!(chunk("0-0"), Some(0..1));
        assert_eq!(chunk("5-9"), Some(5..10));
        assert_eq!(chunk("bytes 5-9/*"), Some(5..10));
        for wrong in ["", "-", "5", "9-5", "a-b", "0-18446744073709551615", " 0-1", "-1-1"] {
            assert_eq!(chunk(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_part_lies_within(header in "(bytes=)?[0-9,+ -]{0,30}", size in 0u64..100) {
            if let Wanted::Part(part) = wanted(&header, size) {
                prop_assert!(part.start < part.end && part.end <= size);
            }
            if let Some(range) = chunk(&header) {
                prop_assert!(range.start < range.end);
            }
        }
    }
}
