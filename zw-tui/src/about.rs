//! Gathers what the page `:info` and `zw-tui info` tell: versions, paths, and what the terminal can do.

use crate::log_file::LOG_BYTES_MAX;
use crate::model::State;
use crate::model::about::{About, lines};
use crate::options::{BROKERS_MAX, Common, NODES_MAX};
use crate::paths::Paths;
use crate::settings::Settings;
use crate::term::capabilities::Environment;
use crate::term::guard;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// The facts of this start.
#[must_use]
pub fn gather(
    settings: &Settings,
    environment: &Environment,
    paths: &Paths,
    log: Option<&Path>,
    data: Option<String>,
) -> About {
    let file = settings.file.display();
    let file = if settings.file.is_file() { file.to_string() } else { format!("{file} (not there)") };
    let bound = LOG_BYTES_MAX >> 20;
    let log = log.map_or_else(|| "none".to_owned(), |log| format!("{} (two files of {bound} MiB)", log.display()));
    let term = environment.term.as_deref().unwrap_or("not set");
    let theme = &settings.theme;
    let background = if theme.on_light { "light" } else { "taken as dark" };
    let glyphs = if theme.ascii { "ASCII" } else { "Unicode" };
    let place = if environment.is_remote { "far away" } else { "local" };
    let depth = theme.depth.words();
    About {
        facts: [
            ("version", format!("zw-tui {}", env!("CARGO_PKG_VERSION"))),
            ("settings", file),
            ("data", data.unwrap_or_else(|| "none: the nodes keep it".to_owned())),
            ("log", format!("{log}, from the level {} on", settings.log)),
            ("dumps", paths.state.display().to_string()),
            ("terminal", format!("{term}, {depth}, {glyphs}, background {background}, {place}")),
            ("sandbox", format!("at most {NODES_MAX} nodes and {BROKERS_MAX} brokers")),
        ]
        .map(|(name, value): (&str, String)| (name.to_owned(), value))
        .into(),
        complaints: settings.complaints.clone(),
        size: guard::size(),
        began: SystemTime::now().duration_since(UNIX_EPOCH).ok(),
    }
}

/// The text of `zw-tui info`.
#[must_use]
pub fn text(common: &Common) -> String {
    let (environment, paths) = (Environment::of_process(), Paths::of_process());
    let file = common.look.config.clone().unwrap_or_else(|| paths.config.clone());
    let settings = Settings::read(file, &environment, &common.look);
    let log = common.log.as_ref().map_or_else(
        || format!("console.log in the data directory; of an attached console {}", paths.log().display()),
        |log| log.display().to_string(),
    );
    let data = "--data DIR, or a temporary directory that is removed at the end".to_owned();
    let mut state = State::new(Vec::new(), Vec::new());
    (state.theme, state.flow.motion, state.mouse) = (settings.theme.name, settings.motion, settings.mouse);
    state.keymap = settings.keymap.clone();
    state.about = gather(&settings, &environment, &paths, Some(Path::new(&log)), Some(data));
    lines(&state).into_iter().map(|(line, _)| format!("{line}\n")).collect()
}
