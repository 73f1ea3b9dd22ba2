//! What is recorded of a stack, as a table.

use crate::engine::State;
use crate::resource::Recorded;
use comfy_table::{Cell, Table, presets};

/// The recorded resources, one a row.
pub(super) fn text(state: &State) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["KIND", "NAME", "NOTE"]);
    for (key, recorded) in &state.resources {
        table.add_row([Cell::new(&key.kind), Cell::new(&key.name), Cell::new(note(recorded))]);
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn note(recorded: &Recorded) -> &'static str {
    match (recorded.is_pending(), recorded.unprotected) {
        (true, _) => "pending: an operation was cut off",
        (false, true) => "unprotected",
        (false, false) => "",
    }
}
