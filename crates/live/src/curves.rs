//! What a container used, over the last minutes.

use std::collections::VecDeque;

/// As many points as a wide screen shows.
const POINTS: usize = 240;

/// What a container has used at one moment; bytes and requests since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sample {
    /// Seconds of any clock.
    pub at: f64,
    /// Hundred for one processor.
    pub processor: f64,
    pub memory: f64,
    /// Received and sent.
    pub network: f64,
    /// Read and written.
    pub disk: f64,
}

/// One figure's course.
#[derive(Debug, Default)]
pub(crate) struct Curve {
    points: VecDeque<f64>,
}

impl Curve {
    fn push(&mut self, value: f64) {
        if self.points.len() == POINTS {
            self.points.pop_front();
        }
        self.points.push_back(value.max(0.0));
    }

    pub(crate) fn last(&self) -> f64 {
        self.points.back().copied().unwrap_or_default()
    }

    /// The last ones.
    pub(crate) fn tail(&self, count: usize) -> Vec<f64> {
        let skipped = self.points.len().saturating_sub(count);
        self.points.iter().skip(skipped).copied().collect()
    }
}

/// A container's courses; what is counted from its start on becomes so much a second.
#[derive(Debug, Default)]
pub(crate) struct Curves {
    pub(crate) processor: Curve,
    pub(crate) memory: Curve,
    pub(crate) network: Curve,
    pub(crate) disk: Curve,
    before: Option<Sample>,
}

impl Curves {
    pub(crate) fn push(&mut self, now: Sample) {
        self.processor.push(now.processor);
        self.memory.push(now.memory);
        if let Some(before) = self.before
            && now.at > before.at
        {
            let seconds = now.at - before.at;
            self.network.push((now.network - before.network) / seconds);
            self.disk.push((now.disk - before.disk) / seconds);
        }
        self.before = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_become_rates() {
        let mut curves = Curves::default();
        for (at, total) in [(1.0, 100.0), (3.0, 300.0), (4.0, 0.0)] {
            curves.push(Sample { at, network: total, memory: total, ..Sample::default() });
        }
        // A restarted container counts from nothing: that is no negative rate.
        assert_eq!(curves.network.tail(9), [100.0, 0.0]);
        assert_eq!((curves.memory.last(), curves.memory.tail(1)), (0.0, vec![0.0]));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut curve = Curve::default();
        (0..1000).for_each(|value| curve.push(f64::from(value)));
        assert_eq!(curve.tail(5000).len(), POINTS);
    }
}
