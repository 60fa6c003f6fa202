//! Curves: how long a gap lasts, as a function of a drawn quantile.

use std::{f64::consts::PI, time::Duration};

use serde::Serialize;

/// The distribution of a gap. Outside floor and ceiling it is cut off, not pressed to the edge: no gap is likelier than
/// others because it is the smallest.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "shape", rename_all = "snake_case")]
pub enum Curve {
    /// Every gap between floor and ceiling is equally likely.
    Uniform {
        /// The smallest gap.
        #[serde(rename = "floor_ms", serialize_with = "super::shown::ms")]
        floor: Duration,
        /// The largest gap.
        #[serde(rename = "ceiling_ms", serialize_with = "super::shown::ms")]
        ceiling: Duration,
    },
    /// The logarithm of the gap is normal, as with pauses that people make.
    LogNormal {
        /// Half of the gaps would be smaller if nothing was cut off.
        #[serde(rename = "median_ms", serialize_with = "super::shown::ms")]
        median: Duration,
        /// The standard deviation of the logarithm.
        sigma: f64,
        /// The smallest gap.
        #[serde(rename = "floor_ms", serialize_with = "super::shown::ms")]
        floor: Duration,
        /// The largest gap.
        #[serde(rename = "ceiling_ms", serialize_with = "super::shown::ms")]
        ceiling: Duration,
    },
}

impl Curve {
    /// Returns the gap that a quantile between 0 and 1 means. A larger quantile never means a smaller gap.
    pub fn at(&self, quantile: f64) -> Duration {
        let quantile = quantile.clamp(0.0, 1.0);
        let drawn = match *self {
            Self::Uniform { floor, ceiling } => {
                floor + ceiling.saturating_sub(floor).mul_f64(quantile)
            }
            Self::LogNormal { median, sigma, .. } => {
                let (below, within) = self.kept();
                median.mul_f64(libm::exp(sigma * normal(within.mul_add(quantile, below))))
            }
        };
        // Rounding must not lead below the floor.
        drawn.clamp(self.floor(), self.ceiling())
    }

    /// Returns how likely gaps near this one are, per second.
    pub fn density(&self, gap: Duration) -> f64 {
        if gap < self.floor() || gap > self.ceiling() {
            return 0.0;
        }
        let width = (self.ceiling().saturating_sub(self.floor())).as_secs_f64();
        match *self {
            Self::Uniform { .. } => 1.0 / width,
            Self::LogNormal { median, sigma, .. } => {
                let gap = gap.as_secs_f64();
                let z = libm::log(gap / median.as_secs_f64()) / sigma;
                bell(z) / (gap * sigma * self.kept().1)
            }
        }
    }

    /// Returns the smallest gap.
    pub fn floor(&self) -> Duration {
        match *self {
            Self::Uniform { floor, .. } | Self::LogNormal { floor, .. } => floor,
        }
    }

    /// Returns the largest gap.
    pub fn ceiling(&self) -> Duration {
        match *self {
            Self::Uniform { ceiling, .. } | Self::LogNormal { ceiling, .. } => ceiling,
        }
    }

    /// Returns the mean gap and its standard deviation.
    pub fn mean(&self) -> (Duration, Duration) {
        let (floor, ceiling) = (self.floor().as_secs_f64(), self.ceiling().as_secs_f64());
        let (mean, variance) = match *self {
            Self::Uniform { .. } => (
                f64::midpoint(floor, ceiling),
                (ceiling - floor).powi(2) / 12.0,
            ),
            Self::LogNormal { median, sigma, .. } => {
                let median = median.as_secs_f64();
                // The mean of the gap's power between the two edges.
                let moment = |power: f64| {
                    let share = |edge: f64| below(libm::log(edge / median) / sigma - power * sigma);
                    let whole = libm::pow(median, power) * libm::exp((power * sigma).powi(2) / 2.0);
                    whole * (share(ceiling) - share(floor)) / self.kept().1
                };
                let mean = moment(1.0);
                (mean, moment(2.0) - mean.powi(2))
            }
        };
        let duration = Duration::from_secs_f64;
        (duration(mean), duration(variance.max(0.0).sqrt()))
    }

    /// Returns the same curve with every gap longer by a factor.
    #[must_use]
    pub fn slower(self, factor: f64) -> Self {
        let by = |duration: Duration| duration.mul_f64(factor);
        match self {
            Self::Uniform { floor, ceiling } => Self::Uniform {
                floor: by(floor),
                ceiling: by(ceiling),
            },
            Self::LogNormal {
                median,
                sigma,
                floor,
                ceiling,
            } => Self::LogNormal {
                median: by(median),
                sigma,
                floor: by(floor),
                ceiling: by(ceiling),
            },
        }
    }

    /// Returns what share of the whole log-normal curve is below the floor, and what share is kept.
    fn kept(&self) -> (f64, f64) {
        let Self::LogNormal { median, sigma, .. } = *self else {
            return (0.0, 1.0);
        };
        let median = median.as_secs_f64();
        let share = |edge: Duration| below(libm::log(edge.as_secs_f64() / median) / sigma);
        let (low, high) = (share(self.floor()), share(self.ceiling()));
        (low, high - low)
    }
}

/// Returns what share of the standard normal distribution is below `z`.
fn below(z: f64) -> f64 {
    0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)
}

/// Returns the density of the standard normal distribution.
fn bell(z: f64) -> f64 {
    libm::exp(-0.5 * z * z) / (2.0 * PI).sqrt()
}

/// Returns the value below which this share of the standard normal distribution lies.
///
/// By Newton's method from the middle. The distribution bends away from the start on either side, so each step comes
/// closer and none goes too far.
pub(crate) fn normal(share: f64) -> f64 {
    /// Shares beyond this have no use: one in a billion.
    const EDGE: f64 = 1e-9;
    /// No share takes more than about 25.
    const STEPS: usize = 50;
    let share = share.clamp(EDGE, 1.0 - EDGE);
    let mut z = 0.0;
    for _ in 0..STEPS {
        let step = (share - below(z)) / bell(z);
        z += step;
        if step.abs() < 1e-12 {
            break;
        }
    }
    z
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

    use super::*;

    const SEED: u64 = 42;
    /// The reply curve of the presets.
    const REPLY: Curve = Curve::LogNormal {
        median: Duration::from_secs(4),
        sigma: 0.5,
        floor: Duration::from_secs(2),
        ceiling: Duration::from_secs(20),
    };
    const COLD: Curve = Curve::LogNormal {
        median: Duration::from_secs(50),
        sigma: 0.4,
        floor: Duration::from_secs(30),
        ceiling: Duration::from_mins(3),
    };

    #[test]
    fn safety_curve_knows_the_normal_distribution() {
        for (share, z) in [
            (0.5, 0.0),
            (0.841_344_746_068_543, 1.0),
            (0.158_655_253_931_457, -1.0),
            (0.975, 1.959_963_984_540_054),
            (0.001, -3.090_232_306_167_813),
            (0.999_999, 4.753_424_308_822_899),
        ] {
            assert!((normal(share) - z).abs() < 1e-9, "{share}");
        }
        assert!(normal(0.0).is_finite() && normal(1.0).is_finite());
    }

    #[test]
    fn safety_curve_starts_at_the_floor_and_ends_at_the_ceiling() {
        for curve in [REPLY, COLD, COLD.slower(2.0)] {
            let near = |a: Duration, b: Duration| a.abs_diff(b) < Duration::from_millis(1);
            assert!(near(curve.at(0.0), curve.floor()));
            assert!(near(curve.at(1.0), curve.ceiling()));
            let gaps: Vec<_> = (0..=1000)
                .map(|q| curve.at(f64::from(q) / 1000.0))
                .collect();
            assert!(gaps.is_sorted());
        }
    }

    fn float(count: usize) -> f64 {
        f64::from(u32::try_from(count).unwrap())
    }

    /// Draws as the definition says: from the whole curve, again and again until the gap is inside.
    fn rejected(curve: Curve, chance: &mut StdRng) -> f64 {
        let Curve::LogNormal { median, sigma, .. } = curve else {
            panic!("a log-normal curve");
        };
        loop {
            let (a, b): (f64, f64) = (chance.random(), chance.random());
            let z = (-2.0 * (1.0 - a).ln()).sqrt() * (2.0 * PI * b).cos();
            let gap = median.as_secs_f64() * (sigma * z).exp();
            if gap >= curve.floor().as_secs_f64() && gap <= curve.ceiling().as_secs_f64() {
                return gap;
            }
        }
    }

    /// The largest distance of two empirical distributions, by Kolmogorov and Smirnov.
    fn distance(mut a: Vec<f64>, mut b: Vec<f64>) -> f64 {
        a.sort_by(f64::total_cmp);
        b.sort_by(f64::total_cmp);
        let share = |of: &[f64], x: f64| float(of.partition_point(|y| *y <= x)) / float(of.len());
        let points = a.iter().chain(&b);
        points.fold(0.0, |most, x| {
            f64::max(most, (share(&a, *x) - share(&b, *x)).abs())
        })
    }

    #[test]
    fn safety_curve_is_the_one_that_rejection_draws_without_a_spike_at_the_floor() {
        const DRAWS: usize = 20_000;
        eprintln!("seed {SEED}");
        let mut chance = StdRng::seed_from_u64(SEED);
        for curve in [REPLY, COLD] {
            let ours: Vec<_> = (0..DRAWS)
                .map(|_| curve.at(chance.random()).as_secs_f64())
                .collect();
            let theirs: Vec<_> = (0..DRAWS).map(|_| rejected(curve, &mut chance)).collect();
            let floor = curve.floor().as_secs_f64();
            let at_floor = ours.iter().filter(|gap| **gap < floor * 1.001).count();
            assert!(at_floor < DRAWS / 200, "{at_floor} gaps at the floor");
            // p > 0.01 of the test with two samples of this size.
            let most = 1.628 * (2.0 / float(DRAWS)).sqrt();
            let found = distance(ours, theirs);
            assert!(found < most, "{found} is not below {most}");
        }
    }

    #[test]
    fn safety_curve_has_a_density_that_adds_up_to_one() {
        for curve in [REPLY, COLD] {
            let (floor, ceiling) = (curve.floor().as_secs_f64(), curve.ceiling().as_secs_f64());
            let step = (ceiling - floor) / 10_000.0;
            let sum: f64 = (0..10_000)
                .map(|i| {
                    curve.density(Duration::from_secs_f64(floor + step * (f64::from(i) + 0.5)))
                })
                .sum();
            assert!((sum * step - 1.0).abs() < 1e-3, "{}", sum * step);
            assert!(curve.density(curve.floor() / 2) < f64::EPSILON);
        }
        for curve in [REPLY, COLD, COLD.slower(3.0)] {
            let gaps = (0..10_000).map(|i| curve.at((f64::from(i) + 0.5) / 10_000.0).as_secs_f64());
            let mean = gaps.clone().sum::<f64>() / 10_000.0;
            let square = gaps.map(|gap| (gap - mean).powi(2)).sum::<f64>() / 10_000.0;
            let (found, deviation) = curve.mean();
            assert!(
                (found.as_secs_f64() / mean - 1.0).abs() < 1e-3,
                "{found:?} {mean}"
            );
            assert!((deviation.as_secs_f64() / square.sqrt() - 1.0).abs() < 1e-2);
        }
        let (mean, deviation) = REPLY.mean();
        assert!((mean.as_secs_f64() - 4.79).abs() < 0.05, "{mean:?}");
        assert!((deviation.as_secs_f64() / mean.as_secs_f64() - 0.43).abs() < 0.06);
        assert!((COLD.mean().0.as_secs_f64() - 57.3).abs() < 0.5);
    }
}
