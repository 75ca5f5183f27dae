//! The console's program: see the library.

fn main() {}
