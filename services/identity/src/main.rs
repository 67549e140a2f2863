//! The binary of identity: `serve | migrate | check-config`.

fn main() -> std::process::ExitCode {
    zhiyuan_process::run::<zhiyuan_identity::Program>()
}
