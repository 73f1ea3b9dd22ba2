//! What a step costs in bookkeeping as the state grows: Octad's journal against a checkpoint that is rewritten whole,
//! which is how Pulumi keeps its state. Both in one run, on one disk, with one serialiser and the same kind of sync.
//!
//! `cargo bench --bench journal` prints a table and draws docs/pictures/journal.svg. docs/scale.md tells more.

use octad::engine::{Outcome, Record, State, Store};
use octad::host::FakeWorld;
use octad::model::Key;
use octad::program::{Programs, StackFile};
use octad::registry::Registry;
use octad::resource::{NodeKind, Recorded};
use plotters::coord::Shift;
use plotters::prelude::*;
use serde_json::json;
use std::error::Error;
use std::fs::{self, File};
use std::io::Write as _;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Resources in the state: half of them hosts, half nodes.
const SIZES: [usize; 7] = [10, 30, 100, 300, 1000, 3000, 10_000];
/// Steps that are timed for each size and way; the median counts.
const STEPS: usize = 41;

const STACK: &str = "bench";

/// A state of one size, kept both ways.
struct Bench {
    resources: usize,
    /// The changes of its nodes, in turn.
    changes: Vec<[Record; 2]>,
    site: TempDir,
    store: Store,
    state: State,
    /// The checkpoint's size in bytes.
    size: usize,
    journal: Vec<Duration>,
    checkpoint: Vec<Duration>,
}

/// One row of the result.
struct Row {
    resources: usize,
    journal: Duration,
    checkpoint: Duration,
}

/// The state of a real stack with so many resources.
fn state_of(resources: usize) -> Result<State, Box<dyn Error>> {
    let world = FakeWorld::new();
    let registry = Registry::empty(Arc::new(world.clone())).standard_roles().backend(world.backend());
    let text = format!(
        "program = \"ha\"\nhosts.backend = \"fake\"\nzookeeper.servers = 1\nkafka.brokers = {}\n",
        resources / 2 - 1
    );
    let declared = StackFile::of_text(STACK.parse()?, &text).declare(&Programs::standard(), &registry)?;
    let mut state = State::new(STACK);
    state.groups.clone_from(&declared.groups);
    state.resources = declared
        .resources
        .iter()
        .map(|(key, declared)| {
            let (inputs, outputs) = (declared.inputs.clone(), json!({ "generation": "0123456789ab" }));
            (
                key.clone(),
                Recorded {
                    inputs,
                    outputs,
                    needs: [].into(),
                    pending: None,
                    outgoing: Vec::new(),
                    unprotected: false,
                    attempted: vec![],
                },
            )
        })
        .collect();
    assert_eq!(state.resources.len(), resources);
    Ok(state)
}

/// The two records of one step: a node is changed.
fn records(key: &Key, recorded: &Recorded) -> [Record; 2] {
    let Recorded { inputs, outputs, needs, .. } = recorded.clone();
    let begin = Record::Begin {
        key: key.clone(),
        moved_from: None,
        inputs: inputs.clone(),
        needs: needs.clone(),
        renews: false,
    };
    let outcome = Outcome::Applied { inputs, outputs, needs };
    [begin, Record::End { key: key.clone(), outcome }]
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

impl Bench {
    fn of(resources: usize) -> Result<Self, Box<dyn Error>> {
        let site = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let state = state_of(resources)?;
        let text = serde_json::to_vec(&state)?;
        fs::write(site.path().join("state.json"), &text)?;
        let nodes = state.resources.iter().filter(|(key, _)| key.kind == NodeKind::NAME);
        let changes = nodes.take(STEPS).map(|(key, node)| records(key, node)).collect();
        let store = Store::open(site.path(), STACK)?;
        let (journal, checkpoint) = (vec![], vec![]);
        Ok(Self { resources, changes, site, store, state, size: text.len(), journal, checkpoint })
    }

    /// One step, noted down both ways.
    fn step(&mut self, number: usize) -> Result<(), Box<dyn Error>> {
        let change = &self.changes[number % self.changes.len()];
        let (journalled, kept) = (change.clone(), change.clone());
        let begun = Instant::now();
        for record in journalled {
            self.store.append(record)?;
        }
        self.journal.push(begun.elapsed());
        let begun = Instant::now();
        for record in kept {
            self.state.fold(self.state.serial + 1, record);
            let mut file = File::create(self.site.path().join("checkpoint.json"))?;
            file.write_all(&serde_json::to_vec(&self.state)?)?;
            file.sync_data()?;
        }
        self.checkpoint.push(begun.elapsed());
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut benches = SIZES.into_iter().map(Bench::of).collect::<Result<Vec<_>, _>>()?;
    // All sizes in each round, so that the disk's moods are the same for all.
    for round in 0..STEPS {
        for bench in &mut benches {
            bench.step(round)?;
        }
    }
    println!("{:>9}  {:>10}  {:>14}  {:>14}", "resources", "state", "journal", "checkpoint");
    let mut rows = Vec::new();
    for Bench { resources, size, journal, checkpoint, .. } in benches {
        let row = Row { resources, journal: median(journal), checkpoint: median(checkpoint) };
        println!(
            "{:>9}  {:>7.1} KB  {:>8.2} ms/step  {:>8.2} ms/step",
            row.resources,
            size as f64 / 1e3,
            millis(row.journal),
            millis(row.checkpoint),
        );
        rows.push(row);
    }
    let picture = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/pictures/journal.svg");
    fs::create_dir_all(picture.parent().unwrap_or(Path::new(".")))?;
    draw(&SVGBackend::new(&picture, (800, 480)).into_drawing_area(), &rows)?;
    println!("drawn: {}", picture.display());
    Ok(())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A range of whole powers of ten around some figures.
fn decades(figures: impl Iterator<Item = f64> + Clone) -> Range<f64> {
    let least = figures.clone().fold(f64::INFINITY, f64::min);
    let most = figures.fold(0.0, f64::max);
    // A hair below, so that the lowest power has its mark.
    0.999 * 10f64.powf(least.log10().floor())..10f64.powf(most.log10().ceil())
}

fn draw(area: &DrawingArea<SVGBackend<'_>, Shift>, rows: &[Row]) -> Result<(), Box<dyn Error>> {
    // A ground of its own, so that it reads the same on a dark page as on a light one.
    area.fill(&WHITE)?;
    let ink = RGBColor(0x24, 0x29, 0x2f);
    let text = |size: i32| ("sans-serif", size).into_font().color(&ink);
    let times = rows.iter().flat_map(|row| [millis(row.journal), millis(row.checkpoint)]);
    let sizes = decades(rows.iter().map(|row| row.resources as f64));
    let mut chart = ChartBuilder::on(area)
        .caption("Bookkeeping for one step as the state grows", text(24))
        .margin(16)
        .margin_right(32)
        .x_label_area_size(56)
        .y_label_area_size(72)
        .build_cartesian_2d(sizes.log_scale(), decades(times).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("resources in the state")
        .y_desc("milliseconds a step (two records, each synced)")
        .x_label_formatter(&|figure| format!("{figure}"))
        .y_label_formatter(&|figure| format!("{figure}"))
        .label_style(text(17))
        .axis_desc_style(text(18))
        .axis_style(ink)
        .bold_line_style(RGBColor(0xd0, 0xd7, 0xde))
        .light_line_style(RGBColor(0xf0, 0xf2, 0xf5))
        .draw()?;
    type Time = fn(&Row) -> Duration;
    let lines: [(&str, RGBColor, Time); 2] = [
        ("checkpoint rewritten whole", RGBColor(0xbc, 0x4c, 0x00), |row| row.checkpoint),
        ("Octad's journal", RGBColor(0x09, 0x69, 0xda), |row| row.journal),
    ];
    for (name, colour, time) in lines {
        let points = || rows.iter().map(|row| (row.resources as f64, millis(time(row))));
        chart
            .draw_series(LineSeries::new(points(), colour.stroke_width(3)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], colour.stroke_width(3)));
        chart.draw_series(points().map(|at| Circle::new(at, 4, colour.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .margin(16)
        .legend_area_size(32)
        .background_style(WHITE)
        .border_style(RGBColor(0xd0, 0xd7, 0xde))
        .label_font(text(18))
        .draw()?;
    area.present()?;
    Ok(())
}
