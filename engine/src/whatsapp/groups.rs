//! The groups that this number is in.

use serde::{Deserialize, Serialize};

use super::connection::Connection;
use crate::content::Group;

/// A group that the number is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinedGroup {
    /// As WhatsApp names it.
    pub id: Group,
    /// What its members call it.
    pub subject: String,
    /// Members, this number among them.
    pub members: u32,
    /// Only its admins may write.
    pub admins_only: bool,
}

impl Connection {
    /// The groups that the number is in, by name. Each call is a query, and its answer has every member of every group.
    pub async fn groups(&self) -> anyhow::Result<Vec<JoinedGroup>> {
        let told = self.client().groups().get_participating().await?;
        let mut groups: Vec<_> = told
            .into_values()
            .filter_map(|group| {
                let counted = u32::try_from(group.participants.len()).unwrap_or(u32::MAX);
                Some(JoinedGroup {
                    id: Group::parse(&group.id.to_string())?,
                    subject: group.subject,
                    members: group.size.unwrap_or(counted),
                    admins_only: group.is_announcement,
                })
            })
            .collect();
        groups.sort_by(|one, other| {
            (&one.subject, one.id.as_str()).cmp(&(&other.subject, other.id.as_str()))
        });
        Ok(groups)
    }
}
