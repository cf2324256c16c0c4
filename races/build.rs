//! Compiles the threads' shared state with loom's synchronisation primitives.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(loom)");
    println!("cargo::rustc-cfg=loom");
}
