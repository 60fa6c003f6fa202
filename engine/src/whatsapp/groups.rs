//! The groups that this number is a member of.

use serde::{Deserialize, Serialize};

use super::connection::Connection;
use crate::content::Group;

/// A group that this number is a member of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinedGroup {
    /// The group's JID.
    pub id: Group,
    /// The group's name.
    pub subject: String,
    /// Number of members, including this number.
    pub members: u32,
    /// Whether only admins may write.
    pub admins_only: bool,
}

impl Connection {
    /// Returns the number's groups, sorted by name. Each call is a query, and its answer lists
    /// every member of every group.
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
