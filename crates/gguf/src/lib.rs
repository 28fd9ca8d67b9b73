//! Writes GGUF files from model folders and adapters.
