//! The curves of a policy as a picture.

use std::{fmt::Write as _, time::Duration};

use super::{curve::Curve, policy::Policy};

/// The size of the picture, and of the space round the curves.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 16.0;
const BOTTOM: f64 = 36.0;
const TOP: f64 = 28.0;
/// How many straight lines make a curve.
const POINTS: u32 = 160;

/// Draws how likely each gap is, as SVG: one curve for replies, warm and cold messages. The time runs with its logarithm, and
/// each curve is drawn as high as the others.
pub fn svg(policy: &Policy) -> String {
    let curves = [
        ("reply", "#0a7d5a", &policy.reply),
        ("warm", "#b36b00", &policy.warm),
        ("cold", "#1f5fbf", &policy.cold),
    ];
    let seconds = |duration: Duration| duration.as_secs_f64().max(0.1);
    let least = curves.iter().map(|(.., curve)| seconds(curve.floor()));
    let most = curves.iter().map(|(.., curve)| seconds(curve.ceiling()));
    let axis = Axis {
        least: least.fold(f64::MAX, f64::min) / 1.25,
        most: most.fold(0.0, f64::max) * 1.25,
    };
    let name: &str = policy.preset.into();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<title>Gaps of the preset {name}</title>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
    );
    axis.draw(&mut svg);
    let mut x = LEFT;
    for (class, colour, curve) in curves {
        let points = axis.points(curve);
        let _ = writeln!(
            svg,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{points}\"/>\n\
             <text x=\"{x}\" y=\"18\" fill=\"{colour}\">{class}: {} to {} s</text>",
            curve.floor().as_secs_f64(),
            curve.ceiling().as_secs_f64(),
        );
        x += 130.0;
    }
    svg.push_str("</svg>\n");
    svg
}

/// The axis of time, in seconds.
struct Axis {
    least: f64,
    most: f64,
}

impl Axis {
    fn x(&self, seconds: f64) -> f64 {
        let part = libm::log(seconds / self.least) / libm::log(self.most / self.least);
        part.mul_add(WIDTH - 2.0 * LEFT, LEFT)
    }

    fn points(&self, curve: &Curve) -> String {
        let (floor, ceiling) = (curve.floor().as_secs_f64(), curve.ceiling().as_secs_f64());
        let at = |point: u32| {
            let part = f64::from(point) / f64::from(POINTS);
            let gap = (floor * libm::pow(ceiling / floor, part)).clamp(floor, ceiling);
            // The likelihood by the logarithm of the time, as the axis shows it.
            (gap, curve.density(Duration::from_secs_f64(gap)) * gap)
        };
        let points: Vec<_> = (0..=POINTS).map(at).collect();
        let highest = points
            .iter()
            .fold(f64::MIN_POSITIVE, |most, (_, y)| most.max(*y));
        let room = HEIGHT - BOTTOM - TOP;
        let ground = HEIGHT - BOTTOM;
        let mut drawn = vec![format!("{:.1},{ground:.1}", self.x(floor))];
        drawn.extend(points.iter().map(|(gap, likely)| {
            let y = ground - likely / highest * room;
            format!("{:.1},{y:.1}", self.x(*gap))
        }));
        drawn.push(format!("{:.1},{ground:.1}", self.x(ceiling)));
        drawn.join(" ")
    }

    fn draw(&self, svg: &mut String) {
        let ground = HEIGHT - BOTTOM;
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" y1=\"{ground}\" x2=\"{}\" y2=\"{ground}\" stroke=\"#666\"/>",
            WIDTH - LEFT
        );
        for mark in [1_u32, 2, 5, 10, 20, 50, 100, 200, 500] {
            let seconds = f64::from(mark);
            if seconds < self.least || seconds > self.most {
                continue;
            }
            let (x, y) = (self.x(seconds), ground + 18.0);
            let _ = writeln!(
                svg,
                "<line x1=\"{x:.1}\" y1=\"{ground}\" x2=\"{x:.1}\" y2=\"{}\" stroke=\"#666\"/>\n\
                 <text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\" fill=\"#444\">{mark} s</text>",
                ground + 5.0
            );
        }
    }
}
