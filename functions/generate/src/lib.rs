//! Generates text over HTTP, whole or as a stream.
