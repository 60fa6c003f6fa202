//! The operator's commands, which work directly on the store. Each prints one line of JSON.

use std::{io::Write as _, time::Duration};

use anyhow::{Context as _, anyhow};
use passerelle_jobs::{
    Services, Settings, Vault, clock::Clock, ids::OrgId, model::Page, organisations,
};
use serde_json::{Value, json};

use crate::{
    cli::{Admin, AdminCommand},
    config, lifecycle,
    problem::Problem,
    routes::{
        self,
        api_keys::{self, NewApiKey},
        organisations::Organisation,
    },
    store,
};

/// Runs a command and prints its result.
pub async fn run(admin: Admin) -> anyhow::Result<()> {
    let kek = config::kek(&admin.kek)?;
    let at = config::store(&admin.store)?;
    at.address.warn();
    let store = store::open(&at, &kek).await?;
    let clock = Clock::system();
    let vault = Vault::open(&store, kek, clock.clone())
        .await
        .context("opening the vault")?;
    let services = Services::new(
        store.clone(),
        vault,
        clock,
        settings(&admin.command),
        lifecycle::chance(),
    );
    let made = carry_out(&services, admin.command).await;
    store.close().await;
    print(&made?)
}

/// Returns the settings of a command. Only the retention of files matters here.
fn settings(command: &AdminCommand) -> Settings {
    let mut settings = config::at_rest();
    if let AdminCommand::SetMediaRetention {
        media_retention_hours,
        ..
    } = command
    {
        settings.media.retention = Duration::from_hours(u64::from(*media_retention_hours));
    }
    settings
}

async fn carry_out(services: &Services, command: AdminCommand) -> anyhow::Result<Value> {
    match command {
        AdminCommand::CreateOrganisation { name } => {
            let name = routes::name(&name).map_err(|problem| told(&problem))?;
            let made = organisations::create(services, &name)
                .await
                .context("creating the organisation")?;
            Ok(serde_json::to_value(Organisation::from(made))?)
        }
        AdminCommand::ListOrganisations => {
            let page = Page {
                limit: 100,
                after: None,
            };
            let listed = organisations::list(services, &page)
                .await
                .context("listing the organisations")?;
            let data: Vec<_> = listed.items.into_iter().map(Organisation::from).collect();
            Ok(json!({ "data": data, "has_more": listed.more }))
        }
        AdminCommand::SetMediaRetention {
            organisation,
            hours,
            ..
        } => {
            let org = OrgId::parse(&organisation).context("--organisation")?;
            let hours = hours.map(|hours| routes::organisations::retention(services, hours));
            let hours = hours.transpose().map_err(|problem| told(&problem))?;
            let kept = organisations::keep_media(services, org, hours).await;
            let kept = kept.context("setting the retention")?;
            let kept = kept.ok_or_else(|| anyhow!("there is no such organisation"))?;
            Ok(serde_json::to_value(Organisation::from(kept))?)
        }
        AdminCommand::CreateKey { organisation, name } => {
            let org = OrgId::parse(&organisation).context("--organisation")?;
            let made = api_keys::make(services, org, &NewApiKey { name })
                .await
                .map_err(|problem| told(&problem))?;
            Ok(serde_json::to_value(made.ok_or_else(|| {
                anyhow!("there is no such organisation")
            })?)?)
        }
    }
}

fn told(problem: &Problem) -> anyhow::Error {
    anyhow!("{}", problem.code().title())
}

/// Prints JSON on standard output.
pub fn print(value: &Value) -> anyhow::Result<()> {
    writeln!(std::io::stdout().lock(), "{value}").context("printing")
}
