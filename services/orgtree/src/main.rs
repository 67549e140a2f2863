//! The binary of orgtree: `serve | migrate | verify | check-config | grant`.

fn main() -> std::process::ExitCode {
    zhiyuan_process::run::<zhiyuan_orgtree::Program>()
}
