//! Whether the sizes of the services fit each other, as they come.

use std::path::Path;

use toml::Table;

/// The server of a service, by its defaults.
fn server(service: &str) -> Table {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let path = root.join("services").join(service).join("config.default.toml");
    let config: Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
    config["server"].as_table().unwrap().clone()
}

/// What does not fit into the connection of a caller would wait there for others to end,
/// and not be refused.
#[test]
fn whatever_a_caller_lets_in_fits_into_its_connection_to_a_service() {
    for caller in ["gateway", "registration", "orgtree"] {
        let limits = server(caller)["limits"].clone();
        for service in ["identity", "orgtree", "registration"] {
            let most = server(service)["max_concurrent_streams"].as_integer().unwrap();
            for of in ["total", "stream"] {
                let let_in = limits[of].as_integer().unwrap();
                assert!(let_in <= most, "{of} of {caller}: {let_in}, at {service}: {most}");
            }
        }
    }
}
