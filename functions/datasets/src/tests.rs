use super::*;

mod columns;
mod report;
