//! What the applicant is told when a form does not become a volunteer.

use zhiyuan_contracts::registration::v1::ErrorReason as Reason;
use zhiyuan_rpc::{Code, Error as RpcError};

use super::Refusal;

impl From<Refusal> for RpcError {
    fn from(refusal: Refusal) -> Self {
        let (code, reason, message) = told(&refusal);
        let error = Self::new(code, reason, message);
        match refusal {
            Refusal::OrganizationClosed { successor: Some(successor) } => {
                error.with_metadata("successor_code", successor.as_str())
            }
            // The only purpose without which nobody can register.
            Refusal::ConsentMissing => {
                error.with_metadata("purpose", "CONSENT_PURPOSE_REGISTRATION")
            }
            _ => error,
        }
    }
}

/// How a refusal is told.
fn told(refusal: &Refusal) -> (Code, Reason, &'static str) {
    use Code::{AlreadyExists, Exhausted, NotFound, Precondition, Unauthenticated};
    match refusal {
        Refusal::OrganizationNotFound => {
            (NotFound, Reason::OrganizationNotFound, "没有找到所选的组织，请重新选择所属组织")
        }
        Refusal::OrganizationClosed { successor: None } => (
            Precondition,
            Reason::OrganizationClosed,
            "所选的组织已撤销，请重新选择所属组织后再提交",
        ),
        Refusal::OrganizationClosed { successor: Some(_) } => (
            Precondition,
            Reason::OrganizationClosed,
            "所选的组织已撤销或合并，请改选承接它的组织后再提交",
        ),
        Refusal::OrganizationTakesNoRegistrations => (
            Precondition,
            Reason::OrganizationTakesNoRegistrations,
            "所选的组织不直接接受注册，请选择它下面的乡镇（街道）、高校、企业或工作委员会的团组织",
        ),
        Refusal::SmsCodeWrong => (
            Unauthenticated,
            Reason::SmsCodeWrong,
            "短信验证码不正确，请核对手机号码和验证码后重新提交",
        ),
        Refusal::SmsCodeExpired => {
            (Unauthenticated, Reason::SmsCodeExpired, "短信验证码已过期，请重新获取后再提交")
        }
        Refusal::SmsCodeUsed => {
            (Unauthenticated, Reason::SmsCodeUsed, "短信验证码已使用过，请重新获取后再提交")
        }
        Refusal::SmsCodeTriesExhausted => (
            Exhausted,
            Reason::SmsCodeTriesExhausted,
            "短信验证码的尝试次数已用完，请重新获取后再提交",
        ),
        Refusal::ConsentMissing => {
            (Precondition, Reason::ConsentMissing, "请先阅读并同意注册所需的告知书，再重新提交")
        }
        Refusal::ConsentOutdated => (
            Precondition,
            Reason::ConsentOutdated,
            "告知书已更新，请重新阅读并同意最新版本后再提交",
        ),
        Refusal::UnderAge => (
            Precondition,
            Reason::UnderAge,
            "未满 14 周岁不能注册成为志愿者，欢迎年满 14 周岁后再来",
        ),
        Refusal::GuardianRequired => (
            Precondition,
            Reason::GuardianRequired,
            "14 至 17 周岁注册须经监护人同意，请填写监护人信息和发到监护人手机的验证码；\
             年满 16 周岁、以自己的劳动收入为主要生活来源的，请勾选相应选项",
        ),
        Refusal::GuardianSmsCodeWrong => (
            Unauthenticated,
            Reason::GuardianSmsCodeWrong,
            "监护人的短信验证码不正确，请核对监护人的手机号码和验证码后重新提交",
        ),
        Refusal::GuardianSmsCodeExpired => (
            Unauthenticated,
            Reason::GuardianSmsCodeExpired,
            "监护人的短信验证码已过期，请重新获取后再提交",
        ),
        Refusal::GuardianSmsCodeUsed => (
            Unauthenticated,
            Reason::GuardianSmsCodeUsed,
            "监护人的短信验证码已使用过，请重新获取后再提交",
        ),
        Refusal::GuardianSmsCodeTriesExhausted => (
            Exhausted,
            Reason::GuardianSmsCodeTriesExhausted,
            "监护人的短信验证码的尝试次数已用完，请重新获取后再提交",
        ),
        Refusal::GuardianIdMismatch => (
            Precondition,
            Reason::GuardianIdMismatch,
            "监护人的姓名与身份证号码不一致，请核对后重新提交（验证码 30 分钟内仍然有效）",
        ),
        Refusal::ActivationProofOver => (
            Unauthenticated,
            Reason::ActivationProofOver,
            "激活凭证无效、已使用或已过期，请重新验证默认密码，或填写姓名和身份证号码直接注册",
        ),
        Refusal::IdNameMismatch => (
            Precondition,
            Reason::IdNameMismatch,
            "姓名与身份证号码不一致，请核对后重新提交（验证码 30 分钟内仍然有效）",
        ),
        Refusal::IdNotFound => (
            Precondition,
            Reason::IdNotFound,
            "公安机关人口库中没有这个身份证号码，请核对后重新提交（验证码 30 分钟内仍然有效）；\
             如确认无误，请向户籍所在地公安机关咨询",
        ),
        Refusal::IdCheckLimit => (
            Exhausted,
            Reason::IdCheckLimit,
            "今天实名核验未通过的次数已达上限，请核对姓名和身份证号码，明天再试",
        ),
        Refusal::IdCheckExpired => {
            (Precondition, Reason::IdCheckExpired, "实名核验未能在 7 天内完成，请重新提交注册")
        }
        Refusal::AlreadyRegistered => (
            AlreadyExists,
            Reason::AlreadyRegistered,
            "该身份证号码已经注册为志愿者，无需重复注册；如不是本人注册，可提出身份认领，或联系所在的团组织",
        ),
        Refusal::Claim(refusal) => refusal.told(),
        Refusal::Expired => (
            Precondition,
            Reason::RegistrationExpired,
            "这次注册没有在规定时间内完成，已取消，请重新提交",
        ),
    }
}

#[cfg(test)]
mod tests {
    use zhiyuan_contracts::reason::Reason as _;
    use zhiyuan_domain::OrganizationCode;

    use super::*;

    #[test]
    fn every_refusal_is_the_reason_of_its_name_with_a_message_in_chinese() {
        let successor = OrganizationCode::parse("AH-340100").ok();
        for refusal in Refusal::all(successor).into_iter().chain(Refusal::all(None)) {
            let (_, reason, message) = told(&refusal);
            assert_eq!(reason.wire(), refusal.as_column());
            assert!(!message.is_ascii() && !message.contains("  "), "{message}");
        }
    }

    #[test]
    fn codes_of_refusals() {
        let table: Vec<String> = Refusal::all(None)
            .iter()
            .map(|refusal| format!("{:?} {}", told(refusal).0, refusal.as_column()))
            .collect();
        let expected = [
            "NotFound ORGANIZATION_NOT_FOUND",
            "Precondition ORGANIZATION_CLOSED",
            "Precondition ORGANIZATION_TAKES_NO_REGISTRATIONS",
            "Unauthenticated SMS_CODE_WRONG",
            "Unauthenticated SMS_CODE_EXPIRED",
            "Unauthenticated SMS_CODE_USED",
            "Exhausted SMS_CODE_TRIES_EXHAUSTED",
            "Precondition CONSENT_MISSING",
            "Precondition CONSENT_OUTDATED",
            "Precondition UNDER_AGE",
            "Precondition GUARDIAN_REQUIRED",
            "Unauthenticated GUARDIAN_SMS_CODE_WRONG",
            "Unauthenticated GUARDIAN_SMS_CODE_EXPIRED",
            "Unauthenticated GUARDIAN_SMS_CODE_USED",
            "Exhausted GUARDIAN_SMS_CODE_TRIES_EXHAUSTED",
            "Precondition GUARDIAN_ID_MISMATCH",
            "Unauthenticated ACTIVATION_PROOF_OVER",
            "Precondition ID_NAME_MISMATCH",
            "Precondition ID_NOT_FOUND",
            "Exhausted ID_CHECK_LIMIT",
            "Precondition ID_CHECK_EXPIRED",
            "AlreadyExists ALREADY_REGISTERED",
            "Precondition CLAIM_OPEN",
            "Exhausted CLAIMS_EXHAUSTED",
            "Precondition CLAIM_AGAINST_PROVEN",
            "Precondition CLAIM_REJECTED",
            "Precondition CLAIM_EXPIRED",
            "Precondition REGISTRATION_EXPIRED",
        ];
        assert_eq!(table, expected);
    }
}
