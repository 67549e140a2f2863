use tonic::{Request, Response, Status, async_trait};
use zhiyuan_contracts::identity::v1::look_up_service_server::LookUpService;
use zhiyuan_contracts::identity::v1::look_up_volunteer_request::Subject as Named;
use zhiyuan_contracts::identity::v1::{
    BindExternalIdRequest, BindExternalIdResponse, LookUpPurpose, LookUpVolunteerRequest,
    LookUpVolunteerResponse, UnbindExternalIdRequest, UnbindExternalIdResponse,
};
use zhiyuan_domain::{IdNumber, Mobile, VolunteerId, shanghai_date};
use zhiyuan_rpc::{CallerIdentity, Fields};

use super::{Answer, ExternalId, ExternalIdFault, LookUps, Subject};
use crate::error::{Error, Result};

/// `zhiyuan.identity.v1.LookUpService`.
#[derive(Debug)]
pub(crate) struct LookUpRpc {
    look_ups: LookUps,
}

impl LookUpRpc {
    pub(crate) fn new(look_ups: LookUps) -> Self {
        Self { look_ups }
    }

    fn external_id(&self, fields: &mut Fields, text: &str) -> Option<ExternalId> {
        let today = shanghai_date(self.look_ups.clock.now());
        external_id_of(fields, ExternalId::parse(text, today))
    }

    fn subject(&self, fields: &mut Fields, request: &LookUpVolunteerRequest) -> Option<Subject> {
        let today = shanghai_date(self.look_ups.clock.now());
        match &request.subject {
            Some(Named::IdNumber(number)) => {
                fields.take("id_number", IdNumber::parse(number, today)).map(Subject::Number)
            }
            Some(Named::Phone(phone)) => {
                fields.take("phone", Mobile::parse(phone)).map(Subject::Phone)
            }
            // One that was bound before it was known to be personal is still found.
            Some(Named::ExternalId(id)) => {
                external_id_of(fields, ExternalId::of_form(id)).map(Subject::External)
            }
            None => {
                let message = "请填写身份证号码、手机号码或平台编号中的一项";
                fields.refuse("subject", "SUBJECT_MISSING", message);
                None
            }
        }
    }

    async fn look_up(
        &self,
        platform: &str,
        request: &LookUpVolunteerRequest,
    ) -> Result<LookUpVolunteerResponse> {
        let mut fields = Fields::new();
        let subject = self.subject(&mut fields, request);
        let purpose =
            LookUpPurpose::try_from(request.purpose).ok().and_then(LookUpPurpose::recorded_as);
        if purpose.is_none() {
            fields.refuse("purpose", "LOOK_UP_PURPOSE_UNKNOWN", "请说明查询的用途");
        }
        let (Some(subject), Some(purpose)) = (subject, purpose) else {
            return Err(fields.into_error().into());
        };
        let answer = self.look_ups.look_up(platform, &subject, purpose).await?;
        Ok(match answer {
            Answer::Nobody => LookUpVolunteerResponse::default(),
            Answer::One(found) => LookUpVolunteerResponse {
                registered: true,
                volunteer_id: found.account_id.to_string(),
                level: found.level.into(),
                several: false,
            },
            Answer::Several => {
                LookUpVolunteerResponse { registered: true, several: true, ..Default::default() }
            }
        })
    }

    async fn bind(&self, platform: &str, request: &BindExternalIdRequest) -> Result<()> {
        let mut fields = Fields::new();
        let external_id = self.external_id(&mut fields, &request.external_id);
        let volunteer = fields.take("volunteer_id", VolunteerId::parse(&request.volunteer_id));
        let (Some(external_id), Some(volunteer)) = (external_id, volunteer) else {
            return Err(fields.into_error().into());
        };
        self.look_ups.bind(platform, &external_id, volunteer.as_uuid()).await
    }

    async fn unbind(&self, platform: &str, request: &UnbindExternalIdRequest) -> Result<()> {
        let mut fields = Fields::new();
        // Whatever is bound can be freed.
        let external_id = ExternalId::of_form(&request.external_id);
        let Some(external_id) = external_id_of(&mut fields, external_id) else {
            return Err(Error::from(fields.into_error()));
        };
        self.look_ups.unbind(platform, &external_id).await
    }
}

fn external_id_of(
    fields: &mut Fields,
    read: std::result::Result<ExternalId, ExternalIdFault>,
) -> Option<ExternalId> {
    let (reason, message) = match read {
        Ok(external_id) => return Some(external_id),
        Err(ExternalIdFault::Form) => {
            ("EXTERNAL_ID_INVALID", "平台编号应为 1 至 64 位字母、数字或 - _ . :")
        }
        Err(ExternalIdFault::Personal) => (
            "EXTERNAL_ID_PERSONAL",
            "平台编号中不能含有手机号码或身份证号码，请改用不含个人信息的编号",
        ),
    };
    fields.refuse("external_id", reason, message);
    None
}

#[async_trait]
impl LookUpService for LookUpRpc {
    async fn look_up_volunteer(
        &self,
        request: Request<LookUpVolunteerRequest>,
    ) -> std::result::Result<Response<LookUpVolunteerResponse>, Status> {
        let platform = CallerIdentity::name_of(&request);
        Ok(Response::new(self.look_up(&platform, request.get_ref()).await?))
    }

    async fn bind_external_id(
        &self,
        request: Request<BindExternalIdRequest>,
    ) -> std::result::Result<Response<BindExternalIdResponse>, Status> {
        let platform = CallerIdentity::name_of(&request);
        self.bind(&platform, request.get_ref()).await?;
        Ok(Response::new(BindExternalIdResponse {}))
    }

    async fn unbind_external_id(
        &self,
        request: Request<UnbindExternalIdRequest>,
    ) -> std::result::Result<Response<UnbindExternalIdResponse>, Status> {
        let platform = CallerIdentity::name_of(&request);
        self.unbind(&platform, request.get_ref()).await?;
        Ok(Response::new(UnbindExternalIdResponse {}))
    }
}
