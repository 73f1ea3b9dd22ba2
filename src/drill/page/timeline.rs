//! One run drawn over time: a row for each partition, whose bar has the colour of the broker that leads it and is missing
//! where no record was acknowledged.

use super::{HEAD, WIDTH, escaped, open, time};
use crate::drill::pauses::{Pause, millis};
use crate::drill::trial::Trial;
use crate::drill::watch::Sample;
use std::fmt::Write as _;
use std::time::Duration;

const GUTTER: f64 = 110.0;

/// Pixels of a row with its gap, and of what is written above the rows.
const ROW: f64 = 20.0;

/// For brokers, by id: a palette that is told apart by nearly all eyes (Okabe and Ito), without its reds, which mean
/// that something is wrong.
const COLOURS: [&str; 6] = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#8d8d2f"];

/// Acknowledgements closer than this are drawn as one bar: three records' distance at the rate that is usual.
const CLOSE: Duration = Duration::from_millis(120);

/// A stretch of time as pixels.
struct Scale {
    from: f64,
    per_second: f64,
    to: f64,
}

impl Scale {
    fn of((from, to): (Duration, Duration)) -> Self {
        let (from, to) = (from.as_secs_f64(), to.as_secs_f64());
        Self { from, to, per_second: (WIDTH - GUTTER) / (to - from).max(0.001) }
    }

    fn x(&self, at: Duration) -> f64 {
        GUTTER + (at.as_secs_f64().clamp(self.from, self.to) - self.from) * self.per_second
    }

    fn shows(&self, at: Duration) -> bool {
        (self.from..=self.to).contains(&at.as_secs_f64())
    }
}

/// The rows of a run between two moments; times are told from the fault on.
pub(super) fn picture(trial: &Trial, fault: Duration, window: (Duration, Duration)) -> String {
    let timeline = &trial.timeline;
    let scale = Scale::of(window);
    let rows = timeline.acks.len() + 1;
    let bottom = HEAD + rows as f64 * ROW;
    let mut svg = open(bottom + 22.0, "What happened when");
    grid(&mut svg, &scale, fault, bottom);
    let top = |row: usize| HEAD + row as f64 * ROW;
    controller(&mut svg, trial, &scale, top(0));
    for (place, acks) in timeline.acks.iter().enumerate() {
        let y = top(place + 1);
        let _ = write!(
            svg,
            "<text x=\"0\" y=\"{:.1}\">partition {place}</text><rect class=\"row\" x=\"{GUTTER}\" y=\"{y:.1}\" \
             width=\"{:.1}\" height=\"15\"/>",
            y + 12.0,
            WIDTH - GUTTER,
        );
        bars(&mut svg, trial, place, acks, &scale, y);
        in_sync(&mut svg, trial, place, &scale, y);
        if let Some(pause) = timeline.pauses.get(place) {
            longest(&mut svg, pause, &scale, y);
        }
    }
    let mut free_from = [f64::MIN; 2];
    for (at, what) in timeline.marks.iter().filter(|(at, _)| scale.shows(*at)) {
        let x = scale.x(*at);
        // Two lines for words; those that would run into each other are left to the mouse.
        let line = free_from.iter().position(|free| *free <= x);
        let _ = write!(
            svg,
            "<line class=\"mark\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"30\" y2=\"{bottom:.1}\"><title>{}</title></line>",
            escaped(what)
        );
        if let Some(line) = line {
            let width = what.chars().count() as f64 * 6.6 + 8.0;
            free_from[line] = x + width;
            let anchor = if x + width > WIDTH { "end" } else { "start" };
            let y = if line == 0 { 26.0 } else { 12.0 };
            let _ =
                write!(svg, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"{anchor}\">{}</text>", escaped(what));
        }
    }
    svg.push_str("</svg>");
    svg
}

fn grid(svg: &mut String, scale: &Scale, fault: Duration, bottom: f64) {
    let span = scale.to - scale.from;
    let steps = [0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0];
    let step = steps.into_iter().find(|step| span / step <= 14.0).unwrap_or(120.0);
    let zero = fault.as_secs_f64();
    let mut number = ((scale.from - zero) / step).ceil();
    while zero + number * step <= scale.to {
        let x = GUTTER + (zero + number * step - scale.from) * scale.per_second;
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{HEAD}\" y2=\"{bottom:.1}\"/>\
             <text class=\"dim\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{} s</text>",
            bottom + 15.0,
            (number * step * 100.0).round() / 100.0 + 0.0,
        );
        number += 1.0;
    }
}

/// Which broker was the controller.
fn controller(svg: &mut String, trial: &Trial, scale: &Scale, y: f64) {
    let _ = write!(svg, "<text x=\"0\" y=\"{:.1}\">controller</text>", y + 12.0);
    let seen = trial.timeline.samples.iter().map(|sample| (sample.at, sample.controller));
    for (from, to, broker) in stretches(seen, trial.timeline.end) {
        let Some(broker) = broker else { continue };
        let what = format!("broker {broker} is the controller");
        rect(svg, scale, (from, to), (y, 15.0), &format!("fill=\"{}\"", colour(broker)), &what);
    }
}

/// Where records were acknowledged, in the colour of the broker that led.
fn bars(svg: &mut String, trial: &Trial, place: usize, acks: &[Duration], scale: &Scale, y: f64) {
    let number = i32::try_from(place).unwrap_or_default();
    let leader = |sample: &Sample| sample.partitions.get(&number).and_then(|seen| seen.0);
    let seen = trial.timeline.samples.iter().map(|sample| (sample.at, leader(sample)));
    let led = stretches(seen, trial.timeline.end);
    for (from, to) in together(acks) {
        for (begun, ended, broker) in &led {
            let part = (from.max(*begun), to.min(*ended));
            let Some(broker) = broker.filter(|_| part.0 <= part.1) else { continue };
            let what = format!("records acknowledged, led by broker {broker}");
            rect(svg, scale, part, (y, 15.0), &format!("fill=\"{}\"", colour(broker)), &what);
        }
    }
}

/// A strip under the bar while a replica was not in sync: amber, and red where only one was left.
fn in_sync(svg: &mut String, trial: &Trial, place: usize, scale: &Scale, y: f64) {
    let number = i32::try_from(place).unwrap_or_default();
    let count = |sample: &Sample| sample.partitions.get(&number).map_or(0, |(_, isr)| isr.len());
    let samples = &trial.timeline.samples;
    let full = samples.iter().map(count).max().unwrap_or(0);
    for (from, to, count) in
        stretches(samples.iter().map(|sample| (sample.at, count(sample))), trial.timeline.end)
    {
        if count < full {
            let class = if count <= 1 { "class=\"breach\"" } else { "class=\"lack\"" };
            rect(
                svg,
                scale,
                (from, to),
                (y + 12.0, 5.0),
                class,
                &format!("{count} of {full} replicas in sync"),
            );
        }
    }
}

fn longest(svg: &mut String, pause: &Pause, scale: &Scale, y: f64) {
    let length = millis(pause.length());
    let (x, end) = (scale.x(pause.begun), scale.x(pause.ended));
    let words = format!("no record acknowledged for {}", time(length));
    // One that is as short as those around it is no news.
    if end - x < 3.0 {
        return;
    }
    rect(svg, scale, (pause.begun, pause.ended), (y, 15.0), "class=\"pause\"", &words);
    if end - x > 50.0 {
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            (x + end) / 2.0,
            y + 12.0,
            time(length)
        );
    }
}

/// Moments that are close to each other, as stretches.
fn together(moments: &[Duration]) -> Vec<(Duration, Duration)> {
    let mut stretches: Vec<(Duration, Duration)> = Vec::new();
    for moment in moments {
        match stretches.last_mut() {
            Some((_, to)) if moment.saturating_sub(*to) <= CLOSE => *to = *moment,
            _ => stretches.push((*moment, *moment)),
        }
    }
    stretches
}

/// Values that were seen at moments, each held until another is seen.
fn stretches<T: PartialEq + Copy>(
    seen: impl Iterator<Item = (Duration, T)>,
    end: Duration,
) -> Vec<(Duration, Duration, T)> {
    let mut stretches: Vec<(Duration, Duration, T)> = Vec::new();
    for (at, value) in seen {
        match stretches.last_mut() {
            Some((_, to, held)) => {
                *to = at;
                if *held != value {
                    stretches.push((at, at, value));
                }
            }
            // What was before the first look is taken to have been as it was then.
            None => stretches.push((Duration::ZERO, at, value)),
        }
    }
    if let Some((_, to, _)) = stretches.last_mut() {
        *to = end;
    }
    stretches
}

fn rect(
    svg: &mut String,
    scale: &Scale,
    (from, to): (Duration, Duration),
    (y, height): (f64, f64),
    look: &str,
    what: &str,
) {
    let (x, end) = (scale.x(from), scale.x(to));
    if to.as_secs_f64() < scale.from || from.as_secs_f64() > scale.to {
        return;
    }
    let _ = write!(
        svg,
        "<rect {look} x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{height}\"><title>{what}</title></rect>",
        (end - x).max(1.0)
    );
}

fn colour(broker: i32) -> &'static str {
    let place = usize::try_from(broker.rem_euclid(COLOURS.len() as i32)).unwrap_or_default();
    COLOURS[place]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(moments: &[u64]) -> Vec<Duration> {
        moments.iter().map(|moment| Duration::from_millis(*moment)).collect()
    }

    #[test]
    fn close_moments_make_one_bar() {
        let stretches = together(&ms(&[0, 20, 40, 300, 320]));
        assert_eq!(stretches, [(ms(&[0])[0], ms(&[40])[0]), (ms(&[300])[0], ms(&[320])[0])]);
    }

    #[test]
    fn a_value_holds_until_another_is_seen() {
        let seen = ms(&[10, 20, 30]).into_iter().zip([1, 1, 2]);
        let at = |from, to| (Duration::from_millis(from), Duration::from_millis(to));
        let found = stretches(seen, Duration::from_millis(50));
        assert_eq!(found, [(at(0, 30).0, at(0, 30).1, 1), (at(30, 50).0, at(30, 50).1, 2)]);
    }
}
