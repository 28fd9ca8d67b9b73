//! Compiles the shim against the libtorch that is linked, and lets this crate's tests find that at run time.

use std::path::Path;

#[expect(
    clippy::disallowed_methods,
    reason = "Cargo hands build scripts their inputs through the environment"
)]
fn main() {
    println!("cargo::rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    println!("cargo::rerun-if-changed=src/shim.cpp");
    let Some(folder) = std::env::var_os("DEP_TCH_LIBTORCH_LIB") else {
        return;
    };
    let folder = Path::new(&folder);
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", folder.display());
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        // Its headers are not ours to mend.
        .flag("-isystem")
        .flag(folder.with_file_name("include"))
        .file("src/shim.cpp")
        .compile("llmopt_torch_shim");
}
