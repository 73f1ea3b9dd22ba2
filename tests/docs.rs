//! The README and the chapters in `docs/` say what is so: their links lead somewhere, what they name is there, and what
//! they show is what Octad says, or stands in the file that is named.
//!
//! `OCTAD_UPDATE_PICTURE=1 cargo test --test docs` draws the modules anew.

#[path = "support/drawn.rs"]
mod drawn;
#[path = "support/shown.rs"]
mod shown;

use drawn::{Drawn, drawn};
use octad::model::{Deployment, Key, Layout, NodeFacts};
use octad::program::{Programs, StackFile};
use octad::registry::Registry;
use octad::report::exit;
use octad::resource::NodeKind;
use shown::{LEFT_OUT, OF_A_RUN, Shown, shown};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The chapters of the book, as paths from the root, with what they say.
fn chapters() -> BTreeMap<String, String> {
    let names = fs::read_dir(repository().join("docs")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let chapters: BTreeMap<_, _> = names
        .filter(|name| name.ends_with(".md") && name != SUMMARY)
        .map(|name| format!("docs/{name}"))
        .map(|path| (path.clone(), read(&path)))
        .collect();
    assert!(chapters.len() > 10, "{:?}", chapters.keys());
    chapters
}

const SUMMARY: &str = "SUMMARY.md";

/// The chapters, and what else people read.
fn documents() -> BTreeMap<String, String> {
    let mut documents = chapters();
    for path in ["README.md", "CHANGELOG.md", "docs/SUMMARY.md"] {
        documents.insert(path.to_owned(), read(path));
    }
    documents
}

/// The lines that aren't in a block of code.
fn prose(document: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    document.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fence && !fenced && !line.starts_with("    ")
    })
}

/// Where the links and pictures of a document lead.
fn links(document: &str) -> Vec<String> {
    // A link may go over the end of a line.
    let prose = prose(document).collect::<Vec<_>>().join("\n");
    let without_code: String = prose.split('`').step_by(2).collect::<Vec<_>>().join("code");
    let links = without_code.split("](").skip(1);
    links.map(|rest| rest.split(')').next().unwrap().to_owned()).collect()
}

/// The pieces of a document that are set as code within a sentence.
fn code(document: &str) -> Vec<String> {
    let prose = prose(document).collect::<Vec<_>>().join("\n");
    prose.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// What a heading is linked by, as GitHub and mdBook make it.
fn anchors(document: &str) -> BTreeSet<String> {
    let headings = prose(document)
        .filter_map(|line| line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#')));
    let mut anchors = BTreeSet::new();
    for heading in headings {
        let kept = |c: char| match c {
            ' ' => Some('-'),
            '-' | '_' => Some(c),
            _ => c.is_alphanumeric().then(|| c.to_lowercase().next().unwrap()),
        };
        let anchor: String = heading.chars().filter_map(kept).collect();
        let again = (1..).map(|number| format!("{anchor}-{number}"));
        let free = std::iter::once(anchor.clone()).chain(again).find(|anchor| !anchors.contains(anchor));
        anchors.insert(free.unwrap());
    }
    anchors
}

/// The cells of the tables' rows, without heads.
fn rows(document: &str) -> Vec<Vec<&str>> {
    let lines: Vec<&str> = document.lines().collect();
    let is_head = |at: usize| lines.get(at + 1).is_some_and(|next| next.starts_with("|---"));
    let rows = lines.iter().enumerate().filter(|(at, line)| line.starts_with("| ") && !is_head(*at));
    rows.map(|(_, line)| line.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

/// What octad prints; `directory` has what it finds.
fn says(directory: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_octad"));
    for hidden in ["OCTAD_STACK", "OCTAD_STATE_DIR"] {
        command.env_remove(hidden);
    }
    let output =
        command.arg0("octad").current_dir(directory).args(arguments).stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout) + &text(output.stderr))
}

fn help(verb: &[&str]) -> String {
    let here = tempfile::tempdir().unwrap();
    let (code, said) = says(here.path(), &[verb, &["--help"]].concat());
    assert_eq!(code, Some(0), "{verb:?}: {said}");
    said
}

#[test]
fn every_chapter_has_its_place_in_the_book() {
    let mut placed = links(&read("docs/SUMMARY.md"));
    placed.sort();
    let there: Vec<String> = chapters().keys().map(|path| path["docs/".len()..].to_owned()).collect();
    assert_eq!(placed, there, "docs/SUMMARY.md has each chapter once");
    let named = links(&read("docs/README.md"));
    let missing: Vec<_> = there.iter().filter(|name| *name != "README.md" && !named.contains(name)).collect();
    assert_eq!(missing, [""; 0], "docs/README.md tells of each");
}

#[test]
fn every_link_leads_somewhere() {
    let mut followed = 0;
    for (path, document) in documents() {
        let folder = Path::new(&path).parent().unwrap();
        for link in links(&document).into_iter().filter(|link| !link.starts_with("https://")) {
            let (file, anchor) =
                link.split_once('#').map_or((link.as_str(), None), |(file, anchor)| (file, Some(anchor)));
            let target = if file.is_empty() { PathBuf::from(&path) } else { folder.join(file) };
            assert!(repository().join(&target).is_file(), "{path}: there is no {link}");
            // The book is of this folder alone.
            assert!(
                !path.starts_with("docs/") || target.starts_with("docs") && !file.contains(".."),
                "{path}: {link}"
            );
            if let Some(anchor) = anchor {
                let there = anchors(&read(target.to_str().unwrap()));
                assert!(there.contains(anchor), "{path}: {link} is none of {there:?}");
            }
            followed += 1;
        }
    }
    assert!(followed > 40, "{followed}");
}

#[test]
fn every_file_that_is_named_is_there() {
    let folders = [
        "src",
        "tests",
        "scripts",
        "nix",
        "images",
        "stacks",
        "examples",
        "artifacts",
        "benches",
        "docs",
        ".ci",
    ];
    let mut named = 0;
    for (path, document) in documents().into_iter().filter(|(path, _)| path != "CHANGELOG.md") {
        for piece in code(&document) {
            // A command's first word.
            let file = piece.split_whitespace().next().unwrap_or_default();
            let within = file.split_once('/').is_some_and(|(folder, _)| folders.contains(&folder));
            // What stands for any name.
            let any =
                file.contains(|c: char| c.is_ascii_uppercase() || "*…".contains(c)) && !file.ends_with(".md");
            // A stack that the reader is to write.
            if !within || any || file == "stacks/prod.toml" {
                continue;
            }
            assert!(repository().join(file).exists(), "{path} names {file}");
            named += 1;
        }
    }
    assert!(named > 30, "{named}");
}

/// The `Commands:` of a help.
#[cfg(feature = "drill")]
fn verbs(help: &str) -> Vec<String> {
    let list = help.split_once("Commands:\n").unwrap().1;
    let list = list.lines().take_while(|line| !line.is_empty());
    let names = list.filter_map(|line| line.strip_prefix("  ")?.split(' ').next().map(str::to_owned));
    names.filter(|name| !name.is_empty() && name != "help").collect()
}

/// The long options of a help.
#[cfg(feature = "drill")]
fn options(help: &str) -> BTreeSet<String> {
    let words = help.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    words.filter(|word| word.len() > 2 && word.starts_with("--")).map(str::to_owned).collect()
}

#[cfg(feature = "drill")]
#[test]
fn every_verb_and_option_that_is_told_of_is_there_and_every_verb_is_told_of() {
    let commands = read("docs/commands.md");
    let told: BTreeSet<String> = chapters().values().flat_map(|chapter| code(chapter)).collect();
    let blocks: String = chapters().into_values().collect();
    for verb in verbs(&help(&[])) {
        let octad = format!("octad {verb}");
        let named =
            told.iter().any(|piece| piece.starts_with(&octad)) || blocks.contains(&format!("    {octad} "));
        assert!(named, "no chapter tells of `{octad}`");
    }
    let anywhere =
        [&[][..], &["up"], &["preview"], &["destroy"], &["gate"], &["drill"], &["build"], &["push"]]
            .map(|verb| options(&help(verb)));
    let mut seen = BTreeSet::new();
    for cells in rows(&commands) {
        let pieces = code(cells[0]);
        for piece in &pieces {
            let Some(verb) = piece.strip_prefix("octad ").and_then(|rest| rest.split(' ').next()) else {
                continue;
            };
            let there = options(&help(&[verb]));
            for option in pieces.iter().flat_map(|piece| options(piece)) {
                assert!(there.contains(&option), "`octad {verb}` has no {option}");
            }
            seen.insert(verb.to_owned());
        }
        if pieces.first().is_some_and(|piece| piece.starts_with("--")) {
            for option in pieces.iter().flat_map(|piece| options(piece)) {
                assert!(anywhere.iter().any(|there| there.contains(&option)), "there is no {option}");
            }
        }
    }
    assert!(seen.len() > 15, "{seen:?}");
    for option in options(help(&[]).split_once("Options:").unwrap().1.split_once("Examples:").unwrap().0) {
        let own = ["--help", "--version"].contains(&option.as_str());
        assert!(own || commands.contains(&format!("`{option}")), "docs/commands.md doesn't tell of {option}");
    }
}

#[test]
fn every_exit_code_is_told_of() {
    let commands = read("docs/commands.md");
    let codes = commands.split_once("## Exit codes").unwrap().1;
    let told: BTreeSet<u8> = rows(codes).iter().filter_map(|cells| cells[0].parse().ok()).collect();
    let there = [
        exit::OK,
        exit::FAILED,
        exit::CHANGES,
        exit::INCONCLUSIVE,
        exit::CANCELLED,
        exit::REFUSED,
        exit::PUT_BACK,
        exit::LOCKED,
        exit::USAGE,
        exit::DEFECT,
    ];
    assert_eq!(told, BTreeSet::from(there));
    let help = help(&[]);
    let numbers = help.split_once("Exit codes:").unwrap().1;
    let numbers: BTreeSet<u8> =
        numbers.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect();
    assert_eq!(numbers, told, "`octad --help` tells of the same");
}

#[cfg(feature = "drill")]
#[test]
fn every_fault_of_a_drill_is_told_of_with_its_cost() {
    let here = tempfile::tempdir().unwrap();
    let (_, list) = says(here.path(), &["drill", "list"]);
    let faults: BTreeSet<String> =
        list.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    let told: BTreeSet<String> =
        rows(&read("docs/drills.md")).iter().flat_map(|cells| code(cells[0])).collect();
    // What another hand does has no cost of its own.
    let external = BTreeSet::from(["external".to_owned()]);
    assert_eq!(told, &faults - &external, "docs/drills.md has a row for each");
    let number = told.len();
    assert!(
        read("README.md").contains(&format!("`./octad drill --all` has {number} things go wrong")),
        "{number}"
    );
    for cells in rows(read("docs/failover.md").split_once("## A drill shows").unwrap().1) {
        let unknown: Vec<_> = code(cells[1])
            .into_iter()
            .filter(|fault| !faults.contains(fault) && !external.contains(fault))
            .collect();
        assert_eq!(unknown, [""; 0], "docs/failover.md");
    }
}

#[test]
fn the_figures_of_the_readme_are_those_of_the_drills() {
    let (readme, drills) = (read("README.md"), read("docs/drills.md"));
    let measured: BTreeMap<String, Vec<&str>> = rows(&drills)
        .into_iter()
        .filter(|cells| !code(cells[0]).is_empty())
        .map(|cells| (code(cells[0]).join(" "), cells))
        .collect();
    let costs = readme.split_once("## What a failure costs").unwrap().1.split_once("\n## ").unwrap().0;
    let rows = rows(costs);
    assert!(rows.len() > 5, "{rows:?}");
    for cells in rows {
        let row = &measured[&code(cells[0]).join(" ")];
        assert_eq!((cells[1], *cells.last().unwrap()), (row[1], *row.last().unwrap()), "{cells:?}");
    }
    for figure in ["0 of 993,000", "75 times", "25 records a second to each of 10 partitions"] {
        assert!(costs.contains(figure) && drills.contains(figure), "{figure}");
    }
}

#[test]
fn the_settings_that_keep_a_session_are_those_of_the_facts() {
    let facts = |node: &str| -> NodeFacts {
        let document = read(&format!("nix/facts/ha-nixos/{node}.json"));
        serde_json::from_str::<Deployment>(&document).unwrap().facts
    };
    let (broker, zookeeper) = (facts("broker-1"), facts("zk-1"));
    let setting = |facts: &NodeFacts, name: &str| -> Option<u64> {
        facts.settings.get(name)?.known().ok()?.parse().ok()
    };
    let tick = setting(&zookeeper, "tickTime").unwrap();
    let failover = read("docs/failover.md");
    let table = failover.split_once("| setting | Octad | as shipped | why |").unwrap().1;
    let table = table.split_once("\n\n").unwrap().0;
    for cells in rows(table) {
        let name = code(cells[0]).remove(0);
        let millis = match name.as_str() {
            "initLimit" | "syncLimit" => setting(&zookeeper, &name).unwrap() * tick,
            _ => setting(&broker, &name).or(setting(&zookeeper, &name)).unwrap(),
        };
        let seconds: f64 = cells[1].strip_suffix(" s").unwrap().parse().unwrap();
        assert_eq!(millis as f64 / 1000.0, seconds, "{name}");
    }
}

/// What is wrong with the stack file of the chapter on stack files.
const WRONG: &str = "program = \"ha\"\n\n[kafka]\nbroker = 4\n[topics.orders]\npartitions = -6\n";

/// What a block may be cut from that is no file.
fn made(source: &str) -> Option<String> {
    let here = tempfile::tempdir().unwrap();
    let stack = StackFile::of_text("ha".parse().unwrap(), &read("stacks/ha.toml"));
    let stack = stack.declare(&Programs::standard(), &Registry::standard()).unwrap();
    let facts = stack.resources[&Key::new(NodeKind::NAME, "broker-1")].inputs.clone();
    let facts: NodeFacts = serde_json::from_value(facts).unwrap();
    let registry = Registry::standard();
    let role = registry.role_named(&facts.role).unwrap();
    Some(match source {
        "a local broker-1's server.properties" => {
            let layout = Layout {
                config: "/c".into(),
                data: "/d".into(),
                runtime: "/r".into(),
                software: "/s".into(),
            };
            layout.file(&role.files(&facts)["server.properties"])
        }
        "a local broker-1's watchdog" => {
            let mut words = role.watchdog(&facts).unwrap();
            assert_eq!(words[0], Layout::OCTAD);
            words[0] = "octad".into();
            // Its addresses fill a line.
            words[3] = LEFT_OUT.to_owned();
            format!("{} {LEFT_OUT}", words.join(" "))
        }
        "octad --stack prod preview" => {
            fs::create_dir(here.path().join("stacks")).unwrap();
            fs::write(here.path().join("stacks/prod.toml"), WRONG).unwrap();
            let (code, said) = says(here.path(), &["--stack", "prod", "preview"]);
            assert_eq!(code, Some(i32::from(exit::USAGE)));
            said
        }
        command => says(here.path(), &command.strip_prefix("octad ")?.split(' ').collect::<Vec<_>>()).1,
    })
}

/// Whether the lines are found in the text in this order, those between two `…` right behind each other, however far they
/// are indented; else the first that isn't.
fn cut_from(lines: &[String], text: &str) -> Result<(), String> {
    let text: Vec<&str> = text.lines().map(str::trim).collect();
    let mut from = 0;
    for piece in lines.split(|line| line.trim() == LEFT_OUT).filter(|piece| !piece.is_empty()) {
        let piece: Vec<&str> = piece.iter().map(|line| line.trim()).collect();
        let rest = text.get(from..).unwrap_or_default();
        let at = rest.windows(piece.len()).position(|window| window == piece);
        from += at.ok_or_else(|| piece.join("\n"))? + piece.len();
    }
    Ok(())
}

#[test]
fn a_piece_is_found_only_as_a_whole_and_in_its_order() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let text = "a\n  b\nc\nd\n";
    for found in ["a\nb", "  b\n  c", "a\n…\nd", "…\nd\n…"] {
        assert_eq!(cut_from(&lines(found), text), Ok(()), "{found}");
    }
    for (missing, first) in [("a\nc", "a\nc"), ("d\n…\na", "a"), ("b\n…\nb", "b"), ("e", "e")] {
        assert_eq!(cut_from(&lines(missing), text), Err(first.to_owned()));
    }
}

#[test]
fn what_is_shown_is_in_what_it_is_cut_from() {
    let mut compared = 0;
    for (path, chapter) in chapters() {
        for Shown { source, lines } in shown(&chapter) {
            // What only a cluster that runs can say, tests/real compares.
            if OF_A_RUN.contains(&source.as_str()) {
                continue;
            }
            let file = repository().join(&source);
            let text = if file.is_file() {
                fs::read_to_string(file).unwrap()
            } else {
                made(&source).unwrap_or_default()
            };
            if let Err(missing) = cut_from(&lines, &text) {
                panic!("{path}: {source} doesn't say\n{missing}\nbut\n{text}");
            }
            compared += 1;
        }
    }
    assert!(compared > 10, "{compared}");
}

#[test]
fn the_further_lines_of_a_stack_file_are_all_known() {
    let chapter = read("docs/stack-file.md");
    let further = chapter.split_once("Further lines that `ha` knows:\n\n```toml\n").unwrap().1;
    let further = further.split_once("```").unwrap().0;
    let text = format!("program = \"ha\"\n{further}");
    let file = StackFile::of_text("prod".parse().unwrap(), &text);
    if let Err(faults) = file.declare(&Programs::standard(), &Registry::standard()) {
        panic!("{faults:#?}");
    }
    // It would be told.
    let mistyped = text.replace("write-mib-s", "write-mib");
    assert!(
        StackFile::of_text("prod".parse().unwrap(), &mistyped)
            .declare(&Programs::standard(), &Registry::standard())
            .is_err()
    );
}

#[test]
fn the_stack_file_of_the_readme_can_be_used() {
    let readme = read("README.md");
    let text = readme.split_once("```toml\n").unwrap().1.split_once("```").unwrap().0;
    let stack = StackFile::of_text("prod".parse().unwrap(), text);
    let stack = stack.declare(&Programs::standard(), &Registry::standard()).unwrap();
    assert!(stack.resources.contains_key(&Key::new(NodeKind::NAME, "broker-7")));
}

#[test]
fn every_module_is_told_of() {
    let entries = fs::read_dir(repository().join("src")).unwrap().map(|entry| entry.unwrap().file_name());
    let modules: BTreeSet<String> = entries
        .map(|name| name.into_string().unwrap().trim_end_matches(".rs").to_owned())
        .filter(|name| !["main", "lib", "causes", "clock", "hex"].contains(&name.as_str()))
        .collect();
    let told: BTreeSet<String> =
        rows(&read("docs/architecture.md")).iter().flat_map(|cells| code(cells[0])).collect();
    assert_eq!(told, modules);
}

/// The modules that the code of one names, its tests apart.
fn used(module: &Path) -> BTreeSet<String> {
    if module.is_dir() {
        let entries = fs::read_dir(module).unwrap();
        return entries.flat_map(|entry| used(&entry.unwrap().path())).collect();
    }
    if module.extension().is_none_or(|extension| extension != "rs") || module.ends_with("tests.rs") {
        return BTreeSet::new();
    }
    let text = fs::read_to_string(module).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let named = lines.flat_map(|line| line.split("crate::").skip(1));
    let name = |rest: &str| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap().to_owned();
    named.map(name).collect()
}

/// A row of the table of modules: each module of it with those that its code names, and what they hold.
struct Row {
    modules: Vec<(String, BTreeSet<String>)>,
    holds: String,
}

fn table_of_modules() -> Vec<Row> {
    let text = read("docs/architecture.md");
    let with_uses = |name: String| {
        let path = repository().join("src").join(&name);
        let uses = if path.is_dir() { used(&path) } else { used(&path.with_extension("rs")) };
        (name, uses)
    };
    let row = |cells: &Vec<&str>| Row {
        modules: code(cells[0]).into_iter().map(with_uses).collect(),
        holds: cells[1].replace('`', ""),
    };
    rows(&text).iter().map(row).collect()
}

#[test]
fn every_module_stands_on_those_below_it() {
    let order: Vec<_> = table_of_modules().into_iter().flat_map(|row| row.modules).collect();
    let mut arrows = 0;
    for (place, (module, uses)) in order.iter().enumerate() {
        for (above, (other, _)) in order.iter().enumerate().filter(|(_, (other, _))| uses.contains(other)) {
            assert!(above >= place, "`{module}` uses `{other}`, which stands above it");
            arrows += usize::from(above > place);
        }
    }
    assert!(arrows > 50, "the code was not read: {arrows} arrows");
}

#[test]
fn the_modules_are_drawn_as_they_stand_on_each_other() {
    let table = table_of_modules();
    let uses = |row: &Row, other: &Row| {
        let names = |(name, _): &(String, _)| row.modules.iter().any(|(_, uses)| uses.contains(name));
        other.modules.iter().any(names)
    };
    let below = |place: usize| place + 1..table.len();
    let boxes: Vec<Drawn> = (0..table.len())
        .map(|place| Drawn {
            name: table[place].modules.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", "),
            says: table[place].holds.clone(),
            uses: below(place).filter(|other| uses(&table[place], &table[*other])).collect(),
        })
        .collect();
    let (path, picture) = ("docs/pictures/modules.svg", drawn(&boxes));
    if std::env::var_os("OCTAD_UPDATE_PICTURE").is_some_and(|value| value == "1") {
        fs::write(repository().join(path), &picture).unwrap();
    }
    assert!(read(path) == picture, "{path} is stale: OCTAD_UPDATE_PICTURE=1 cargo test --test docs");
}
