//! Against real servers on this machine, and real configuration.

mod captcha;
mod privacy;
mod real_name;
mod shape;
mod sms;
mod stub;
mod transport;

use std::sync::Arc;

use serde::de::DeserializeOwned;
use time::macros::{date, datetime};
use uuid::Uuid;
use zhiyuan_domain::{IdNumber, ManualClock, Mobile, PersonName, SharedClock};

use super::{RealNameConfig, RealNameRegister, SmsVendor, SmsVendorConfig};

/// Printed in the annex of GB 11643-1999 as an example.
const ID_NUMBER: &str = "11010519491231002X";
const PHONE: &str = "13812345678";
const MESSAGE: Uuid = Uuid::from_u128(0x0193_8a6e_7c00_7abc_8def_0000_0000_0001);

fn manual_clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(datetime!(2026-11-23 08:00 UTC)))
}

fn clock() -> SharedClock {
    manual_clock()
}

fn phone() -> Mobile {
    Mobile::parse(PHONE).unwrap()
}

fn name(text: &str) -> PersonName {
    PersonName::parse(text).unwrap()
}

fn id_number() -> IdNumber {
    IdNumber::parse(ID_NUMBER, date!(2026 - 11 - 23)).unwrap()
}

/// Takes a block of TOML out of the README, with the simulators' address replaced.
fn example(section: &str, address: &str) -> String {
    let readme = include_str!("../README.md");
    let heading = format!("[{section}]");
    let block = readme
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .find(|block| block.starts_with(&heading))
        .unwrap();
    block.replace(&format!("[{section}"), "[vendor").replace("http://127.0.0.1:8090", address)
}

fn read<C: DeserializeOwned>(toml: &str) -> C {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File<C> {
        vendor: C,
    }
    toml::from_str::<File<C>>(toml).unwrap().vendor
}

fn sms_config(address: &str) -> SmsVendorConfig {
    read(&example("sms.vendor", address))
}

fn real_name_config(address: &str) -> RealNameConfig {
    read(&example("real_name", address))
}

fn sms(address: &str) -> SmsVendor {
    SmsVendor::new(&sms_config(address), clock()).unwrap()
}

fn register(address: &str) -> RealNameRegister {
    RealNameRegister::new(&real_name_config(address), clock()).unwrap()
}
