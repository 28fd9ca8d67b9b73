//! Lets this crate's tests find libtorch at run time where it was found at build time.

#[expect(
    clippy::disallowed_methods,
    reason = "Cargo hands build scripts their inputs through the environment"
)]
fn main() {
    println!("cargo::rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    if let Some(folder) = std::env::var_os("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{}", folder.display());
    }
}
