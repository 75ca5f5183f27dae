//! ZooWeeper's console.
fn main() {}
