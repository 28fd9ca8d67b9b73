//! Generates text on this machine: a cache of models on llama.cpp.
