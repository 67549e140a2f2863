//! The gateway as a process of its own.

fn main() -> std::process::ExitCode {
    zhiyuan_process::run::<zhiyuan_gateway::Program>()
}
