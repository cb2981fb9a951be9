//! Tells cargo that the pages' assets are part of the program: they are embedded when `web/dist`
//! was built, and a later build of them must reach the binary.

fn main() {
    println!("cargo:rerun-if-changed=web/dist");
    println!("cargo:rerun-if-changed=web/build.rs");
}
