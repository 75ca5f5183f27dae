//! Enums whose variants travel as numbers, never as names: the macro `kinds!`.
//!
//! MessagePack libraries write a variant as its name. Names cost bytes and tie the wire to the source, so each variant
//! has a number here. A frame is `kind u8, version u8, body`; inside a body an enum is the pair `[kind, body]`.

use thiserror::Error;

/// The version byte of every frame's body. A body may gain trailing fields with defaults without a new version.
pub const BODY_VERSION: u8 = 1;

/// Why bytes are not a frame of the expected kind.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// Fewer than the two bytes of kind and version.
    #[error("a frame of {0} bytes is too short to have a kind and a version")]
    Short(usize),
    /// No variant has this number.
    #[error("unknown kind {kind} of {of}")]
    Kind {
        /// The number found.
        kind: u8,
        /// What was expected, by its type's name.
        of: &'static str,
    },
    /// The peer speaks another version of this body.
    #[error("version {0} of a body; this program knows version {BODY_VERSION}")]
    Version(u8),
    /// The body is not the MessagePack of its kind.
    #[error("malformed {of} of kind {kind}: {reason}")]
    Body {
        /// The kind whose body is wrong.
        kind: u8,
        /// What was expected, by its type's name.
        of: &'static str,
        /// What the decoder said.
        reason: String,
    },
}

/// Splits a frame into kind and body, checking the version.
///
/// # Errors
/// The frame is too short or of another version.
pub fn split_frame(frame: &[u8]) -> Result<(u8, &[u8]), DecodeError> {
    match frame {
        [kind, BODY_VERSION, body @ ..] => Ok((*kind, body)),
        [_, version, ..] => Err(DecodeError::Version(*version)),
        _ => Err(DecodeError::Short(frame.len())),
    }
}

/// Deepest nesting of a body: enough for a multi's access control lists, too little to exhaust a stack.
const BODY_DEPTH_MAX: usize = 32;

/// Reads the parts of a body one after the other.
pub type BodyReader<'a> = rmp_serde::Deserializer<rmp_serde::decode::ReadRefReader<'a, [u8]>>;

/// A reader of `body` that refuses deep nesting.
#[must_use]
pub fn body_reader(body: &[u8]) -> BodyReader<'_> {
    let mut reader = rmp_serde::Deserializer::from_read_ref(body);
    reader.set_max_depth(BODY_DEPTH_MAX);
    reader
}

/// Declares an enum of `number => Variant(Body)`: each body is a serde type, each number is for ever.
///
/// The enum gets `kind()`, `encode_frame(&mut Vec<u8>)`, `decode_frame(&[u8])`, the same for a body alone, and serde
/// implementations as the pair `[kind, body]` for use inside other bodies.
#[macro_export]
macro_rules! kinds {
    ($(#[$meta:meta])* pub enum $name:ident {
        $($(#[$variant_meta:meta])* $number:literal => $variant:ident($body:ty)),+ $(,)?
    }) => {
        $(#[$meta])*
        pub enum $name {
            $($(#[$variant_meta])* $variant($body)),+
        }

        impl $name {
            /// The number that travels for this variant.
            #[must_use]
            pub fn kind(&self) -> u8 {
                match self { $($name::$variant(_) => $number),+ }
            }

            /// Appends `kind, version, body` to `out`.
            ///
            /// # Panics
            /// Never for the types of this crate: encoding into memory cannot fail.
            pub fn encode_frame(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&[self.kind(), $crate::kinds::BODY_VERSION]);
                self.encode_body(out);
            }

            /// Appends the body alone: for frames that put something between the version and the body.
            ///
            /// # Panics
            /// Never for the types of this crate: encoding into memory cannot fail.
            pub fn encode_body(&self, out: &mut Vec<u8>) {
                match self {
                    $($name::$variant(body) => {
                        rmp_serde::encode::write(out, body).expect("encoding into memory cannot fail");
                    }),+
                }
            }

            /// Reads what `encode_frame` wrote.
            ///
            /// # Errors
            /// The bytes are not a frame of this enum.
            pub fn decode_frame(frame: &[u8]) -> Result<$name, $crate::kinds::DecodeError> {
                let (kind, body) = $crate::kinds::split_frame(frame)?;
                $name::decode_body(kind, &mut $crate::kinds::body_reader(body))
            }

            /// Reads the body of `kind` that `encode_body` wrote.
            ///
            /// # Errors
            /// No variant has this kind, or these bytes are not its body.
            pub fn decode_body(
                kind: u8,
                body: &mut $crate::kinds::BodyReader<'_>,
            ) -> Result<$name, $crate::kinds::DecodeError> {
                let of = stringify!($name);
                match kind {
                    $($number => <$body as serde::Deserialize>::deserialize(body).map($name::$variant).map_err(|error| {
                        $crate::kinds::DecodeError::Body { kind, of, reason: error.to_string() }
                    }),)+
                    _ => Err($crate::kinds::DecodeError::Kind { kind, of }),
                }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeTuple;
                let mut pair = serializer.serialize_tuple(2)?;
                pair.serialize_element(&self.kind())?;
                match self { $($name::$variant(body) => pair.serialize_element(body)?),+ }
                pair.end()
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                struct Pair;
                impl<'de> serde::de::Visitor<'de> for Pair {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(concat!("a pair of kind and body of ", stringify!($name)))
                    }

                    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut pair: A) -> Result<$name, A::Error> {
                        use serde::de::Error;
                        let missing = || A::Error::custom(concat!("no body of ", stringify!($name)));
                        match pair.next_element::<u8>()? {
                            $(Some($number) => pair.next_element()?.map($name::$variant).ok_or_else(missing),)+
                            kind => Err(A::Error::custom(format!("unknown kind {kind:?}"))),
                        }
                    }
                }
                deserializer.deserialize_tuple(2, Pair)
            }
        }
    };
}

/// Serde as a number for an enum without fields; names never travel.
#[macro_export]
macro_rules! numbered {
    ($name:ident { $($number:literal => $variant:ident),+ $(,)? }) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_u8(match self { $($name::$variant => $number),+ })
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                match <u8 as serde::Deserialize>::deserialize(deserializer)? {
                    $($number => Ok($name::$variant),)+
                    other => Err(serde::de::Error::custom(format!(concat!(stringify!($name), " {}"), other))),
                }
            }
        }
    };
}
#[cfg(test)]
#[allow(unreachable_pub, reason = "the macro declares public enums")]
mod tests {
    use super::*;
    use serde::{Deserialize, Serialize};

    /// A body.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub struct Body {
        number: u64,
        #[serde(default)]
        later: u64,
    }

    kinds! {
        /// Two kinds.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Kind {
            /// One.
            1 => One(Body),
            /// Many.
            7 => Many(Vec<Kind>),
        }
    }

    #[test]
    fn a_frame_reads_back_and_holds_no_names() {
        let kind = Kind::Many(vec![Kind::One(Body { number: 300, later: 0 }), Kind::Many(vec![])]);
        let mut frame = Vec::new();
        kind.encode_frame(&mut frame);
        assert_eq!(Kind::decode_frame(&frame), Ok(kind));
        assert!(frame.len() < 16, "{frame:?}");
    }

    #[test]
    fn a_missing_trailing_field_takes_its_default() {
        assert_eq!(Kind::decode_frame(&[1, 1, 0x91, 5]), Ok(Kind::One(Body { number: 5, later: 0 })));
    }

    #[test]
    fn wrong_frames_are_errors() {
        assert_eq!(Kind::decode_frame(&[1]), Err(DecodeError::Short(1)));
        assert_eq!(Kind::decode_frame(&[1, 9, 0]), Err(DecodeError::Version(9)));
        assert_eq!(Kind::decode_frame(&[2, 1, 0]), Err(DecodeError::Kind { kind: 2, of: "Kind" }));
        assert!(matches!(Kind::decode_frame(&[1, 1, 0xc1]), Err(DecodeError::Body { kind: 1, .. })));
    }
}
