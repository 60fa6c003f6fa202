//! Rules, from a tenant's view.

use passerelle_engine::{
    clock::Millis,
    ids::{AutoReplyId, OrgId, SessionId},
    store::Tx,
    vault::DataKey,
};

use super::{
    check::{self, RuleFlaw},
    sealed,
};
use crate::{
    error::{Fault, if_readable},
    media::{
        error::IngestError,
        outgoing::{self, File, MediaSource, SourceError},
    },
    model::{
        Listed, Page,
        auto_reply::{AutoReply, REGEX_RULES_MAX, RULES_MAX, Rule, TextTest},
    },
    queries::{ListRead, bounded},
    services::Services,
    store::{self, auto_replies::AutoReplyRow},
};

/// Why a rule was not created or changed. Nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum NotMade {
    /// There is no such rule.
    #[error("there is no such rule")]
    NotFound,
    /// The rule is not valid.
    #[error("the rule is not valid")]
    Flaws(Vec<RuleFlaw>),
    /// There is no such session.
    #[error("there is no such session")]
    NoSuchSession,
    /// The organisation has [`RULES_MAX`] rules.
    #[error("the organisation has {RULES_MAX} rules")]
    TooMany,
    /// The organisation has [`REGEX_RULES_MAX`] rules with a regular expression.
    #[error("the organisation has {REGEX_RULES_MAX} rules with a regular expression")]
    TooManyPatterns,
    /// The file of its answer cannot be sent.
    #[error("its file: {0}")]
    Source(SourceError),
    /// The file of its answer could not be stored.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// Our side failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for NotMade {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// A rule to store.
#[derive(Debug, Clone)]
pub struct NewRule {
    /// Only messages to this session.
    pub session: Option<SessionId>,
    /// What the tenant decides.
    pub rule: Rule,
    /// Where the file of its answer is, if that has one.
    pub source: Option<MediaSource>,
}

/// Creates a rule.
pub async fn create(services: &Services, org: OrgId, new: NewRule) -> Result<AutoReply, NotMade> {
    put(services, org, None, new).await
}

/// Replaces a rule. Its counter goes on.
pub async fn replace(
    services: &Services,
    org: OrgId,
    id: AutoReplyId,
    new: NewRule,
) -> Result<AutoReply, NotMade> {
    if read(services, org, id).await?.is_none() {
        return Err(NotMade::NotFound);
    }
    put(services, org, Some(id), new).await
}

async fn put(
    services: &Services,
    org: OrgId,
    id: Option<AutoReplyId>,
    mut new: NewRule,
) -> Result<AutoReply, NotMade> {
    let now = services.clock().now();
    let (is_new, id) = (
        id.is_none(),
        id.unwrap_or_else(|| AutoReplyId::new(services.clock())),
    );
    // Before its file is stored, which takes longer.
    check::compile(id, new.session, new.rule.clone()).map_err(NotMade::Flaws)?;
    let key = services.vault().org_key(org).await.map_err(Fault::from)?;
    let file = file(services, &key, org, &mut new).await?;
    let made = AutoReply {
        id,
        session: new.session,
        rule: new.rule,
        hits: 0,
        last_hit_at: None,
        created_at: now,
        updated_at: now,
    };
    let row = sealed::seal(&key, org, &made)?;
    let stamp = AutoReplyId::new(services.clock()).to_string();
    let (stored, kept) = (made.clone(), file.clone());
    let work = services.store().write_in_time(org, move |tx| {
        Box::pin(async move {
            let file = kept.as_ref();
            write(tx, &key, org, (&row, is_new), (file, now)).await?;
            store::auto_replies::changed(tx, org, &stamp).await?;
            let row = store::auto_replies::read(tx.conn(), org, stored.id).await?;
            let row = row.ok_or(NotMade::NotFound)?;
            Ok::<_, NotMade>(sealed::open(&key, org, &row)?)
        })
    });
    let made = work.await;
    let may_be_stored = match &made {
        Ok(_) => true,
        Err(NotMade::Fault(fault)) => fault.is_outage(),
        Err(_) => false,
    };
    match file {
        Some(file) if !may_be_stored => outgoing::refused(services, org, &file).await,
        Some(File::Fetched(_)) => services.wake_fetches(),
        _ => {}
    }
    made
}

/// Finds or stores the file of an answer.
async fn file(
    services: &Services,
    key: &DataKey,
    org: OrgId,
    new: &mut NewRule,
) -> Result<Option<File>, NotMade> {
    let (Some(shown), Some(source)) = (new.rule.answer.media_mut(), new.source.take()) else {
        return Ok(None);
    };
    let found = outgoing::find(services, key, org, shown, source).await?;
    found.map(Some).map_err(NotMade::Source)
}

async fn write(
    tx: &mut Tx,
    key: &DataKey,
    org: OrgId,
    (row, is_new): (&AutoReplyRow, bool),
    (file, now): (Option<&File>, Millis),
) -> Result<(), NotMade> {
    let count = store::auto_replies::count(tx, org).await?;
    if is_new && count >= RULES_MAX {
        return Err(NotMade::TooMany);
    }
    if let Some(session) = row.session
        && !store::sessions::exists(tx, org, session).await?
    {
        return Err(NotMade::NoSuchSession);
    }
    if let Some(file) = file {
        // The rule itself keeps the file from then on.
        outgoing::accepted(tx, org, file, now).await?;
        if let File::Kept(id) | File::Brought(id) = file
            && store::media::read(tx.conn(), org, *id).await?.is_none()
        {
            return Err(NotMade::Source(SourceError::NotFound));
        }
    }
    if is_new {
        store::auto_replies::insert(tx, org, row).await?;
    } else if !store::auto_replies::replace(tx, org, row).await? {
        return Err(NotMade::NotFound);
    }
    if patterns(tx, key, org).await? > REGEX_RULES_MAX {
        return Err(NotMade::TooManyPatterns);
    }
    Ok(())
}

/// Counts the rules with a regular expression.
async fn patterns(tx: &mut Tx, key: &DataKey, org: OrgId) -> Result<usize, Fault> {
    let mut count = 0;
    for row in store::auto_replies::all(tx.conn(), org).await? {
        let id = row.id;
        let opened = if_readable("auto_reply", &id, sealed::open(key, org, &row))?;
        let has_one =
            opened.is_some_and(|of| matches!(of.rule.matching.text, Some(TextTest::Regex(_))));
        count += usize::from(has_one);
    }
    Ok(count)
}

/// Returns a rule, or `None` if there is no such rule.
pub async fn read(
    services: &Services,
    org: OrgId,
    id: AutoReplyId,
) -> Result<Option<AutoReply>, Fault> {
    let key = services.vault().org_key(org).await?;
    let mut conn = services.store().read(org).await?;
    let row = store::auto_replies::read(&mut conn, org, id).await?;
    row.map(|row| sealed::open(&key, org, &row)).transpose()
}

/// Returns the organisation's rules, newest first.
pub async fn list(
    services: &Services,
    org: OrgId,
    page: &Page<AutoReplyId>,
) -> Result<Listed<AutoReply>, Fault> {
    let key = services.vault().org_key(org).await?;
    let mut read = ListRead::begin(services, org).await?;
    let rows = bounded(store::auto_replies::list(read.conn(), org, page)).await;
    let rows = read.end(rows)?;
    let id = |row: &AutoReplyRow| row.id.to_string();
    Ok(rows.open("auto_reply", id, |row| sealed::open(&key, org, &row)))
}

/// Deletes a rule. Returns false if there is no such rule. Its file has its own time again.
pub async fn delete(services: &Services, org: OrgId, id: AutoReplyId) -> Result<bool, Fault> {
    let stamp = AutoReplyId::new(services.clock()).to_string();
    let write = services.store().write_in_time(org, move |tx| {
        Box::pin(async move {
            let deleted = store::auto_replies::delete(tx, org, id).await?;
            store::auto_replies::changed(tx, org, &stamp).await?;
            Ok::<_, sqlx::Error>(deleted)
        })
    });
    Ok(write.await?)
}
