//! gRPC, passed through.

use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1 as reflection;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_types::StatusExt as _;
use zhiyuan_contracts::identity::v1::SendSmsCodeRequest;
use zhiyuan_contracts::identity::v1::sms_code_service_client::SmsCodeServiceClient;

use crate::suite::{SEND, Suite, reason};

fn to(phone: &str) -> SendSmsCodeRequest {
    SendSmsCodeRequest { phone: phone.to_owned(), purpose: 1, ..Default::default() }
}

#[tokio::test]
async fn a_call_goes_through() {
    let suite = Suite::start().await;
    let mut client = SmsCodeServiceClient::new(suite.channel());
    let answer = client.send_sms_code(to("139")).await.unwrap();
    assert_eq!(answer.get_ref().challenge_id, "for 139");
    assert!(answer.metadata().contains_key("x-trace-id"));
}

#[tokio::test]
async fn every_error_comes_back_with_its_details() {
    let suite = Suite::start().await;
    let mut client = SmsCodeServiceClient::new(suite.channel());
    for code in 1..=16 {
        let status = client.send_sms_code(to(&format!("rich:{code}"))).await.unwrap_err();
        assert_eq!(status.code(), Code::from_i32(code));
        assert_eq!(status.message(), "请稍后再试");
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().domain, "identity.zhiyuan");
        assert_eq!(details.retry_info().unwrap().retry_delay.unwrap().as_secs(), 30);
        assert_eq!(details.bad_request().unwrap().field_violations[0].field, "phone");
    }
}

#[tokio::test]
async fn a_bare_fault_tells_nothing_of_our_insides() {
    let suite = Suite::start().await;
    let mut client = SmsCodeServiceClient::new(suite.channel());
    for code in ["2", "13"] {
        let status = client.send_sms_code(to(&format!("bare:{code}"))).await.unwrap_err();
        assert_eq!((status.code(), reason(&status)), (Code::Internal, "INTERNAL".to_owned()));
        assert!(!format!("{status:?}").contains("sms.codes"), "{status:?}");
    }
    let status = client.send_sms_code(to("bare:5")).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn only_listed_headers_reach_a_service() {
    let suite = Suite::start().await;
    let sent = [
        ("authorization", "Bearer person"),
        ("accept-language", "zh-CN"),
        ("zhiyuan-assertion", "forged"),
        ("zhiyuan-user", "1"),
        ("x-forwarded-for", "10.0.0.1"),
        ("grpc-metadata-authorization", "Bearer other"),
        ("traceparent", "00-11111111111111111111111111111111-2222222222222222-01"),
        ("tracestate", "a=b"),
        ("baggage", "a=b"),
        ("cookie", "a=b"),
        ("grpc-tags-bin", "AAAA"),
    ];
    suite.grpc(SEND, &sent, b"").await;
    let seen = suite.last_seen();
    assert_eq!(seen["authorization"], "Bearer person");
    assert_eq!(seen["accept-language"], "zh-CN");
    assert_eq!(seen["te"], "trailers");
    for (name, _) in &sent[2..] {
        match seen.get(*name) {
            Some(value) if *name == "traceparent" => {
                assert!(!value.to_str().unwrap().contains("1111111111111111"));
            }
            other => assert_eq!(other, None, "{name}"),
        }
    }
}

#[tokio::test]
async fn two_authorizations_are_refused() {
    let suite = Suite::start().await;
    let two = [("authorization", "Bearer a"), ("authorization", "Bearer b")];
    let answer = suite.grpc(SEND, &two, b"").await;
    assert_eq!(reason(&answer.grpc()), "UNAUTHENTICATED");
    assert!(suite.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn health_is_the_gateways_own() {
    let suite = Suite::start_with(|config| {
        for address in config.upstreams.values_mut() {
            *address = "http://127.0.0.1:1".to_owned();
        }
    })
    .await;
    let mut health = HealthClient::new(suite.channel());
    let answer = health.check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(answer.get_ref().status, 1);
}

async fn reflect(suite: &Suite, ask: MessageRequest) -> MessageResponse {
    let mut client = ServerReflectionClient::new(suite.channel());
    let request =
        reflection::ServerReflectionRequest { host: String::new(), message_request: Some(ask) };
    let answer = client.server_reflection_info(tokio_stream::iter([request])).await.unwrap();
    answer.into_inner().message().await.unwrap().unwrap().message_response.unwrap()
}

#[tokio::test]
async fn reflection_lists_public_services_and_finds_their_files() {
    let suite = Suite::start().await;
    let list = reflect(&suite, MessageRequest::ListServices(String::new())).await;
    let MessageResponse::ListServicesResponse(list) = list else { panic!("{list:?}") };
    let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
    for public in [
        "zhiyuan.identity.v1.SmsCodeService",
        "zhiyuan.registration.v1.RegistrationService",
        "zhiyuan.orgtree.v1.RegionService",
        "grpc.health.v1.Health",
    ] {
        assert!(names.contains(&public), "{public} in {names:?}");
    }
    assert!(!names.iter().any(|name| name.contains("EnrolmentService")), "{names:?}");
    let symbol = "zhiyuan.registration.v1.RegistrationService.Register";
    let file = reflect(&suite, MessageRequest::FileContainingSymbol(symbol.to_owned())).await;
    assert!(matches!(file, MessageResponse::FileDescriptorResponse(file)
        if !file.file_descriptor_proto.is_empty()));
}

#[tokio::test]
async fn older_clients_reflect_too() {
    use tonic_reflection::pb::v1alpha as old;
    let suite = Suite::start().await;
    let mut client = old::server_reflection_client::ServerReflectionClient::new(suite.channel());
    let request = old::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(old::server_reflection_request::MessageRequest::ListServices(
            String::new(),
        )),
    };
    let answer = client.server_reflection_info(tokio_stream::iter([request])).await.unwrap();
    let text = format!("{:?}", answer.into_inner().message().await.unwrap().unwrap());
    assert!(text.contains("RegistrationService") && !text.contains("EnrolmentService"), "{text}");
}
