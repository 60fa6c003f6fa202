// A WhatsApp client of another make (Baileys) and the simulator's scripted phones: every kind of message in
// both directions, as far as both know it, and what a client can change: groups, pictures, the text about itself.
//
//   npm ci && node simulator.mjs CONTROL_URL WS_URL --assets FOLDER [--phone +49…]
//
// One line of JSON for each step on stdout; exit status 0 only if every step held.
// The simulator's media server has a certificate of its own: run it with NODE_TLS_REJECT_UNAUTHORIZED=0.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { downloadMediaMessage, normalizeMessageContent } from 'baileys';
import { digits, fail, link, say, textOf } from './client.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    phone: { type: 'string', default: '+491700000001' },
    peer: { type: 'string' },
    assets: { type: 'string' },
  },
});
const [control, wsUrl] = positionals;
if (!control || !wsUrl || !values.assets) {
  console.error('usage: node simulator.mjs CONTROL_URL WS_URL --assets FOLDER [--phone +49…]');
  process.exit(2);
}

const [BOB, EVE] = ['+491700000011', '+491700000012'];
const STEP_MS = 30_000;
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
const asset = (name) => readFileSync(`${values.assets}/${name}`);
const jidOf = (number) => `${digits(number)}@s.whatsapp.net`;
const vcard = 'BEGIN:VCARD\nVERSION:3.0\nFN:Ada\nTEL;waid=4915199000002:+49 151 99000002\nEND:VCARD';
const card = { displayName: 'Ada', vcard };

/** Whether `found` has everything that `expected` names. */
const matches = (found, expected) => expected !== null && typeof expected === 'object'
  ? Object.entries(expected).every(([key, value]) => matches(found?.[key], value))
  : found === expected;

function hold(what, found, expected) {
  if (!matches(found, expected)) {
    throw new Error(`${what}: ${JSON.stringify(expected)} is not in ${JSON.stringify(found)}`);
  }
}

/** The ledger's entry about a message of ours that a phone has shown. */
async function shown(client, id, by) {
  const until = Date.now() + STEP_MS;
  while (Date.now() < until) {
    const ledger = await client.call(`/ledger?limit=10000&kind=shown&phone=${encodeURIComponent(by)}`);
    const entry = ledger.entries.find((one) => one.id === id && one.to === by);
    if (entry) return entry.message;
    await new Promise((resolve) => { setTimeout(resolve, 20); });
  }
  throw new Error(`${by} has not shown ${id}`);
}

/** Sends each kind, and checks what the phone shows. */
async function send(client) {
  const one = async (kind, content, expected, options = {}) => {
    const sent = await client.socket.sendMessage(jidOf(BOB), content, options);
    hold(kind, await shown(client, sent.key.id, BOB), expected);
    say('sent', { kind, id: sent.key.id });
    return sent;
  };
  const file = (kind, name, content, expected, options) => {
    const bytes = asset(name);
    return one(kind, content(bytes), { ...expected, media: { sha256: sha256(bytes) } }, options);
  };
  const jpegThumbnail = asset('photo.jpg').toString('base64');
  const first = await one('text', { text: 'the first' }, { type: 'text', text: 'the first' });
  await file('image', 'photo.jpg', (image) => ({ image, caption: 'look', jpegThumbnail }), { type: 'image', caption: 'look' });
  await file('video', 'film.mp4', (video) => ({ video, jpegThumbnail }), { type: 'video' });
  await file('gif', 'film.mp4', (video) => ({ video, gifPlayback: true, jpegThumbnail }), { type: 'video', gif: true });
  await file('view once', 'photo.jpg', (image) => ({ image, viewOnce: true, jpegThumbnail }), { type: 'image', view_once: true });
  await file('audio', 'song.mp3', (audio) => ({ audio, seconds: 3, mimetype: 'audio/mpeg' }), { type: 'audio' });
  await file('voice', 'voice.ogg', (audio) => ({ audio, ptt: true, seconds: 3, mimetype: 'audio/ogg; codecs=opus' }), { type: 'voice' });
  await file('document', 'photo.jpg', (document) => ({ document, fileName: 'invoice.jpg', mimetype: 'image/jpeg' }), { type: 'document', file_name: 'invoice.jpg' });
  await file('sticker', 'sticker.webp', (sticker) => ({ sticker }), { type: 'sticker' });
  await one('location', { location: { degreesLatitude: 52.5, degreesLongitude: 13.25, name: 'Acme' } }, { type: 'location', latitude: 52.5, name: 'Acme' });
  await one('contact', { contacts: { displayName: 'Ada', contacts: [card] } }, { type: 'contact', contacts: { 0: { name: 'Ada' } } });
  await one('contacts', { contacts: { displayName: '2', contacts: [card, card] } }, { type: 'contacts', contacts: { 1: { name: 'Ada' } } });
  const options = ['red', 'blue'];
  await one('poll', { poll: { name: 'Which?', values: options, selectableCount: 1 } }, { type: 'poll', poll: { name: 'Which?', options: { 1: 'blue' }, selectable: 1 } });
  await one('reply', { text: 'an answer' }, { type: 'text', quoted: { id: first.key.id } }, { quoted: first });
  await one('mention', { text: `@${digits(EVE)}`, mentions: [jidOf(EVE)] }, { type: 'text', mentions: { 0: EVE } });
  await one('forward', { forward: first, force: true }, { type: 'text', forwarded: true });
  await one('disappearing', { text: 'soon gone' }, { type: 'text', expires_seconds: 86_400 }, { ephemeralExpiration: 86_400 });
  await one('reaction', { react: { text: '👍', key: first.key } }, { type: 'reaction', text: '👍', target: first.key.id, applied: true });
  await one('edit', { text: 'the first, edited', edit: first.key }, { type: 'edit', text: 'the first, edited', applied: true });
  const second = await one('text', { text: 'the second' }, { type: 'text' });
  await one('delete', { delete: second.key }, { type: 'revoke', target: second.key.id, applied: true });
}

/** Makes a phone say each kind, and checks what comes in. */
async function receive(client) {
  const one = async (kind, message, field, expected = {}, more = {}) => {
    const said = await client.call(`/phones/${BOB}/say`, { to: values.phone, message, ...more });
    const got = await client.until(`a ${kind}`, () => client.seen.messages.find((one) => one.key.id === said.id));
    const content = normalizeMessageContent(got.message);
    if (!content[field]) throw new Error(`${kind}: no ${field} in ${Object.keys(content)}`);
    hold(kind, content[field], expected);
    if (said.media) {
      const bytes = await downloadMediaMessage(got, 'buffer', {}, { reuploadRequest: client.socket.updateMediaMessage });
      if (sha256(bytes) !== said.media.sha256) throw new Error(`${kind}: another file`);
    }
    say('received', { kind, id: said.id });
    return said.id;
  };
  const file = (name) => ({ bytes_base64: asset(name).toString('base64') });
  const text = { type: 'text', text: 'hello' };
  const first = await one('text', text, 'conversation');
  await one('link', { type: 'text', text: 'see https://example.org', link: 'https://example.org', title: 'Example' }, 'extendedTextMessage', { title: 'Example' });
  await one('image', { type: 'image', ...file('photo.jpg'), caption: 'look' }, 'imageMessage', { caption: 'look' });
  await one('video', { type: 'video', ...file('film.mp4') }, 'videoMessage');
  await one('gif', { type: 'video', ...file('film.mp4'), gif: true }, 'videoMessage', { gifPlayback: true });
  await one('view once', { type: 'image', ...file('photo.jpg'), view_once: true }, 'imageMessage');
  await one('audio', { type: 'audio', ...file('song.mp3'), seconds: 3 }, 'audioMessage', { seconds: 3 });
  await one('voice', { type: 'voice', ...file('voice.ogg') }, 'audioMessage', { ptt: true });
  await one('document', { type: 'document', ...file('photo.jpg'), file_name: 'a.jpg' }, 'documentMessage', { fileName: 'a.jpg' });
  await one('sticker', { type: 'sticker', ...file('sticker.webp') }, 'stickerMessage');
  await one('location', { type: 'location', latitude: 52.5, longitude: 13.25 }, 'locationMessage', { degreesLatitude: 52.5 });
  await one('contact', { type: 'contact', name: 'Ada', vcard }, 'contactMessage', { displayName: 'Ada' });
  await one('contacts', { type: 'contacts', contacts: [{ name: 'Ada', vcard }, { name: 'Bo', vcard }] }, 'contactsArrayMessage');
  const poll = await one('poll', { type: 'poll', name: 'Which?', options: ['red', 'blue'], selectable: 1 }, 'pollCreationMessageV3', { name: 'Which?' });
  await one('vote', { type: 'poll_vote', target: poll, options: ['red'] }, 'pollUpdateMessage', { pollCreationMessageKey: { id: poll } });
  await one('event', { type: 'event', name: 'Party' }, 'eventMessage', { name: 'Party' });
  await one('reply', text, 'extendedTextMessage', { contextInfo: { stanzaId: first } }, { quote: first });
  await one('mention', text, 'extendedTextMessage', {}, { mentions: [values.phone] });
  await one('forward', text, 'extendedTextMessage', { contextInfo: { isForwarded: true } }, { forwarded: true });
  await one('disappearing', text, 'extendedTextMessage', { contextInfo: { expiration: 86_400 } }, { expires_seconds: 86_400 });
  await one('reaction', { type: 'reaction', target: first, text: '👍' }, 'reactionMessage', { text: '👍', key: { id: first } });
  await one('edit', { type: 'edit', target: first, text: 'hello!' }, 'protocolMessage', { key: { id: first } });
  await one('delete', { type: 'revoke', target: first }, 'protocolMessage', { key: { id: first } });
}

/** Makes a group, changes it, talks in it and leaves it. */
async function group(client) {
  const { socket, call } = client;
  const { id } = await socket.groupCreate('Team', [jidOf(BOB)]);
  const state = () => call(`/groups/${id}`);
  hold('a group', await state(), { subject: 'Team', creator: values.phone, members: { [BOB]: 'member' } });
  const change = async (action, number, status = '200') => {
    const [one] = await socket.groupParticipantsUpdate(id, [jidOf(number)], action);
    hold(action, one, { status });
  };
  await change('add', EVE);
  await change('add', EVE, '409');
  await change('promote', BOB);
  await socket.groupUpdateSubject(id, 'Friends');
  hold('the group', await state(), { subject: 'Friends', members: { [BOB]: 'admin', [EVE]: 'member' } });
  await socket.groupUpdateDescription(id, 'About us');
  for (const setting of ['announcement', 'locked']) await socket.groupSettingUpdate(id, setting);
  await socket.groupToggleEphemeral(id, 86_400);
  const settings = { description: 'About us', admins_only: true, locked: true, expires_seconds: 86_400 };
  hold('the settings', (await state()).settings, settings);
  const told = { desc: 'About us', announce: true, restrict: true, ephemeralDuration: 86_400 };
  hold('the settings', await socket.groupMetadata(id), told);
  const sent = await socket.sendMessage(id, { text: 'hello all' });
  for (const phone of [BOB, EVE]) hold('a group message', await shown(client, sent.key.id, phone), { text: 'hello all' });
  const said = await call(`/phones/${EVE}/say`, { to: id, text: 'hello you' });
  const got = await client.until('a group message', () => client.seen.messages.find((one) => one.key.id === said.id));
  hold('a group message', { text: textOf(got), chat: got.key.remoteJid }, { text: 'hello you', chat: id });
  await change('remove', EVE);
  await change('demote', BOB);
  await socket.groupLeave(id);
  const { members } = await state();
  hold('the members', { members: JSON.stringify(members) }, { members: JSON.stringify({ [BOB]: 'member' }) });
  say('group', { id });
}

/** Sets, reads and removes a picture, and says something about itself. */
async function profile(client) {
  const { socket, call } = client;
  const own = jidOf(values.phone);
  const missing = (error) => { if (error?.data !== 404) throw error; };
  // Baileys has no library here that would scale the picture.
  const picture = { tag: 'picture', attrs: { type: 'image' }, content: asset('photo.jpg') };
  const attrs = { to: '@s.whatsapp.net', type: 'set', xmlns: 'w:profile:picture' };
  hold('no picture', await socket.profilePictureUrl(own).catch(missing), undefined);
  await socket.query({ tag: 'iq', attrs, content: [picture] });
  const response = await fetch(await socket.profilePictureUrl(own, 'image'));
  const bytes = Buffer.from(await response.arrayBuffer());
  if (sha256(bytes) !== sha256(asset('photo.jpg'))) throw new Error('another picture');
  await socket.removeProfilePicture(own);
  hold('no picture', await socket.profilePictureUrl(own).catch(missing), undefined);
  await socket.updateProfileStatus('at sea');
  hold('about', await call(`/phones/${values.phone}`), { about: 'at sea' });
  say('profile');
}

async function main() {
  for (const phone of [BOB, EVE]) await fetch(`${control}/phones`, { method: 'POST', body: JSON.stringify({ phone }) });
  const client = await link({ control, wsUrl, phone: values.phone });
  await send(client);
  await receive(client);
  await group(client);
  await profile(client);
  const ledger = await client.call('/ledger?limit=10000&kind=unreadable');
  if (ledger.entries.length) throw new Error(`phones could not decrypt: ${JSON.stringify(ledger.entries)}`);
  say('done');
  await client.end();
}

try {
  await main();
  process.exit(0);
} catch (error) {
  fail(error);
}
