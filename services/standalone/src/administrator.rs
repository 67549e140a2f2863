//! The first administrator: registers through the gateway as anybody does, and is given the
//! role by the operation that `zhiyuan-orgtree grant` is. Nothing else is known of them
//! anywhere: they sign in as any administrator, with password and code.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use zhiyuan_contracts::identity::v1::consent_service_client::ConsentServiceClient;
use zhiyuan_contracts::identity::v1::sms_code_service_client::SmsCodeServiceClient;
use zhiyuan_contracts::identity::v1::{
    Consent, ListConsentTextsRequest, SendSmsCodeRequest, SmsPurpose,
};
use zhiyuan_contracts::registration::v1::registration_service_client::RegistrationServiceClient;
use zhiyuan_contracts::registration::v1::{
    GetRegistrationRequest, RegisterRequest, RegistrationState, Volunteer,
};
use zhiyuan_crypto::secret::random_bytes;
use zhiyuan_domain::{OrganizationCode, SharedClock, new_id};
use zhiyuan_orgtree::{GrantError, OperatorGrant, Role};
use zhiyuan_rpc::{Remote, connect_lazy};

use crate::configuration::{ConfigFiles, write_private};
use crate::simulators::Simulators;

/// Nobody: the register of the simulators knows every name.
const NAME: &str = "安志明";
const ID_NUMBER: &str = "340104198505040012";
const PHONE: &str = "18900000000";
const REGION: &str = "340104";
/// Where they are a volunteer, as everybody is somewhere.
const MEMBER_OF: &str = "AH-340104001";
/// What they administer: the province, with all below.
const ADMINISTERS: &str = "AH";

/// Letters that nobody takes for another one.
const LETTERS: &[u8; 23] = b"abcdefghjkmnpqrstuvwxyz";
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);

/// The first administrator, as kept in the data folder, for its owner alone.
#[derive(Clone, Serialize, Deserialize)]
pub struct Administrator {
    /// The phone that codes come to: the simulators' page shows them.
    pub phone: String,
    /// The password that they registered with.
    pub password: String,
    /// The organization that they administer, by its code.
    pub organization: String,
    /// Under which they register, however often it is begun.
    request_id: String,
    /// Once they have registered.
    account_id: Option<String>,
    /// Once they were given the role, or somebody else had it: not again, if it is ended.
    granted: bool,
}

/// Without what it is signed in with.
impl std::fmt::Debug for Administrator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Administrator")
            .field("account_id", &self.account_id)
            .finish_non_exhaustive()
    }
}

/// What it takes to make one.
pub(crate) struct Making<'a> {
    pub(crate) gateway: String,
    pub(crate) simulators: &'a Simulators,
    pub(crate) files: &'a ConfigFiles,
    pub(crate) orgtree: zhiyuan_orgtree::Config,
    pub(crate) clock: SharedClock,
}

impl Administrator {
    /// Makes them at the first start, goes on where an earlier one was stopped, and later
    /// only tells of them.
    pub(crate) async fn of(making: Making<'_>) -> anyhow::Result<Self> {
        let path = making.files.administrator();
        let mut administrator = Self::kept(&path, &making.clock)?;
        let account_id = match administrator.account_id.clone() {
            Some(account_id) => account_id,
            None => {
                administrator.keep(&path)?;
                let volunteer = administrator.register(&making, &path).await?;
                administrator.account_id = Some(volunteer.id.clone());
                administrator.keep(&path)?;
                volunteer.id
            }
        };
        if !administrator.granted {
            let wanted = OperatorGrant {
                account_id: account_id.parse().context("the id of an account")?,
                organization: OrganizationCode::parse(ADMINISTERS).context("an organization")?,
                role: Role::Administrator,
                again: false,
            };
            match zhiyuan_orgtree::grant(&making.orgtree, making.clock, &wanted).await {
                // It was stopped just after it had been given, or there are others.
                Ok(_) | Err(GrantError::Administered { .. }) => {}
                Err(error) => return Err(error).context("the role of the administrator"),
            }
            administrator.granted = true;
            administrator.keep(&path)?;
        }
        Ok(administrator)
    }

    fn kept(path: &Path, clock: &SharedClock) -> anyhow::Result<Self> {
        let new = || Self {
            phone: PHONE.to_owned(),
            password: password(),
            organization: ADMINISTERS.to_owned(),
            request_id: new_id(clock.as_ref()).to_string(),
            account_id: None,
            granted: false,
        };
        match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("{} is damaged; --fresh starts anew", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(new()),
            Err(error) => Err(error).context(path.display().to_string()),
        }
    }

    fn keep(&self, path: &Path) -> anyhow::Result<()> {
        write_private(path, &serde_json::to_string_pretty(self)?)
    }

    /// Registers as anybody does, or goes on with what was begun.
    async fn register(&mut self, making: &Making<'_>, path: &Path) -> anyhow::Result<Volunteer> {
        let channel = connect_lazy(&making.gateway)?;
        let mut registrations = RegistrationServiceClient::new(channel.clone());
        let mut request = GetRegistrationRequest { request_id: self.request_id.clone() };
        let begun = registrations.get_registration(request.clone()).await.map_err(Remote::from);
        if let Err(refused) = begun {
            if refused.is_transient() {
                return Err(refused).context("the registration of the administrator");
            }
            if refused.reason != "REGISTRATION_NOT_FOUND" {
                // It came to nothing, as when it was stopped in the middle: a new one.
                self.request_id = new_id(making.clock.as_ref()).to_string();
                self.keep(path)?;
                request.request_id.clone_from(&self.request_id);
            }
            let form = self.form(making).await?;
            patiently(async || {
                Ok(registrations.clone().register(form.clone()).await?.into_inner())
            })
            .await
            .context("the administrator can't register")?;
        }
        let until = Instant::now() + PATIENCE;
        loop {
            let asked = registrations.get_registration(request.clone()).await.map_err(Remote::from);
            let asked = asked.context("the registration of the administrator")?.into_inner();
            match (asked.state(), asked.volunteer) {
                (RegistrationState::Active, Some(volunteer)) => return Ok(volunteer),
                _ if Instant::now() > until => bail!("the administrator still waits to register"),
                _ => tokio::time::sleep(POLL).await,
            }
        }
    }

    /// The form, with a code from the phone.
    async fn form(&self, making: &Making<'_>) -> anyhow::Result<RegisterRequest> {
        let channel = connect_lazy(&making.gateway)?;
        let request = SendSmsCodeRequest {
            phone: self.phone.clone(),
            purpose: SmsPurpose::Register.into(),
            ..Default::default()
        };
        let codes = SmsCodeServiceClient::new(channel.clone());
        let sent = patiently(async || {
            Ok(codes.clone().send_sms_code(request.clone()).await?.into_inner())
        })
        .await
        .context("no code can be sent")?;
        let texts = ConsentServiceClient::new(channel)
            .list_consent_texts(ListConsentTextsRequest::default())
            .await
            .map_err(Remote::from)
            .context("what there is to consent to")?
            .into_inner();
        let required = texts.consent_texts.into_iter().filter(|text| text.required);
        let consents =
            required.map(|text| Consent { purpose: text.purpose, version: text.version });
        Ok(RegisterRequest {
            request_id: self.request_id.clone(),
            name: NAME.to_owned(),
            id_number: ID_NUMBER.to_owned(),
            region_code: REGION.to_owned(),
            organization_code: MEMBER_OF.to_owned(),
            phone: self.phone.clone(),
            sms_challenge_id: sent.challenge_id,
            sms_code: making.simulators.last_code(&self.phone).context("no code was sent")?,
            password: self.password.clone(),
            league_member: false,
            consents: consents.collect(),
            ..RegisterRequest::default()
        })
    }
}

fn password() -> String {
    let letter = |byte: u8| LETTERS.get(usize::from(byte) % LETTERS.len()).copied();
    random_bytes::<14>().into_iter().filter_map(letter).map(char::from).collect()
}

/// Calls until there is an answer: who has just started may be a moment late.
async fn patiently<T>(call: impl AsyncFn() -> Result<T, tonic::Status>) -> Result<T, Remote> {
    let until = Instant::now() + PATIENCE;
    loop {
        match call().await.map_err(Remote::from) {
            Err(remote) if remote.is_transient() && Instant::now() < until => {
                tokio::time::sleep(remote.retry_after.unwrap_or(POLL).min(PATIENCE)).await;
            }
            settled => return settled,
        }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::date;
    use zhiyuan_domain::{IdNumber, Mobile, Password, PersonName, PersonalDetails};

    use super::*;

    #[test]
    fn the_administrator_is_somebody_who_can_register() {
        let id_number = IdNumber::parse(ID_NUMBER, date!(2026 - 11 - 25)).unwrap();
        let mobile = Mobile::parse(PHONE).unwrap();
        PersonName::parse(NAME).unwrap();
        let personal = PersonalDetails { id_number: &id_number, mobile: &mobile };
        let (one, other) = (password(), password());
        assert_ne!(one, other);
        assert_eq!(one.len(), 14);
        Password::parse(&one, &personal).unwrap();
    }
}
