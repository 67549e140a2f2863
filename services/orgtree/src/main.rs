//! The binary of orgtree: `serve | migrate | verify | check-config | grant | load`.

fn main() -> std::process::ExitCode {
    zhiyuan_process::run::<zhiyuan_orgtree::Program>()
}
