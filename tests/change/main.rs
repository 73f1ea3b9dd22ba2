//! The script that has a machine run another system, cut off wherever it can be: killed before any of its commands, or with
//! the machine at a loss of power, of which the disk may keep what nobody had it keep. Whatever happens, the machine is on
//! what it ran or on what it was to run, a loss of power takes back what isn't confirmed and nothing that is, and the next
//! deployer that looks ends it settled, with every node started that was stopped.
//!
//! It is the real script, with the programs it calls stood in for. `cargo test` searches all single crashes and a sample of
//! the pairs; `cargo test --test change -- --ignored`, which `scripts/long` runs, all pairs, and all failures after a crash.

mod search;
mod shell;
mod stand_in;
mod world;

use search::Search;
use shell::{Goal, Lab, SCRIPT, Until};
use stand_in::Outcome;
use world::World;

fn harm(script: &str, until: Until, pairs: usize) -> Vec<String> {
    let root = tempfile::tempdir().unwrap();
    Search::new(root.path(), script, until).harm(pairs)
}

#[test]
fn whatever_cuts_a_change_off_the_next_look_settles_it() {
    assert_eq!(harm(SCRIPT, Until::End, 60), Vec::<String>::new());
}

#[test]
#[ignore = "takes minutes: `scripts/long` asks for it"]
fn whatever_cuts_a_change_off_and_what_settles_it_the_next_look_does() {
    assert_eq!(harm(SCRIPT, Until::End, usize::MAX), Vec::<String>::new());
}

#[test]
fn the_script_is_told_here_what_a_change_tells_it() {
    let told = r#""what={what}\nnew={}\nmade={}\nanew={}\ndeadline={}\npatience={}\nreach={}\nlongest={}\n{SCRIPT}""#;
    assert!(include_str!("../../src/host/nixos/change.rs").contains(told));
}

#[test]
fn a_shell_that_is_killed_leaves_what_was_noted() {
    let root = tempfile::tempdir().unwrap();
    Lab::systems(root.path());
    let lab = Lab::new(root.path(), "lab");
    let run = |until| lab.run(SCRIPT, &World::first(), Goal::Try("new"), Outcome::WELL, until);
    let whole = run(Until::End);
    let mut reached = 0;
    for number in (1..=whole.commands).step_by(5) {
        let left = run(Until::Killed(number)).end;
        let at = whole.instants.iter().position(|instant| *instant == left);
        let at = at.unwrap_or_else(|| panic!("before command {number}: {left:?}"));
        assert!(at >= reached, "before command {number}: {left:?}");
        reached = at;
    }
    assert!(reached + 2 >= whole.instants.len(), "the last commands change nothing");
}

/// Scripts that are wrong, each as: what is wrong, what stands in the real one, and what stands there instead.
const WRONG: &[(&str, &str, &str)] = &[
    (
        "it boots what is on trial",
        "    switch \"$new\" test\n",
        "    boots \"$new\"\n    switch \"$new\" test\n",
    ),
    ("a trial isn't noted", "    note trial \"$old $new $boot $(running)\" ||", "    true ||"),
    (
        "a second trial takes the first for what ran before",
        "    [ -n \"$old\" ] || { old=$(running)",
        "    { old=$(running)",
    ),
    ("what it was changed to isn't noted", "    note last \"$new${made:+ $made}\"\n", ""),
    ("a note may be empty", " && sync \"$state/$1.new\" && mv", " && mv"),
    (
        "a note isn't on the disk",
        "mv \"$state/$1.new\" \"$state/$1\" && sync \"$state\"; }",
        "mv \"$state/$1.new\" \"$state/$1\"; }",
    ),
    ("who was stopped isn't started", "  systemctl start --no-block \"octad-$node.service\"\n", ""),
    ("a mark comes back", " && sync \"$state/stopped\"; }", "; }"),
    (
        "a mark comes back whose removal was cut off",
        "[ ! -d \"$state/stopped\" ] ||",
        "[ ! -e \"$state/stopped/$node\" ] ||",
    ),
    ("who is late leaves a trial", "if [ -n \"$fresh\" ]; then forget trial; else", "if false; then :; else"),
    (
        "services that failed are let pass",
        "{ [ \"$code\" != 4 ] || [ -n \"$worse\" ]; }",
        "[ \"$code\" != 4 ]",
    ),
    (
        "what can't go back is forgotten",
        "  [ \"$(running)\" = \"$old\" ] || ends stuck",
        "  true || ends stuck",
    ),
    ("going back leaves who was stopped half way", "  with_differing \"$old\"\n  switch", "  switch"),
    ("going back leaves what boots", "  if [ -e \"$state/boots\" ] || [", "  if false && ["),
    ("going back trusts the profile alone", "  if [ -e \"$state/boots\" ] || [", "  if ["),
    ("nothing tells that what boots is torn", "  note boots \"$1\" && nix-env", "  nix-env"),
    ("what boots isn't on the disk", "&& switch \"$1\" boot && sync &&", "&& switch \"$1\" boot &&"),
    ("what is confirmed stays on trial", "{ boots \"$1\" && forget trial; }", "boots \"$1\""),
    (
        "what is confirmed is on trial no more before it boots",
        "{ boots \"$1\" && forget trial; }",
        "{ forget trial && boots \"$1\"; }",
    ),
    (
        "what doesn't boot is confirmed",
        "|| ends stuck \"$1 runs and can't be had boot",
        "|| echo \"$1 runs and can't be had boot",
    ),
    ("a trial outlives its boot", "[ \"$in_boot\" != \"$boot\" ] || {", "{"),
];

#[test]
fn what_is_wrong_with_a_script_is_found() {
    for (wrong, real, instead) in WRONG {
        assert_eq!(SCRIPT.matches(real).count(), 1, "{wrong}: {real:?} stands in the script");
        let found = harm(&SCRIPT.replace(real, instead), Until::EndUntraced, 0);
        println!("{wrong}: {}", found.first().unwrap_or_else(|| panic!("nobody finds that {wrong}")));
    }
}
