//! `cargo run -- count`: how many volunteers and members organizations have, as an internal platform
//! asks.

use std::path::Path;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zhiyuan_contracts::orgtree::v1::statistics_service_client::StatisticsServiceClient;
use zhiyuan_contracts::orgtree::v1::{GetOrganizationStatisticsRequest, OrganizationFigures};
use zhiyuan_rpc::Remote;
use zhiyuan_rpc::wire::{from_timestamp, timestamp};

use crate::account::Account;

/// Which organizations, as whom.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Codes of organizations, such as AH for the province.
    #[arg(required = true)]
    codes: Vec<String>,
    /// As of a midnight, such as 2026-11-25T00:00:00+08:00; now if it is not said.
    #[arg(long, value_parser = parse_time)]
    cut: Option<OffsetDateTime>,
    #[command(flatten)]
    account: Account,
}

fn parse_time(text: &str) -> Result<OffsetDateTime, time::error::Parse> {
    OffsetDateTime::parse(text, &Rfc3339)
}

/// Asks for each, and shows a line of JSON for each.
#[expect(clippy::print_stdout, reason = "the answer to who typed the command")]
pub(crate) async fn run(arguments: &Arguments, data_dir: &Path, port: u16) -> anyhow::Result<()> {
    let channel = arguments.account.channel("orgtree", data_dir, port)?;
    let mut client = StatisticsServiceClient::new(channel);
    for code in &arguments.codes {
        let request = GetOrganizationStatisticsRequest {
            organization_code: code.clone(),
            cut_time: arguments.cut.map(timestamp),
        };
        let answer = client.get_organization_statistics(request).await;
        let told = answer.map_err(Remote::from).with_context(|| code.clone())?.into_inner();
        let as_of = told.as_of.as_ref().and_then(from_timestamp).context("no as_of")?;
        let line = json!({
            "organizationCode": told.organization_code,
            "own": figures(told.own),
            "subtree": figures(told.subtree),
            "asOf": as_of.format(&Rfc3339)?,
        });
        println!("{line}");
    }
    Ok(())
}

fn figures(told: Option<OrganizationFigures>) -> serde_json::Value {
    let told = told.unwrap_or_default();
    json!({
        "volunteers": told.volunteers,
        "verifiedVolunteers": told.verified_volunteers,
        "leagueMembers": told.league_members,
        "members": told.members,
        "registeredMembers": told.registered_members,
        "statedMembers": told.stated_members,
        "statedRegisteredMembers": told.stated_registered_members,
        "registeredPerTenThousand": told.registered_per_ten_thousand,
    })
}
