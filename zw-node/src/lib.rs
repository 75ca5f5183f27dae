//! ZooWeeper's processes without a screen.
