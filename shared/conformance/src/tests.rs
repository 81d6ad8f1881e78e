//! Tests of the actors, the spans and the audit with stores that fail, and the conformance of SQLite and of memory.

mod audit;
mod ingress;
mod memory;
mod panics;
mod reader;
mod spans;
mod sqlite;
