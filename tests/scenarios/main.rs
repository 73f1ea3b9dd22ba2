//! Scenarios: scripts of commands with the output that is expected of each, in `*.txt` beside this file. They run the
//! real stages against a simulated world. `OCTAD_UPDATE_SCENARIOS=1` writes the output that is found into them.
//!
//! A script is a list of commands, each a line that begins with `> `; the lines under it are its output. Lines that
//! begin with `#` are for people. `made` is an `up` that must succeed and is not shown.

#[path = "../support/simulation.rs"]
mod simulation;

use octad::cli::CliError;
use octad::engine::{self, Checked, Event, NotSpared, Options, Plan, SavedPlan};
use octad::host::SystemChange;
use octad::host::fake::Cut;
use octad::model::{Key, Refusal};
use octad::output::{
    Gate, diff_text, failure_text, gate_text, history_text, mermaid, preview_text, refresh_text,
    resolved_outputs, resources_text, status_text,
};
use octad::report::Invocation;
use octad::resource::kafka;
use octad::stack::ValidStack;
use simulation::{Ended, SHARED, Simulation, THREE_AND_THREE, Terms};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

#[test]
fn every_scenario_goes_as_recorded() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut scripts: Vec<PathBuf> =
        std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    scripts.retain(|path| path.extension().is_some_and(|ending| ending == "txt"));
    scripts.sort();
    assert!(!scripts.is_empty());
    let update = std::env::var_os("OCTAD_UPDATE_SCENARIOS").is_some_and(|value| value == "1");
    let mut differing = Vec::new();
    for script in scripts {
        let recorded = std::fs::read_to_string(&script).unwrap();
        let found = run(&recorded);
        if found == recorded {
            continue;
        }
        if update {
            std::fs::write(&script, found).unwrap();
        } else {
            differing.push(format!("{}\n{}", script.display(), difference(&recorded, &found)));
        }
    }
    assert!(differing.is_empty(), "OCTAD_UPDATE_SCENARIOS=1 takes these over:\n{}", differing.join("\n"));
}

/// The first lines that differ.
fn difference(recorded: &str, found: &str) -> String {
    let mut lines = recorded.lines().zip(found.lines()).enumerate();
    match lines.find(|(_, (recorded, found))| recorded != found) {
        Some((number, (recorded, found))) => {
            format!("line {}:\n  recorded {recorded:?}\n  found    {found:?}", number + 1)
        }
        None => "one is longer than the other".to_owned(),
    }
}

/// The script with the output that its commands have now.
fn run(script: &str) -> String {
    let mut simulation = Simulation::of(THREE_AND_THREE);
    let mut out = String::new();
    for line in script.lines() {
        if line.starts_with('#') {
            let _ = writeln!(out, "{line}");
        } else if let Some(command) = line.strip_prefix("> ") {
            if !out.is_empty() && !out.ends_with("\n\n") && !out.lines().last().unwrap().starts_with('#') {
                out.push('\n');
            }
            let _ = writeln!(out, "{line}");
            let told = execute(&mut simulation, command);
            let told = told.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
            if !told.is_empty() {
                let _ = writeln!(out, "{}", told.trim_end());
            }
        }
    }
    out
}

fn execute(simulation: &mut Simulation, command: &str) -> String {
    let words: Vec<&str> = command.split_whitespace().collect();
    let number =
        |word: &str| word.parse::<u64>().unwrap_or_else(|_| panic!("`{command}`: {word} is no number"));
    let world = simulation.world.clone();
    match words.as_slice() {
        ["up", "--refill", node, "while-stopping", other] => {
            let terms = Terms { refill: vec![(*node).to_owned()], ..Terms::default() };
            let stack = simulation.declare().unwrap();
            return change_while(simulation, &stack, &terms, || world.stop_by_hand(other));
        }
        // What another hand does while the question waits.
        ["up", meanwhile, topic, rest @ ..] if meanwhile.starts_with("while-") => {
            let deed = || match (&meanwhile["while-".len()..], rest) {
                ("alter-topic", [setting, value]) => world.alter_topic(topic, setting, Some(value)),
                ("grow-topic", [partitions]) => {
                    world.grow_topic("kafka", topic, number(partitions).try_into().unwrap());
                }
                ("remake-topic", []) => world.remake_topic(topic),
                _ => panic!("`{command}`: there is no such deed"),
            };
            let stack = simulation.declare().unwrap();
            return change_while(simulation, &stack, &Terms::default(), deed);
        }
        ["up", when @ ("created-meanwhile" | "created-before-the-stop"), topic, partitions] => {
            let (topic, partitions) = ((*topic).to_owned(), number(partitions).try_into().unwrap());
            let stack = simulation.declare().unwrap();
            let create = {
                let world = world.clone();
                move || world.grow_topic("kafka", &topic, partitions)
            };
            if *when == "created-meanwhile" {
                return change_while(simulation, &stack, &Terms::default(), create);
            }
            // The first deed is the stop.
            let create = Mutex::new(Some(create));
            world.watch(move || {
                let create = create.lock().unwrap().take();
                create.into_iter().for_each(|create| create());
            });
            return change(simulation, &stack, &Terms::default());
        }
        // The first deed with a change on trial there is to confirm it.
        ["up", "goes-back", host] => {
            let (hosts, host) = (world.clone(), Mutex::new(Some((*host).to_owned())));
            world.watch(move || {
                let mut host = host.lock().unwrap();
                if let Some(ends) = host.take_if(|host| hosts.on_trial().contains(host)) {
                    hosts.trial_ends(&ends);
                }
            });
            let stack = simulation.declare().unwrap();
            return change(simulation, &stack, &Terms::default());
        }
        ["roll", names @ ..] => {
            let options = names.iter().position(|name| name.starts_with("--")).unwrap_or(names.len());
            let (names, options) = names.split_at(options);
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let terms = Terms { restart: Some(names), ..terms(simulation, options) };
            return change(simulation, &simulation.recorded(), &terms);
        }
        ["gate", node, rest @ ..] => return gate(simulation, node, rest == ["--wait"]),
        ["history"] => return history(simulation),
        ["refresh"] => return refresh(simulation),
        ["import", key] => return edited(simulation.import(key)),
        ["state", "list"] => return resources_text(&simulation.state()),
        ["state", "rm", key, force @ ..] => {
            return edited(simulation.forget(key, force == ["--force"]));
        }
        ["state", verb @ ("protect" | "unprotect"), key] => {
            let parsed: Key = key.parse().unwrap();
            let record =
                engine::protect(&simulation.registry, &simulation.state(), &parsed, *verb == "protect");
            return edited(record.map(|record| {
                simulation.edit(&format!("state {verb}"), format!("state {verb} {key}"), vec![record]);
            }));
        }
        ["state", "show", key] => {
            let state = simulation.state();
            return format!("{:#}\n", serde_json::json!(state.resources[&key.parse::<Key>().unwrap()]));
        }
        ["outputs"] => {
            let outputs = resolved_outputs(&simulation.state());
            return outputs.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        }
        ["facts", node] => {
            let stack = simulation.declare().unwrap();
            return format!("{:#}\n", stack.resources[&Key::new("node", node)].inputs);
        }
        ["graph"] => return mermaid(&simulation.declare().unwrap()),
        ["up", options @ ..] => {
            return match simulation.declare() {
                Ok(stack) => change(simulation, &stack, &terms(simulation, options)),
                Err(error) => told(&error),
            };
        }
        ["made"] => {
            let before = world.own_breaches().len();
            simulation.up().unwrap();
            assert_eq!(world.own_breaches()[before..], []);
        }
        ["destroy", options @ ..] => {
            let nothing = ValidStack::empty("sim".parse().unwrap());
            return change(simulation, &nothing, &terms(simulation, options));
        }
        ["preview", options @ ..] => return preview(simulation, options).unwrap_or_else(|e| told(&e)),
        ["edit", file, before, after] => {
            let path = simulation.site().join(file);
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.contains(before), "`{command}`: {text}");
            std::fs::write(&path, text.replacen(before, after, 1)).unwrap();
        }
        ["stop"] => return stop(simulation),
        ["status"] => return status_text(&simulation.status()),
        ["topics"] => return topics(simulation),
        ["breaches"] => return world.breaches().iter().map(|breach| format!("{breach}\n")).collect(),
        ["empty"] => return if world.is_empty() { "nothing is left".into() } else { world.portrait() },
        ["set", path, value] => {
            let text = format!("value = {value}");
            let parsed = text.parse::<toml::Table>().ok().and_then(|mut table| table.remove("value"));
            simulation.set(path, Some(parsed.unwrap_or_else(|| toml::Value::String((*value).to_owned()))));
        }
        ["shared-hosts"] => simulation.file = SHARED.parse().unwrap(),
        ["unset", path] => simulation.set(path, None),
        ["gate-timeout", millis] => simulation.gate_timeout = Duration::from_millis(number(millis)),
        ["crash", node] => world.crash(node),
        ["kill", node] => world.kill(node),
        ["mend", node] => world.mend(node),
        ["freeze", node] => world.freeze(node),
        ["stand-still", node] => world.stand_still(node),
        ["cut-off", broker] => world.cut_off(number(broker).try_into().unwrap(), true),
        ["cut-off-no-more", broker] => world.cut_off(number(broker).try_into().unwrap(), false),
        ["stop-by-hand", node] => world.stop_by_hand(node),
        ["lose-data", node] => world.lose_data(node),
        ["restore-data", node] => world.restore_data(node),
        ["alter-file", node, file] => world.alter_file(node, file),
        ["alter-file", node, file, line] => world.add_line(node, file, line),
        ["unreadable-files", node] => world.unreadable_files(node),
        ["flake-makes", host, system, differs @ ..] => world.make_system(host, differing(system, differs)),
        ["lose-host", host] => world.lose_host(host),
        ["trial-ends", host] => world.trial_ends(host),
        ["on-trial"] => {
            return world.on_trial().iter().map(|host| format!("{host}\n")).collect();
        }
        ["fatal-setting", name, value] => world.fatal_setting(name, value),
        ["refuse-start", node, reason @ ..] => world.refuse_start(node, &reason.join(" ")),
        ["alter-topic", topic, setting, value] => world.alter_topic(topic, setting, Some(value)),
        ["grow-topic", topic, partitions] => {
            world.grow_topic("kafka", topic, number(partitions).try_into().unwrap());
        }
        ["delete-topic", topic] => world.delete_topic(topic),
        ["remake-topic", topic] => world.remake_topic(topic),
        ["replace-cluster", id] => world.replace_cluster("kafka", id),
        ["move-replicas", topic, partition, to @ ..] => {
            let to: Vec<i32> = to.iter().map(|id| number(id).try_into().unwrap()).collect();
            world.move_replicas(topic, number(partition).try_into().unwrap(), &to);
        }
        ["shrink", topic, partition, broker] => {
            let partition = number(partition).try_into().unwrap();
            assert!(world.shrink_isr(topic, partition, number(broker).try_into().unwrap()));
        }
        ["shared-disk", mib] => world.set_shared_disk(number(mib) << 20),
        ["rate", topic, bytes] => world.set_rate(topic, bytes.parse().unwrap()),
        ["catch-up"] => world.catch_up(),
        ["gives-ids"] => world.give_ids(),
        ["unreachable", host] => world.unreachable(host, true),
        ["reachable", host] => world.unreachable(host, false),
        ["fail-at", deed] => world.fail_at(number(deed).try_into().unwrap()),
        ["killed-at", deed] => world.cut_at(number(deed).try_into().unwrap(), Cut::KilledAfter),
        _ => panic!("there is no command `{command}`"),
    }
    String::new()
}

/// What a gate says of a node, at once or after a while.
fn gate(simulation: &Simulation, node: &str, waits: bool) -> String {
    let (stack, node) = (simulation.recorded(), Key::new("node", node));
    let group = stack.groups.iter().find(|(_, group)| group.members.contains(&node));
    let group = group.map(|(name, _)| name.as_str()).unwrap();
    let wait = if waits { simulation.gate_timeout } else { Duration::ZERO };
    let options = Options { gate_timeout: wait, ..Options::default() };
    let context = simulation.context(&stack, &simulation.state());
    let deeds = simulation.world.deed_count();
    let told_of = Mutex::new(String::new());
    let tell = |message: String| told_of.lock().unwrap().push_str(&format!("  {message}\n"));
    let nothing = BTreeSet::new();
    let asked = async {
        let spared = engine::spares(&context, &stack, group, &node, &nothing, &options, &tell).await?;
        spared.release().await;
        Ok(())
    };
    let answer = match simulation.wait(asked) {
        Err(unknown @ NotSpared::NotAsked { .. }) => told(&unknown.into()),
        answer => gate_text(&Gate { node: &node.name, group, refusal: answer.err() }),
    };
    assert_eq!(simulation.world.deed_count(), deeds);
    told_of.into_inner().unwrap() + &answer
}

/// The history, without what differs from run to run.
fn history(simulation: &Simulation) -> String {
    let mut updates = simulation.history();
    updates.reverse();
    for update in &mut updates {
        update.begun = "[time]".into();
        update.by = "[user]".into();
    }
    history_text(&updates)
}

fn refresh(simulation: &Simulation) -> String {
    let (stack, state) = (ValidStack::empty("sim".parse().unwrap()), simulation.state());
    let inventory = simulation.observe(&stack, &state);
    let found = engine::refresh(&simulation.registry, &state, &inventory);
    let records = found.records(&state);
    let taken = records.len();
    if taken > 0 {
        simulation.edit("refresh", format!("refresh {taken}"), records);
    }
    format!("{}{taken} taken into the state\n", refresh_text(&found))
}

/// What is said of a change of the state alone.
fn edited(result: Result<(), Refusal>) -> String {
    result.map_or_else(|refusal| told(&CliError::Refusal(refusal)), |()| String::new())
}

fn told(error: &CliError) -> String {
    let report = error.report(&Invocation::default());
    // Plans lie in a directory of the run's own.
    let text = failure_text(&report);
    let words: Vec<String> = text
        .split(' ')
        .map(|word| match (word.find(".plan"), word.rfind('/')) {
            (Some(_), Some(slash)) => word[slash + 1..].to_owned(),
            _ => word.to_owned(),
        })
        .collect();
    format!("{}exit code {}\n", words.join(" "), report.code)
}

/// How another system that a host is to run differs from the one that it runs: `renews NODE`, `boots`, `risks WORDS`.
fn differing(system: &str, differs: &[&str]) -> SystemChange {
    let mut change = SystemChange { makes: system.to_owned(), ..SystemChange::default() };
    match differs {
        [] => {}
        ["renews", nodes @ ..] => change.renewed = nodes.iter().map(|node| (*node).to_owned()).collect(),
        ["boots"] => change.will_lack_boot = true,
        ["risks", what @ ..] => change.risks = vec![what.join(" ")],
        other => panic!("a system can't differ by `{}`", other.join(" ")),
    }
    change
}

/// The options of a verb. Files lie beside the state.
fn terms(simulation: &Simulation, options: &[&str]) -> Terms {
    let mut terms = Terms::default();
    let mut options = options.iter();
    while let Some(option) = options.next() {
        let mut value = || (*options.next().unwrap()).to_owned();
        match *option {
            "--target" => terms.target.push(value()),
            "--exclude" => terms.exclude.push(value()),
            "--plan" => terms.plan = Some(simulation.site().join(value())),
            "--refill" => terms.refill.push(value()),
            "--interrupt" => terms.interrupt.push(value()),
            "--allow-loss" => terms.allow_loss.push(value()),
            "--allow-lockout" => terms.allow_lockout.push(value()),
            "--reboot" => terms.reboot = true,
            "--expect-no-changes" => terms.expect_no_changes = true,
            _ => panic!("there is no option `{option}`"),
        }
    }
    terms
}

fn preview(simulation: &Simulation, options: &[&str]) -> Result<String, CliError> {
    let (mut diff, mut destroy, mut json, mut save, mut others) = (false, false, false, None, Vec::new());
    let mut options = options.iter();
    while let Some(option) = options.next() {
        match *option {
            "--diff" => diff = true,
            "--destroy" => destroy = true,
            "--json" => json = true,
            "--save-plan" => save = options.next(),
            other => others.push(other),
        }
    }
    let terms = terms(simulation, &others);
    let stack = if destroy { ValidStack::empty("sim".parse().unwrap()) } else { simulation.declare()? };
    let (plan, later) = simulation.phases_for(&stack, &simulation.intent(&stack, &terms)?)?;
    if let Some(name) = save {
        SavedPlan::write(&simulation.site().join(name), &plan, &later)?;
    }
    let files = if diff { diff_text(&simulation.file_changes(&stack, &plan)) } else { String::new() };
    let text = if json { serde_json::to_string_pretty(&plan).unwrap() } else { preview_text(&plan, &later) };
    let unexpected = terms.expect_no_changes && plan.change_count() > 0;
    let failure = CliError::Unexpected { count: plan.change_count(), stack: plan.stack };
    Ok(format!("{files}{text}{}", if unexpected { told(&failure) } else { String::new() }))
}

fn change(simulation: &Simulation, stack: &ValidStack, terms: &Terms) -> String {
    change_while(simulation, stack, terms, || {})
}

/// A change, with what another hand does between its preview and its first step.
fn change_while(
    simulation: &Simulation,
    stack: &ValidStack,
    terms: &Terms,
    meanwhile: impl FnOnce(),
) -> String {
    let mut out = String::new();
    let (breaches, before) = (simulation.world.own_breaches().len(), simulation.world.deed_count());
    simulation.take_events();
    let show = |plan: &Plan<Checked>, later: &[Plan]| {
        out.push_str(&preview_text(plan, later));
        meanwhile();
    };
    let result = simulation.change_on(stack, terms, show);
    out.push_str(&events(simulation));
    match result {
        Ok(Ended::Nothing) => {}
        Ok(Ended::Changed) => out.push_str("done\n"),
        Ok(Ended::Killed) => {
            let deeds = simulation.world.deeds();
            let _ = writeln!(out, "octad is killed at {}", deeds.last().unwrap());
        }
        Err(error) => out.push_str(&told(&error)),
    }
    let deeds = simulation.world.deed_count() - before;
    let breaches = &simulation.world.own_breaches()[breaches..];
    let shown: String = breaches.iter().map(|breach| format!("breach: {breach}\n")).collect();
    let _ = writeln!(out, "{deeds} deeds\n{shown}");
    out
}

fn stop(simulation: &Simulation) -> String {
    simulation.take_events();
    let result = simulation.stop();
    let mut out = events(simulation);
    if let Err(error) = result {
        out.push_str(&told(&error));
    }
    out
}

fn events(simulation: &Simulation) -> String {
    let mut out = String::new();
    for event in simulation.take_events() {
        let _ = match event {
            Event::StepMessage { message, .. } => writeln!(out, "    {message}"),
            Event::StepFinished { action, subject, error: None, .. } => writeln!(out, "  {action} {subject}"),
            Event::StepFinished { action, subject, error: Some(error), .. } => {
                writeln!(out, "  {action} {subject} failed: {error}")
            }
            Event::Notice { message } => writeln!(out, "  note: {message}"),
            _ => Ok(()),
        };
    }
    out
}

fn topics(simulation: &Simulation) -> String {
    let stack = simulation.declare().unwrap();
    let context = simulation.context(&stack, &simulation.state());
    let Some(kafka) = kafka(context.as_ref(), "kafka") else { return "there is no cluster".into() };
    let view = match simulation.wait(kafka.describe()) {
        Ok(view) => view,
        Err(error) => return format!("{error}"),
    };
    let mut out = String::new();
    for (name, topic) in view.topics {
        let _ = writeln!(out, "{name} min.insync.replicas={} {:?}", topic.min_insync_replicas, topic.configs);
        for (number, partition) in topic.partitions {
            let leader = partition.leader.map_or("none".to_owned(), |id| id.to_string());
            let _ = writeln!(
                out,
                "  {number}: leader {leader}, replicas {:?}, in sync {:?}",
                partition.replicas, partition.isr
            );
        }
    }
    out
}
