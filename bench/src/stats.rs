//! Medians with their spread: no average, because one stall would decide it.

use std::time::Duration;

/// What remains of one case's samples on one engine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Figure {
    pub(crate) median: f64,
    /// The 10th and the 90th percentile.
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Figure {
    pub(crate) fn of(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        // The value below which this part of the samples lies.
        let at = |part: f64| {
            let index = (samples.len().saturating_sub(1)) as f64 * part;
            samples.get(index.round() as usize).copied().unwrap_or(f64::NAN)
        };
        Self { median: at(0.5), low: at(0.1), high: at(0.9) }
    }

    /// `median (10th–90th percentile)`, in seconds where milliseconds have too many digits.
    pub(crate) fn show(&self, unit: &str) -> String {
        let (scale, unit) = if unit == "ms" && self.median >= 1000.0 { (0.001, "s") } else { (1.0, unit) };
        let [median, low, high] = [self.median, self.low, self.high].map(|value| digits(value * scale));
        format!("{median} {unit} ({low}–{high})")
    }
}

/// Three digits are more than a machine repeats.
fn digits(value: f64) -> String {
    match value {
        tiny if tiny < 1.0 => format!("{tiny:.2}"),
        small if small < 100.0 => format!("{small:.1}"),
        large => format!("{large:.0}"),
    }
}

pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_ignores_a_stall() {
        assert_eq!(Figure::of(vec![2.0, 900.0, 1.0, 3.0, 2.5]).median, 2.5);
        assert_eq!(Figure::of(vec![1.0, 2.0, 3.0]).show("ms"), "2.0 ms (1.0–3.0)");
        assert_eq!(Figure::of(vec![1500.0, 1200.0, 20_100.0]).show("ms"), "1.5 s (1.2–20.1)");
        assert_eq!(Figure::of(vec![153.94]).show("MB"), "154 MB (154–154)");
    }
}
