use std::{
    panic::{set_hook, take_hook},
    sync::Once,
};

/// Libraries whose panics are caught where they are used, by the folders of their sources.
const CAUGHT: [&str; 2] = ["/parquet-", "/tokenizers-"];

/// Lets libraries panic whose panics are caught: only what is not caught shall end a fuzzer.
pub(crate) fn forgive_the_libraries() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let hook = take_hook();
        set_hook(Box::new(move |panic| {
            let file = panic.location().map_or("", |location| location.file());
            if !CAUGHT.iter().any(|library| file.contains(library)) {
                hook(panic);
            }
        }));
    });
}
