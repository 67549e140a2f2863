//! Configuration: what is refused at start, and which key the error names.

use super::*;
use crate::vendors::{Body, ConfigError, RequestShape};

const GOOD: &str = "\
[vendor]
url = 'https://sms.example/send'
content_type = 'json'
body = { to = '{phone}', text = '{text}' }
";

/// Replaces a line of the good request, and returns the error.
fn refused(old: &str, new: &str) -> ConfigError {
    let mut config = sms_config("http://127.0.0.1:1");
    assert!(GOOD.contains(old), "{old}");
    config.request = read::<RequestShape>(&GOOD.replace(old, new));
    let error = config.check().expect_err(new);
    assert_eq!(SmsVendor::new(&config, clock()).unwrap_err(), error);
    error
}

#[test]
fn the_examples_of_the_readme_are_right() {
    sms_config("http://127.0.0.1:8090").check().unwrap();
    real_name_config("http://127.0.0.1:8090").check().unwrap();
}

#[test]
fn the_examples_pass_through_the_layers_of_configuration() {
    #[derive(serde::Deserialize)]
    struct Both {
        sms: Sms,
        real_name: RealNameConfig,
    }
    #[derive(serde::Deserialize)]
    struct Sms {
        vendor: SmsVendorConfig,
    }
    let address = "http://127.0.0.1:8090";
    let toml = example("sms.vendor", address).replace("[vendor", "[sms.vendor")
        + &example("real_name", address).replace("[vendor", "[real_name")
        + "[sms.vendor.code_request]\nurl = 'https://sms.example'\ncontent_type = 'form'\n\
           body = { To = '{phone}', Code = '{code}', days = 7 }";
    let environment = [
        ("ZHIYUAN_IDENTITY__SMS__VENDOR__REQUEST__HEADERS__X-APP-KEY", "from the environment"),
        ("ZHIYUAN_IDENTITY__REAL_NAME__HTTP__TIMEOUT_MS", "1234"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()));
    let both: Both = zhiyuan_settings::load_from("identity", &toml, None, environment).unwrap();
    let (vendor, register) = (both.sms.vendor, both.real_name);
    vendor.check().unwrap();
    register.check().unwrap();
    assert_eq!(vendor.response.codes.keys().collect::<Vec<_>>(), ["0", "160"]);
    assert_eq!(vendor.request.headers["x-app-key"].expose(), "from the environment");
    let Body::Fields(fields) = vendor.code_request.unwrap().body else { panic!("not a table") };
    assert_eq!(fields.keys().collect::<Vec<_>>(), ["Code", "To", "days"]);
    assert_eq!(register.http.timeout_ms, 1_234);
    assert_eq!(register.response.codes.len(), 4);
}

#[test]
fn everything_but_the_shapes_has_a_default() {
    let config: SmsVendorConfig = read(
        "[vendor]
         request = { url = 'https://sms.example/send', content_type = 'json', \
                     body = '[\"{phone}\",\"{text}\"]' }
         response = { code_pointer = '', codes = { 0 = 'sent' } }",
    );
    config.check().unwrap();
    assert_eq!((config.http.timeout_ms, config.http.connect_timeout_ms), (3_000, 1_000));
    assert_eq!((config.breaker.failures, config.breaker.cool_down_ms), (5, 5_000));
    assert_eq!(config.response.statuses, [200]);
}

#[test]
fn names_the_key_that_is_wrong() {
    let body = "body = { to = '{phone}', text = '{text}' }";
    let form = "'json'\nbody = { to = '{phone}', text = '{text}' }";
    for (old, new, key) in [
        ("https:", "ftp:", "request.url"),
        ("https:", "http:", "request.url"),
        ("https://sms.example", "", "request.url"),
        ("sms.example", "user:pw@sms.example", "request.url"),
        ("/send", "/send?to={phone}", "request.url"),
        ("/send", "/a b", "request.url"),
        (body, "body = { to = '{phone}', text = '{txet}' }", "request.body.text"),
        (
            body,
            "body = { to = '{phone}', text = { inner = ['{id_number}'] } }",
            "request.body.text",
        ),
        (body, "body = { to = '{phone}', text = '{text}{code}' }", "request.body.text"),
        (body, "body = { to = '{phone}', text = '{text}{secret.key}' }", "request.body.text"),
        (body, "body = { to = '{phone}' }", "request.body"),
        (body, "body = { text = '{text}' }", "request.body"),
        (body, "body = '{\"to\":{phone},\"text\":\"{text}\"}'", "request.body"),
        (body, "body = '{\"to\":\"{phone}\",\"text\":\"{text}\"'", "request.body"),
        (body, "body = '\"{phone}{Text}\"'", "request.body"),
        (body, "body = ''", "request.body"),
        (form, "'form'\nbody = { to = '{phone}', text = ['{text}'] }", "request.body.text"),
        (form, "'form'\nbody = 'to={phone}&text=【x】{text}'", "request.body"),
        (form, "'form'\nbody = 'to={phone}&text= {text}'", "request.body"),
        (body, &format!("{body}\nheaders = {{ 'x key' = 'v' }}"), "request.headers.x key"),
        (body, &format!("{body}\nheaders = {{ x = \"a\\nb\" }}"), "request.headers.x"),
        (body, &format!("{body}\nheaders = {{ host = 'x' }}"), "request.headers.host"),
        (
            body,
            &format!("{body}\nheaders = {{ Content-Length = '1' }}"),
            "request.headers.Content-Length",
        ),
    ] {
        assert_eq!(refused(old, new).key(), key, "{new}");
    }
}

#[test]
fn an_error_tells_what_to_write_instead_and_no_secret() {
    let error = refused(
        "text = '{text}' }",
        "text = '{txet}' }\nsecrets = { app_key = 's3cret' }\nheaders = { k = 's3cret' }",
    );
    assert_eq!(
        error.within("sms.vendor").to_string(),
        "sms.vendor.request.body.text: unknown placeholder {txet}, known are {phone} \
         {national_phone} {text} {sign} {request_id} {secret.app_key}"
    );
    let error = refused("'https://sms.example", "'http://u:s3cret@sms.example");
    assert!(!error.to_string().contains("s3cret"));
}

#[test]
fn the_register_needs_both_name_and_number() {
    let mut config = real_name_config("http://127.0.0.1:1");
    for body in ["body = { n = '{name}' }", "body = { i = '{id_number}', r = '{request_id}' }"] {
        config.request =
            read(&format!("[vendor]\nurl = 'https://r.example'\ncontent_type = 'form'\n{body}"));
        assert_eq!(config.check().unwrap_err().key(), "request.body");
        assert_eq!(RealNameRegister::new(&config, clock()).unwrap_err().key(), "request.body");
    }
}

#[test]
fn plain_http_is_for_this_machine_unless_allowed() {
    let mut config = sms_config("http://127.0.0.1:1");
    for (host, good) in [
        ("127.0.0.1:8090", true),
        ("127.9.9.9", true),
        ("[::1]:8090", true),
        ("localhost", true),
        ("localhost.example", false),
        ("10.0.0.1", false),
        ("simulators:8090", false),
    ] {
        config.request = read(&GOOD.replace("https://sms.example", &format!("http://{host}")));
        config.http.allow_plain_http = false;
        assert_eq!(config.check().is_ok(), good, "{host}");
        config.http.allow_plain_http = true;
        config.check().unwrap();
    }
}

#[test]
fn zeros_that_would_stop_every_call_are_refused() {
    let key = |change: fn(&mut SmsVendorConfig)| {
        let mut config = sms_config("http://127.0.0.1:1");
        change(&mut config);
        config.check().unwrap_err().key().to_owned()
    };
    assert_eq!(key(|config| config.http.timeout_ms = 0), "http.timeout_ms");
    assert_eq!(key(|config| config.http.connect_timeout_ms = 0), "http.connect_timeout_ms");
    assert_eq!(key(|config| config.breaker.failures = 0), "breaker.failures");
    assert_eq!(key(|config| config.response.codes.clear()), "response.codes");
}

#[test]
fn unknown_keys_and_outcomes_are_refused() {
    for (old, new) in [
        ("sign =", "sing ="),
        ("code_pointer =", "code_ptr ="),
        ("\"0\" = \"sent\"", "\"0\" = \"okay\""),
        ("content_type = \"json\"", "content_type = \"xml\""),
        ("method = \"POST\"", "method = \"GET\""),
    ] {
        let text = example("sms.vendor", "http://127.0.0.1:1");
        assert!(text.contains(old), "{old}");
        let text = text.replace("[vendor", "[x").replace(old, new);
        let parsed: toml::Table = toml::from_str(&text).unwrap();
        assert!(parsed["x"].clone().try_into::<SmsVendorConfig>().is_err(), "{new}");
    }
}
