//! The colours of the themes, as data.
//!
//! Status is told by blue against orange and yellow rather than by green against red, and what is well has no colour, so
//! that colour means attention. A theme with colours of its own also brings its own background: only then is the
//! contrast of its text known, and the tests compute it.

use super::Role;
use crate::model::select::Face;
use ratatui::style::Color;

/// How many colours the terminal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// None: attributes only.
    Mono,
    /// The sixteen named ones; which these are, the person's terminal decides.
    Sixteen,
    /// The 256 of xterm.
    Indexed,
    /// All.
    True,
}

impl Depth {
    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Depth::Mono => "no colours",
            Depth::Sixteen => "16 colours",
            Depth::Indexed => "256 colours",
            Depth::True => "16 million colours",
        }
    }
}

/// A colour: exact, and what stands for it among the sixteen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ink {
    /// Red, green, blue.
    pub(super) rgb: [u8; 3],
    /// The named one.
    pub(super) named: Color,
}

const fn ink(rgb: u32, named: Color) -> Ink {
    let [_, red, green, blue] = rgb.to_be_bytes();
    Ink { rgb: [red, green, blue], named }
}

impl Ink {
    /// The colour for a terminal.
    #[must_use]
    pub(super) fn at(self, depth: Depth) -> Color {
        let [red, green, blue] = self.rgb;
        match depth {
            Depth::Mono => Color::Reset,
            Depth::Sixteen => self.named,
            Depth::Indexed => Color::Indexed(nearest_index(self.rgb)),
            Depth::True => Color::Rgb(red, green, blue),
        }
    }
}

/// The levels of the 6x6x6 cube among the 256 colours.
const CUBE: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// The exact colour of one of the 256 that are the same everywhere: the cube and the greys.
pub(super) fn indexed_rgb(index: u8) -> [u8; 3] {
    match index {
        0..16 => [0; 3],
        16..232 => {
            let at = index - 16;
            [at / 36, at / 6 % 6, at % 6].map(|level| CUBE[usize::from(level)])
        }
        232.. => [8 + 10 * (index - 232); 3],
    }
}

fn nearest_index(rgb: [u8; 3]) -> u8 {
    let distance = |index: &u8| -> u32 {
        let pairs = indexed_rgb(*index).into_iter().zip(rgb);
        pairs.map(|(one, other)| u32::from(one.abs_diff(other)).pow(2)).sum()
    };
    (16..=255).min_by_key(distance).unwrap_or(16)
}

/// The colours of a theme.
#[derive(Clone, Copy, Debug)]
pub(super) struct Palette {
    /// Text and background; none leaves both to the terminal, and what is dim is drawn with an attribute.
    pub(super) base: Option<Base>,
    /// The frame that has the keys, and the keys themselves.
    pub(super) key: Ink,
    /// Worth a look.
    pub(super) warning: Ink,
    /// Broken, and members that failed.
    pub(super) bad: Ink,
    /// A leader.
    pub(super) leader: Ink,
    /// Followers, observers and brokers that are up.
    pub(super) follower: Ink,
    /// Looking for a leader.
    pub(super) looking: Ink,
    /// Being brought up to date.
    pub(super) syncing: Ink,
    /// Cut off.
    pub(super) cut: Ink,
    /// Paused.
    pub(super) paused: Ink,
    /// Not running.
    pub(super) down: Ink,
    /// Not heard.
    pub(super) unknown: Ink,
}

/// What a theme with its own background stands on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Base {
    /// Ordinary text.
    pub(super) text: Ink,
    /// Behind it.
    pub(super) background: Ink,
    /// Less important text.
    pub(super) dim: Ink,
    /// Frames.
    pub(super) border: Ink,
}

impl Palette {
    /// The colour of a role; none for the text's own.
    #[must_use]
    pub(super) fn ink(&self, role: Role) -> Option<Ink> {
        Some(match role {
            Role::Text | Role::Strong | Role::Selected | Role::Cursor => return None,
            Role::Dim => self.base?.dim,
            Role::Border => self.base?.border,
            Role::Focus | Role::Key | Role::Found => self.key,
            // The theme's own hues in turn, so that their contrast is known.
            Role::Epoch(epoch) => {
                [self.follower, self.syncing, self.looking, self.cut, self.leader, self.paused][epoch as usize % 6]
            }
            Role::Warning => self.warning,
            Role::Bad => self.bad,
            Role::Face(face) => match face {
                Face::Leader => self.leader,
                Face::Follower | Face::Observer | Face::Up => self.follower,
                Face::Looking => self.looking,
                Face::Syncing => self.syncing,
                Face::Cut => self.cut,
                Face::Paused => self.paused,
                Face::Down => self.down,
                Face::Failed => self.bad,
                Face::Unknown => self.unknown,
            },
        })
    }
}

/// On a dark background.
pub(super) const DARK: Palette = Palette {
    base: Some(DARK_BASE),
    key: ink(0x56_c8_d8, Color::Cyan),
    warning: ink(0xe5_c0_7b, Color::Yellow),
    bad: ink(0xff_7b_85, Color::LightRed),
    leader: ink(0xf2_c9_4c, Color::Yellow),
    follower: ink(0x63_b3_ed, Color::Cyan),
    looking: ink(0xd3_9c_f0, Color::Magenta),
    syncing: ink(0x7a_a2_f7, Color::Blue),
    cut: ink(0xf0_8b_d0, Color::LightMagenta),
    paused: ink(0xaa_b2_bf, Color::Gray),
    down: ink(0xf0_71_78, Color::Red),
    unknown: ink(0x8f_98_a8, Color::DarkGray),
};

const DARK_BASE: Base = Base {
    text: ink(0xd8_de_e9, Color::White),
    background: ink(0x16_18_1d, Color::Black),
    dim: ink(0x9a_a3_b2, Color::Gray),
    border: ink(0x70_7a_8a, Color::DarkGray),
};

/// On a white background.
pub(super) const LIGHT: Palette = Palette {
    base: Some(Base {
        text: ink(0x1f_23_28, Color::Black),
        background: ink(0xff_ff_ff, Color::White),
        dim: ink(0x59_63_6e, Color::DarkGray),
        border: ink(0x81_8b_98, Color::DarkGray),
    }),
    key: ink(0x0a_5c_8a, Color::Blue),
    warning: ink(0x7a_4b_00, Color::Magenta),
    bad: ink(0xb3_14_1e, Color::Red),
    leader: ink(0x7a_52_00, Color::Magenta),
    follower: ink(0x0b_5c_ad, Color::Blue),
    looking: ink(0x7b_2f_b5, Color::Magenta),
    syncing: ink(0x1f_4f_d8, Color::Blue),
    cut: ink(0xa3_18_7a, Color::Magenta),
    paused: ink(0x4b_55_60, Color::DarkGray),
    down: ink(0xb3_14_1e, Color::Red),
    unknown: ink(0x59_63_6e, Color::DarkGray),
};

/// At least 7:1.
pub(super) const HIGH_CONTRAST: Palette = Palette {
    base: Some(Base {
        text: ink(0xff_ff_ff, Color::White),
        background: ink(0x00_00_00, Color::Black),
        dim: ink(0xd0_d0_d0, Color::Gray),
        border: ink(0xff_ff_ff, Color::White),
    }),
    key: ink(0x00_ff_ff, Color::LightCyan),
    warning: ink(0xff_d7_00, Color::LightYellow),
    bad: ink(0xff_9a_9a, Color::LightRed),
    leader: ink(0xff_ff_00, Color::LightYellow),
    follower: ink(0x00_e5_ff, Color::LightCyan),
    looking: ink(0xff_9c_ff, Color::LightMagenta),
    syncing: ink(0xa8_c8_ff, Color::LightCyan),
    cut: ink(0xff_b0_e0, Color::LightMagenta),
    paused: ink(0xd0_d0_d0, Color::Gray),
    down: ink(0xff_9a_9a, Color::LightRed),
    unknown: ink(0xc6_c6_c6, Color::Gray),
};

/// For eyes that do not tell red from green: blue against yellow and orange.
pub(super) const DEUTERANOPIA: Palette = Palette {
    base: Some(DARK_BASE),
    key: ink(0x56_b4_e9, Color::Cyan),
    warning: ink(0xe6_9f_00, Color::Yellow),
    bad: ink(0xff_8a_3d, Color::LightYellow),
    leader: ink(0xf0_e4_42, Color::LightYellow),
    follower: ink(0x56_b4_e9, Color::LightBlue),
    looking: ink(0xf4_e6_ff, Color::White),
    syncing: ink(0x8a_b4_f8, Color::Cyan),
    cut: ink(0xb9_a3_e3, Color::LightMagenta),
    paused: ink(0xb5_bc_c6, Color::Gray),
    down: ink(0xff_8a_3d, Color::Yellow),
    unknown: ink(0x8f_98_a8, Color::DarkGray),
};

/// For eyes that do not tell blue from yellow: teal against red and pink.
pub(super) const TRITANOPIA: Palette = Palette {
    base: Some(DARK_BASE),
    key: ink(0x4d_d0_c7, Color::Cyan),
    warning: ink(0xff_9e_80, Color::LightMagenta),
    bad: ink(0xff_6b_6b, Color::LightRed),
    leader: ink(0xff_ff_ff, Color::White),
    follower: ink(0x4d_d0_c7, Color::Cyan),
    looking: ink(0xff_9e_c4, Color::LightMagenta),
    syncing: ink(0x7f_d6_e8, Color::LightCyan),
    cut: ink(0xf0_6f_a0, Color::Magenta),
    paused: ink(0xb5_bc_c6, Color::Gray),
    down: ink(0xff_6b_6b, Color::Red),
    unknown: ink(0x8f_98_a8, Color::DarkGray),
};

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: [(&str, Palette, f64); 5] = [
        ("dark", DARK, 4.5),
        ("light", LIGHT, 4.5),
        ("high-contrast", HIGH_CONTRAST, 7.0),
        ("deuteranopia", DEUTERANOPIA, 4.5),
        ("tritanopia", TRITANOPIA, 4.5),
    ];

    fn linear(rgb: [u8; 3]) -> [f64; 3] {
        rgb.map(|channel| {
            let value = f64::from(channel) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        })
    }

    /// The contrast ratio of WCAG 2.
    fn contrast(one: [u8; 3], other: [u8; 3]) -> f64 {
        let luminance = |rgb: [u8; 3]| {
            let [red, green, blue] = linear(rgb);
            0.2126 * red + 0.7152 * green + 0.0722 * blue
        };
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn the_contrast_of_two_colours_is_that_of_the_standard() {
        assert!((contrast([0; 3], [255; 3]) - 21.0).abs() < 1e-9);
        assert!((contrast([0x77; 3], [255; 3]) - 4.48).abs() < 0.01);
    }

    #[test]
    fn every_text_stands_out_from_the_background() {
        for (name, palette, least) in OWN {
            let base = palette.base.unwrap();
            for role in Role::ALL {
                let ink = palette.ink(role).unwrap_or(base.text);
                // Frames are no text: the standard asks 3:1 of them.
                let least = if role == Role::Border { 3.0 } else { least };
                let shown = |ink: Ink| match ink.at(Depth::Indexed) {
                    Color::Indexed(index) => indexed_rgb(index),
                    color => panic!("{color:?}"),
                };
                let exact = contrast(ink.rgb, base.background.rgb);
                let indexed = contrast(shown(ink), shown(base.background));
                assert!(exact >= least, "{name} {role:?}: {exact:.2}");
                assert!(indexed >= least * 0.95, "{name} {role:?} of 256: {indexed:.2}");
            }
        }
    }

    #[test]
    fn what_must_be_told_apart_is_by_those_for_whom_the_theme_is() {
        // Machado, Oliveira and Fernandes 2009, severity 1.0.
        const DEUTAN: [[f64; 3]; 3] = [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]];
        const TRITAN: [[f64; 3]; 3] = [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]];
        for (name, palette, seen_as) in [("deuteranopia", DEUTERANOPIA, DEUTAN), ("tritanopia", TRITANOPIA, TRITAN)] {
            let seen = |ink: Ink| {
                let light = linear(ink.rgb);
                seen_as.map(|row| row.iter().zip(light).map(|(weight, value)| weight * value).sum::<f64>())
            };
            let apart = [
                (palette.leader, palette.follower),
                (palette.follower, palette.down),
                (palette.leader, palette.down),
                (palette.follower, palette.bad),
                (palette.follower, palette.warning),
                (palette.follower, palette.looking),
            ];
            for (one, other) in apart {
                let distance = seen(one).iter().zip(seen(other)).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
                assert!(distance > 0.2, "{name}: {one:?} and {other:?} look alike, {distance:.2}");
            }
        }
    }

    #[test]
    fn a_colour_is_as_exact_as_the_terminal_allows() {
        let ink = ink(0xff_00_00, Color::Red);
        assert_eq!(ink.at(Depth::True), Color::Rgb(255, 0, 0));
        assert_eq!(ink.at(Depth::Indexed), Color::Indexed(196));
        assert_eq!(ink.at(Depth::Sixteen), Color::Red);
        assert_eq!(ink.at(Depth::Mono), Color::Reset);
    }
}
