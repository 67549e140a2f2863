//! Where forms are sent.

use tonic::transport::Channel;
use zhiyuan_contracts::registration::v1::registration_service_client::RegistrationServiceClient;
use zhiyuan_contracts::registration::v1::{RegisterRequest, RegistrationState};

use crate::stage::Stage;

/// What became of a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Registered,
    /// It goes on without its client.
    Pending,
    /// Told to come again.
    ComeAgain,
    /// Anything else.
    Failed(tonic::Code),
}

/// Connections to a service that takes forms; callers are shared out among them.
#[derive(Debug, Clone)]
pub(crate) struct Door(Vec<RegistrationServiceClient<Channel>>);

impl Door {
    /// Opens connections to a service.
    pub(crate) async fn open(stage: &Stage, service: &str) -> anyhow::Result<Self> {
        let channels = stage.channels(service, 4).await?;
        Ok(Self(channels.into_iter().map(RegistrationServiceClient::new).collect()))
    }

    /// Sends a form.
    pub(crate) async fn register(self, caller: usize, form: RegisterRequest) -> Outcome {
        let Some(mut client) = self.0.into_iter().cycle().nth(caller % 4) else {
            return Outcome::Failed(tonic::Code::Internal);
        };
        match client.register(form).await {
            Ok(answer) if answer.get_ref().state() == RegistrationState::Active => {
                Outcome::Registered
            }
            Ok(_waiting) => Outcome::Pending,
            Err(status) => match status.code() {
                tonic::Code::ResourceExhausted | tonic::Code::Unavailable => Outcome::ComeAgain,
                code => Outcome::Failed(code),
            },
        }
    }
}
