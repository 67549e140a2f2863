//! `zhiyuan.registration.v1.RegistrationService`.

use tonic::{Request, Response, Status, async_trait};
use zhiyuan_contracts::registration::v1::registration_service_server::RegistrationService;
use zhiyuan_contracts::registration::v1::{
    GetRegistrationRequest, GetRegistrationResponse, RegisterOnBehalfRequest,
    RegisterOnBehalfResponse, RegisterRequest, RegisterResponse,
};
use zhiyuan_domain::{RequestId, VolunteerId};
use zhiyuan_postgres::again;
use zhiyuan_rpc::{CallerIdentity, Fields};

use super::answer::Answer;
use super::form::Form;
use super::saga::Registrar;
use super::{Saga, Step, db};
use crate::error::{Error, Result};
use crate::volunteers::{self, State};

/// `RegistrationService`.
#[derive(Debug)]
pub(crate) struct Registrations {
    registrar: Registrar,
}

impl Registrations {
    pub(crate) fn new(registrar: Registrar) -> Self {
        Self { registrar }
    }

    async fn register(&self, request: &RegisterRequest) -> Result<RegisterResponse> {
        let form = Form::parse(request, self.registrar.clock.now(), self.registrar.age_rule)?;
        Ok(self.carry(&form).await?.into())
    }

    async fn register_via(
        &self,
        platform: String,
        request: &RegisterOnBehalfRequest,
    ) -> Result<RegisterOnBehalfResponse> {
        let form = Form::parse_via(
            request,
            platform,
            (self.registrar.clock.now(), self.registrar.age_rule),
        )?;
        Ok(self.carry(&form).await?.into())
    }

    async fn carry(&self, form: &Form) -> Result<Answer> {
        // Whatever it did before it lost, it finds done.
        let saga = again(Error::is_lost, || self.registrar.register(form)).await?;
        self.answer(saga).await
    }

    async fn get(&self, request: &GetRegistrationRequest) -> Result<GetRegistrationResponse> {
        let mut fields = Fields::new();
        let parsed = fields.take("request_id", RequestId::parse(&request.request_id));
        let Some(request_id) = parsed else { return Err(fields.into_error().into()) };
        let saga =
            db::find(&self.registrar.pool, request_id).await?.ok_or(Error::RegistrationNotFound)?;
        Ok(self.answer(saga).await?.into())
    }

    /// Renders the state. The name is identity's to tell, each time anew.
    async fn answer(&self, saga: Saga) -> Result<Answer> {
        let (Step::Done, Some(account)) = (saga.step, saga.account_id) else {
            return Answer::waiting(saga, self.registrar.clock.now());
        };
        let id = VolunteerId::from(account.as_uuid());
        let volunteer = volunteers::db::find(&self.registrar.pool, id)
            .await?
            .filter(|volunteer| volunteer.state == State::Active)
            .ok_or(Error::Inconsistent("volunteer"))?;
        let told = self.registrar.enrolments.get(saga.enrolment_id).await?;
        Ok(Answer::done(volunteer, told.masked_name))
    }
}

#[async_trait]
impl RegistrationService for Registrations {
    async fn register(
        &self,
        request: Request<RegisterRequest>,
    ) -> std::result::Result<Response<RegisterResponse>, Status> {
        Ok(Response::new(Self::register(self, request.get_ref()).await?))
    }

    async fn register_on_behalf(
        &self,
        request: Request<RegisterOnBehalfRequest>,
    ) -> std::result::Result<Response<RegisterOnBehalfResponse>, Status> {
        let platform = CallerIdentity::name_of(&request);
        Ok(Response::new(self.register_via(platform, request.get_ref()).await?))
    }

    async fn get_registration(
        &self,
        request: Request<GetRegistrationRequest>,
    ) -> std::result::Result<Response<GetRegistrationResponse>, Status> {
        Ok(Response::new(self.get(request.get_ref()).await?))
    }
}
