//! Medians with their spread: no average, because one stall would decide it.

use std::time::Duration;

/// Sorted samples of one case on one engine.
#[derive(Debug, Clone)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn new(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    pub(crate) fn median(&self) -> f64 {
        self.at(0.5)
    }

    /// The value below which this part of the samples lies.
    fn at(&self, part: f64) -> f64 {
        let index = (self.0.len().saturating_sub(1)) as f64 * part;
        self.0.get(index.round() as usize).copied().unwrap_or(f64::NAN)
    }

    /// `median (10th–90th percentile)`.
    pub(crate) fn show(&self, unit: &str) -> String {
        format!("{:.1} {unit} ({:.1}–{:.1})", self.median(), self.at(0.1), self.at(0.9))
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
        assert_eq!(Samples::new(vec![2.0, 900.0, 1.0, 3.0, 2.5]).median(), 2.5);
        assert_eq!(Samples::new(vec![1.0, 2.0, 3.0]).show("ms"), "2.0 ms (1.0–3.0)");
    }
}
