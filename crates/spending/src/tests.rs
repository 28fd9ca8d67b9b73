//! The protocol on a store in memory, whose calls are lost, late and in any order.

mod bench;
mod cases;
mod memory;
mod model;
mod port;
mod process;
