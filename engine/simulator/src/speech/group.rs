//! Encrypts a message to a group: once for all members, after every device has the sender key.

use wacore::messages::MessageUtils;
use wacore_binary::{Jid, Node};
use waproto::buffa::MessageField;
use waproto::whatsapp::Message;
use waproto::whatsapp::message::SenderKeyDistributionMessage;

use crate::phone::Phone;
use crate::phone::outgoing::Outgoing;
use crate::phone::outgoing::enc;
use crate::phone::signal::Sealed;
use crate::stanza::el;
use crate::state::address::Address;
use crate::state::group::GroupId;

impl Phone {
    /// Returns a stanza for all devices of the group. Returns `None` if this phone is not a member.
    pub(super) fn seal_for_group(
        &mut self,
        group: &GroupId,
        to: &Jid,
        out: &Outgoing,
    ) -> Option<Node> {
        let devices = self.devices_of_group(group)?;
        let addresses: Vec<Address> = devices.iter().map(|(one, _)| one.clone()).collect();
        let lacking = self.sender_keys.lacking(group, &addresses);
        // Take the key before encrypting: a device that gets it now must be able to decrypt this
        // message.
        let key = self.key_of_group(group, to)?;
        let plain = MessageUtils::encode_and_pad(&key);
        let mut given = Vec::new();
        for (address, jid) in devices {
            if !lacking.contains(&address) {
                continue;
            }
            let Some(sealed) = self.seal(&address, &plain) else {
                continue;
            };
            let enc = enc(sealed);
            given.push(el("to").attr("jid", jid).children([enc]).build());
            self.sender_keys.mark(group, &address, true);
        }
        let plain = out.plain();
        let bytes = self.sender_keys.seal(group, &plain).ok()?;
        let all = out.enc(Sealed {
            kind: "skmsg",
            bytes,
        });
        let given = el("participants").children(given).build();
        Some(out.stanza(to, vec![given, all]))
    }

    /// Encrypts a group message again for the one device that could not decrypt it, with the key
    /// that it lacks.
    pub(super) fn seal_for_retry(
        &mut self,
        group: &GroupId,
        to: &Jid,
        device: &Address,
        jid: Jid,
        out: &Outgoing,
    ) -> Option<Node> {
        let mut message = out.message.clone();
        message.sender_key_distribution_message = self
            .key_of_group(group, to)?
            .sender_key_distribution_message;
        self.signal.forget(device);
        let sealed = self.seal(device, &MessageUtils::encode_and_pad(&message))?;
        self.sender_keys.mark(group, device, true);
        let mut node = out.stanza(to, vec![out.enc(sealed)]);
        node.attrs.insert("participant", jid);
        Some(node)
    }

    /// Returns the message that distributes the phone's own key.
    fn key_of_group(&mut self, group: &GroupId, to: &Jid) -> Option<Message> {
        let key = self.sender_keys.share(group).ok()?;
        Some(Message {
            sender_key_distribution_message: MessageField::some(SenderKeyDistributionMessage {
                group_id: Some(to.to_string()),
                axolotl_sender_key_distribution_message: Some(key),
            }),
            ..Default::default()
        })
    }

    /// Returns the devices of all members except this phone, as the group addresses them.
    fn devices_of_group(&self, group: &GroupId) -> Option<Vec<(Address, Jid)>> {
        let state = self.world.state();
        let group = state.groups.get(group)?;
        if !group.members.contains_key(&self.own.pn) {
            return None;
        }
        let accounts = group.members.keys().filter_map(|pn| state.accounts.get(pn));
        let devices = accounts.flat_map(|account| {
            account.devices.keys().map(|device| {
                let address = Address {
                    pn: account.pn.clone(),
                    device: *device,
                };
                (address, account.jid(group.mode.server(), *device))
            })
        });
        Some(
            devices
                .filter(|(address, _)| *address != self.own)
                .collect(),
        )
    }
}
