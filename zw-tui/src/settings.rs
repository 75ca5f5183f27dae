//! How the console is set: defaults, then the person's file, then the environment, then the flags.

use crate::action::keymap::Keymap;
use crate::config::Config;
use crate::motion::Motion;
use crate::nearest::nearest;
use crate::options::LookOptions;
use crate::term::capabilities::{ColorChoice, Environment};
use crate::theme::Theme;
use std::path::PathBuf;

/// The level of the log if nobody says another.
const LOG_LEVEL: &str = "info";

/// The settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How things look.
    pub theme: Theme,
    /// How much moves.
    pub motion: Motion,
    /// Whether the mouse is ours from the start.
    pub mouse: bool,
    /// Which lines go to the log.
    pub log: String,
    /// Which keys do what.
    pub keymap: Keymap,
    /// The file.
    pub file: PathBuf,
    /// What is wrong with the file or the environment.
    pub complaints: Vec<String>,
}

impl Settings {
    /// Reads the file, and puts what the environment and the flags say above it.
    #[must_use]
    pub fn read(file: PathBuf, environment: &Environment, flags: &LookOptions) -> Settings {
        let (config, complaints) = Config::read(&file);
        let complaints = complaints.into_iter().map(|complaint| format!("{}, {complaint}", file.display())).collect();
        Settings::resolve(config, environment, flags, file, complaints)
    }

    fn resolve(
        config: Config,
        environment: &Environment,
        flags: &LookOptions,
        file: PathBuf,
        mut complaints: Vec<String>,
    ) -> Settings {
        let of_environment = environment.no_color.as_ref().map(|_| ColorChoice::Auto);
        let color = flags.color.or(of_environment).or(config.color).unwrap_or_default();
        let (motion, complaint) = motion_of(environment);
        complaints.extend(complaint);
        Settings {
            theme: Theme {
                name: flags.theme.or(config.theme).unwrap_or_default(),
                depth: environment.depth(color),
                on_light: environment.on_light(),
                ascii: flags.ascii || environment.ascii() || config.ascii.unwrap_or(false),
            },
            motion: flags.motion.or(motion).or(config.motion).unwrap_or(if environment.is_remote {
                Motion::Reduced
            } else {
                Motion::Full
            }),
            mouse: if flags.mouse || flags.no_mouse { flags.mouse } else { config.mouse.unwrap_or(true) },
            log: environment.log.clone().or(config.log).unwrap_or_else(|| LOG_LEVEL.to_owned()),
            keymap: config.keymap,
            file,
            complaints,
        }
    }
}

/// What the environment says of motion, and what is wrong with that.
fn motion_of(environment: &Environment) -> (Option<Motion>, Option<String>) {
    let reduced = environment.reduces_motion.then_some(Motion::Reduced);
    let Some(word) = environment.motion.as_deref() else { return (reduced, None) };
    match Motion::ALL.into_iter().find(|motion| motion.text() == word) {
        Some(motion) => (Some(motion), None),
        None => {
            let near = nearest(word, Motion::ALL.map(Motion::text));
            let hint = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
            (reduced, Some(format!("ZW_MOTION is full, reduced or off, not {word:?}{hint}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::CommandLine;
    use crate::theme::{Depth, Name};
    use clap::Parser;

    fn settings(file: &str, environment: &Environment, flags: &str) -> Settings {
        let options = CommandLine::try_parse_from(format!("zw-tui {flags}").split_whitespace()).unwrap();
        let (config, complaints) = Config::parse(file);
        assert!(complaints.is_empty(), "{complaints:?}");
        Settings::resolve(config, environment, &options.options.common.look, PathBuf::new(), Vec::new())
    }

    fn terminal() -> Environment {
        Environment { term: Some("xterm-256color".into()), locale: Some("C.UTF-8".into()), ..Default::default() }
    }

    #[test]
    fn flags_come_before_the_environment_and_that_before_the_file() {
        let plain = settings("", &terminal(), "");
        assert_eq!((plain.theme.name, plain.theme.depth), (Name::Auto, Depth::Indexed));
        assert!(plain.mouse && plain.motion == Motion::Full && plain.log == "info");

        let file = "theme = \"dark\"\nmotion = \"off\"\ncolor = \"always\"\nmouse = false\nlog = \"debug\"\n";
        let of_file = settings(file, &terminal(), "");
        assert_eq!((of_file.theme.name, of_file.motion, of_file.mouse), (Name::Dark, Motion::Off, false));
        assert_eq!(of_file.log, "debug");

        let set =
            Environment { no_color: Some("1".into()), reduces_motion: true, log: Some("warn".into()), ..terminal() };
        let of_environment = settings(file, &set, "");
        assert_eq!((of_environment.theme.depth, of_environment.motion), (Depth::Mono, Motion::Reduced));
        assert_eq!(of_environment.log, "warn");

        let of_flags = settings(file, &set, "--theme light --color always --motion full --mouse");
        assert_eq!((of_flags.theme.name, of_flags.theme.depth), (Name::Light, Depth::Indexed));
        assert!(of_flags.motion == Motion::Full && of_flags.mouse);
    }

    #[test]
    fn the_variable_of_the_console_counts_before_the_general_one() {
        let set = |motion: &str| Environment { motion: Some(motion.into()), reduces_motion: true, ..terminal() };
        assert_eq!(settings("", &set("off"), "").motion, Motion::Off);
        let wrong = settings("", &set("of"), "");
        assert_eq!(wrong.motion, Motion::Reduced);
        assert!(wrong.complaints[0].contains("did you mean off?"), "{:?}", wrong.complaints);
    }
}
