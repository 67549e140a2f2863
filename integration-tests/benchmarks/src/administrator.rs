//! Somebody who administers an organization, and has signed in with both factors.

use std::time::Duration;

use anyhow::Context as _;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::sign_in_service_client::SignInServiceClient;
use zhiyuan_contracts::identity::v1::{SignInRequest, SmsPurpose};
use zhiyuan_contracts::registration::v1::registration_service_client::RegistrationServiceClient;

use crate::form;
use crate::stage::Stage;

/// The longest that the services take.
const DEADLINE: Duration = Duration::from_secs(30);

/// Good for the ten minutes of an access token.
#[derive(Debug)]
pub(crate) struct Administrator {
    bearer: MetadataValue<Ascii>,
}

impl Administrator {
    /// Registers somebody, whom the operator gives the role.
    pub(crate) async fn at(stage: &Stage, organization: &str) -> anyhow::Result<Self> {
        let form = form::prepare(stage, 1).await?.pop().context("a form")?;
        let (phone, password) = (form.phone.clone(), form.password.clone());
        let first_code: Uuid = form.sms_challenge_id.parse()?;
        let answer = RegistrationServiceClient::new(stage.channel("registration").await?)
            .register(form)
            .await?
            .into_inner();
        let account = answer.volunteer.context("the administrator waits to register")?.id;
        let grant = ["grant", "--again", "--role", "administrator"];
        let about = ["--account", account.as_str(), "--organization", organization];
        stage.operate("orgtree", &[grant, about].concat(), &[]).await?;
        // A phone waits a minute for its next code.
        sqlx::query(
            "UPDATE identity.sms_phone SET sent_at = '{}' WHERE phone_index =
                 (SELECT phone_index FROM identity.sms_challenge WHERE challenge_id = $1)",
        )
        .bind(first_code)
        .execute(&mut stage.database("zhiyuan").await?)
        .await?;
        let (sms_challenge_id, sms_code) =
            form::sent_code(stage, &phone, SmsPurpose::SignIn).await?;
        let request = SignInRequest {
            identifier: phone,
            password,
            sms_challenge_id,
            sms_code,
            ..Default::default()
        };
        let answer = SignInServiceClient::new(stage.channel("identity").await?)
            .sign_in(request)
            .await?
            .into_inner();
        let token = answer.tokens.context("no tokens")?.access_token;
        Ok(Self { bearer: format!("Bearer {token}").parse()? })
    }

    /// A call of theirs.
    pub(crate) fn ask<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.bearer.clone());
        request.set_timeout(DEADLINE);
        request
    }
}
