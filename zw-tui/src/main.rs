//! The console's program: see the library.

use clap::Parser;
use std::error::Error;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zw_node::broker::{self, BrokerError};
use zw_node::server::{self, ServerError};
use zw_tui::about;
use zw_tui::action::manual;
use zw_tui::config::Config;
use zw_tui::console::{self, Ensemble, USAGE_CODE};
use zw_tui::headless_run::complaint;
use zw_tui::options::{Child, CommandLine, ConfigTask};
use zw_tui::paths::Paths;
use zw_tui::supervisor::keeper;
use zw_tui::term::editor;

fn main() -> ExitCode {
    let CommandLine { child, options } = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(error) => return refused(&error),
    };
    match child {
        None => ExitCode::from(console::run(Ensemble::Local(&options))),
        Some(Child::Run(run)) => ExitCode::from(console::run(Ensemble::Scenarios(&run))),
        Some(Child::Attach(attach)) => ExitCode::from(console::run(Ensemble::Attached(&attach))),
        Some(Child::Keys { markdown: true, .. }) => print(&manual::markdown()),
        Some(Child::Keys { markdown: false, config }) => {
            let file = config.unwrap_or_else(|| Paths::of_process().config);
            print(&manual::text(&Config::read(&file).0.keymap))
        }
        Some(Child::Config { what, config }) => config_task(what, config),
        Some(Child::Info(common)) => print(&about::text(&common)),
        Some(Child::Replay { file, look }) => ExitCode::from(zw_tui::replay::run(&file, &look)),
        Some(Child::Node(node)) => as_child("zw-node", || server::run(node), ServerError::exit_code),
        Some(Child::Editor { console, line }) => ExitCode::from(editor::watch_over(console, &line)),
        Some(Child::Broker(options)) => as_child("zw-broker", || broker::run(options), BrokerError::exit_code),
        Some(Child::Keeper { directory }) => as_child(keeper::NAME, || keeper::run(&directory), |_| 1),
    }
}

/// Says what is wrong with the flags: as JSON to whoever runs scenarios and asks for that.
fn refused(error: &clap::Error) -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let wants_json = words.first().is_some_and(|word| word == "run") && words.iter().any(|word| word == "--json");
    if wants_json && error.use_stderr() {
        eprintln!("{}", complaint(true, USAGE_CODE, &usage_text(error)));
    } else {
        // Nobody may be reading it.
        let _ = error.print();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE_CODE))
}

/// What is wrong, without the usage and the hint that are appended for a person.
fn usage_text(error: &clap::Error) -> String {
    let text = error.to_string();
    let end = text.find("\n\nUsage:").or_else(|| text.find("\n\nFor more information")).unwrap_or(text.len());
    let words: Vec<&str> = text[..end].trim_start_matches("error: ").split_whitespace().collect();
    words.join(" ")
}

fn print(text: &str) -> ExitCode {
    // Whoever reads only the beginning has what was wanted.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn config_task(what: ConfigTask, given: Option<PathBuf>) -> ExitCode {
    let path = given.unwrap_or_else(|| Paths::of_process().config);
    let shown = path.display();
    match what {
        ConfigTask::Path => print(&format!("{shown}\n")),
        ConfigTask::Init => match write_template(&path) {
            Ok(()) => print(&format!("wrote {shown}\n")),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                eprintln!("zw-tui: {shown} is there already and stays as it is; zw-tui config check looks at it");
                ExitCode::FAILURE
            }
            Err(error) => {
                eprintln!("zw-tui: cannot write {shown}: {error}; give another file with --config");
                ExitCode::FAILURE
            }
        },
        ConfigTask::Check if !path.is_file() => {
            print(&format!("{shown} is not there, so all is as it is by default; zw-tui config init writes it\n"))
        }
        ConfigTask::Check => {
            let (_, complaints) = Config::read(&path);
            for complaint in &complaints {
                eprintln!("zw-tui: {shown}, {complaint}");
            }
            if complaints.is_empty() { print(&format!("{shown} is right\n")) } else { ExitCode::FAILURE }
        }
    }
}

fn write_template(path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    File::create_new(path)?.write_all(Config::template().as_bytes())
}

fn as_child<E: Error>(name: &str, run: impl FnOnce() -> Result<(), E>, exit_code: impl Fn(&E) -> u8) -> ExitCode {
    // A child runs the console's program through a link, and ps and top would call it by the link's name. Threads take
    // the name over from here. It is for people only, so a system without it is as good.
    let _ = std::fs::write("/proc/self/comm", name);
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::from(exit_code(&error))
        }
    }
}
