//! The unsafe edge of llama.cpp: models, contexts and adapters that cannot be misused.
