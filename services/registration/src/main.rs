//! The binary of registration: `serve | migrate | check-config`.

fn main() -> std::process::ExitCode {
    zhiyuan_process::run::<zhiyuan_registration::Program>()
}
