//! Draws what stands on what, as SVG: each box above all that it uses. An arrow that a longer way implies is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// A box.
pub(super) struct Drawn {
    pub(super) name: String,
    /// A line on what it is, which is wrapped.
    pub(super) says: String,
    /// The places of those that it uses, all of them behind it.
    pub(super) uses: BTreeSet<usize>,
}

/// Pixels of a box, and from one to the next.
const BOX: (f64, f64) = (212.0, 66.0);
const STEP: (f64, f64) = (240.0, 100.0);
const MARGIN: f64 = 18.0;
/// Letters in a line.
const LINE: usize = 33;

const STYLE: &str = "text{font:11px system-ui,sans-serif;fill:#57606a}\
    .name{font:600 13px ui-monospace,Menlo,Consolas,monospace;fill:#1f2328}\
    .box{fill:#f6f8fa;stroke:#8c959f}.arrow{fill:none;stroke:#57606a}";

/// The picture.
pub(super) fn drawn(boxes: &[Drawn]) -> String {
    let arrows = arrows(boxes);
    let floors = floors(boxes, &arrows);
    let across = across(&floors, &arrows, boxes.len());
    let widest = floors.iter().map(Vec::len).max().unwrap_or(1);
    let width = 2.0 * MARGIN + STEP.0 * (widest as f64 - 1.0) + BOX.0;
    let height = 2.0 * MARGIN + STEP.1 * (floors.len() as f64 - 1.0) + BOX.1;
    let left = across.values().copied().fold(f64::MAX, f64::min) - MARGIN - BOX.0 / 2.0;
    let down = |place: usize| {
        let floor = floors.iter().position(|floor| floor.contains(&place)).unwrap();
        MARGIN + STEP.1 * floor as f64
    };
    let x = |place: usize| across[&place] - left;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\">\n<title>Each module above all that it uses</title>\n<style>{STYLE}</style>\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\">\
         <path d=\"M0 0 8 4 0 8z\" fill=\"#57606a\"/></marker></defs>\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"#fff\"/>\n"
    );
    for (from, to) in &arrows {
        // Those of one box leave, and reach it, side by side.
        let beside = |end: usize, others: Vec<usize>, other: usize| {
            let mut others = others;
            others.sort_by(|one, two| x(*one).total_cmp(&x(*two)));
            let number = others.iter().position(|one| *one == other).unwrap() as f64;
            x(end) + (number - (others.len() as f64 - 1.0) / 2.0) * 28.0
        };
        let begins =
            beside(*from, arrows.iter().filter(|one| one.0 == *from).map(|one| one.1).collect(), *to);
        let ends = beside(*to, arrows.iter().filter(|one| one.1 == *to).map(|one| one.0).collect(), *from);
        let (top, bottom) = (down(*from) + BOX.1, down(*to));
        let gap = STEP.1 - BOX.1;
        let _ = writeln!(
            svg,
            "<path class=\"arrow\" marker-end=\"url(#tip)\" d=\"M{begins:.0} {top:.0}C{begins:.0} {:.0} {ends:.0} {:.0} \
             {ends:.0} {:.0}\"/>",
            // Aside within the first gap, so that a long one passes what is between.
            top + gap * 0.6,
            top + gap * 0.4,
            bottom - 1.0,
        );
    }
    for (place, one) in boxes.iter().enumerate() {
        let (middle, top) = (x(place), down(place));
        let (from, width, height) = (middle - BOX.0 / 2.0, BOX.0, BOX.1);
        let _ = writeln!(
            svg,
            "<rect class=\"box\" x=\"{from:.0}\" y=\"{top:.0}\" width=\"{width}\" height=\"{height}\" rx=\"5\"/>\
             <text class=\"name\" x=\"{:.0}\" y=\"{:.0}\">{}</text>",
            from + 9.0,
            top + 19.0,
            one.name,
        );
        let lines = wrapped(&one.says);
        assert!(lines.len() <= 3, "{} has too many words for its box: {}", one.name, one.says);
        for (number, line) in lines.iter().enumerate() {
            let y = top + 34.0 + 13.0 * number as f64;
            let _ = writeln!(svg, "<text x=\"{:.0}\" y=\"{y:.0}\">{line}</text>", from + 9.0);
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// From each box to those that it uses, where no longer way leads there.
fn arrows(boxes: &[Drawn]) -> Vec<(usize, usize)> {
    let leads = |from: usize, to: usize| {
        let (mut seen, mut left) = (BTreeSet::new(), vec![from]);
        while let Some(place) = left.pop() {
            left.extend(boxes[place].uses.iter().filter(|next| seen.insert(**next)));
        }
        seen.contains(&to)
    };
    let mut arrows = Vec::new();
    for (from, one) in boxes.iter().enumerate() {
        let straight = |to: &&usize| !one.uses.iter().any(|other| other != *to && leads(*other, **to));
        arrows.extend(one.uses.iter().filter(straight).map(|to| (from, *to)));
    }
    arrows
}

/// The places of the boxes, floor by floor from the top: as high as those above let them be.
fn floors(boxes: &[Drawn], arrows: &[(usize, usize)]) -> Vec<Vec<usize>> {
    let mut depth = vec![0; boxes.len()];
    // What a box uses is behind it.
    for place in 0..boxes.len() {
        for (_, to) in arrows.iter().filter(|arrow| arrow.0 == place) {
            depth[*to] = depth[*to].max(depth[place] + 1);
        }
    }
    let deepest = depth.iter().copied().max().unwrap_or(0);
    (0..=deepest).map(|floor| (0..boxes.len()).filter(|place| depth[*place] == floor).collect()).collect()
}

/// How far each box is to the right: below the middle of those that use it, and beside the others of its floor.
fn across(floors: &[Vec<usize>], arrows: &[(usize, usize)], count: usize) -> BTreeMap<usize, f64> {
    let mut across = BTreeMap::new();
    for floor in floors {
        let above = |place: usize| {
            let users = arrows.iter().filter(|arrow| arrow.1 == place).map(|arrow| across[&arrow.0]);
            let users: Vec<f64> = users.collect();
            if users.is_empty() { 0.0 } else { users.iter().sum::<f64>() / users.len() as f64 }
        };
        let mut wished: Vec<(usize, f64)> = floor.iter().map(|place| (*place, above(*place))).collect();
        wished.sort_by(|one, two| one.1.total_cmp(&two.1));
        let middle = wished.iter().map(|one| one.1).sum::<f64>() / wished.len() as f64;
        let close = wished.windows(2).any(|two| two[1].1 - two[0].1 < STEP.0);
        for (number, (place, wish)) in wished.iter().enumerate() {
            let side_by_side = middle + STEP.0 * (number as f64 - (wished.len() as f64 - 1.0) / 2.0);
            across.insert(*place, if close { side_by_side } else { *wish });
        }
    }
    assert_eq!(across.len(), count);
    across
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < LINE => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
