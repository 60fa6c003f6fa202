// Every kind of message between a client of another make (Baileys) and the gateway, through our simulator.
//
//   npm ci && node kinds.mjs CONTROL_URL WS_URL --peer +49… --assets FOLDER [--phone +49…]
//
// Links by QR as the phone `--phone` and sends each kind to `--peer`. Then it tells what comes in, files by the
// SHA-256 of what it downloads and decrypts, until a text says `that is all`. One line of JSON for each step
// on stdout; exit status 0 only if every step held.
// The simulator's media server has a certificate of its own: run it with NODE_TLS_REJECT_UNAUTHORIZED=0.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { downloadMediaMessage, proto } from 'baileys';
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
if (!control || !wsUrl || !values.peer || !values.assets) {
  console.error('usage: node kinds.mjs CONTROL_URL WS_URL --peer +49… --assets FOLDER [--phone +49…]');
  process.exit(2);
}

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
const asset = (name) => readFileSync(`${values.assets}/${name}`);
const vcard = 'BEGIN:VCARD\nVERSION:3.0\nFN:Ada\nTEL;waid=4915199000002:+49 151 99000002\nEND:VCARD';

/** Sends each kind, one after the other, as the server takes them. */
async function send(client) {
  const to = `${digits(values.peer)}@s.whatsapp.net`;
  const one = async (kind, content, more = {}, options = {}) => {
    const sent = await client.socket.sendMessage(to, content, options);
    const { SERVER_ACK } = proto.WebMessageInfo.Status;
    await client.until(`the ${kind}`, () => (client.seen.status.get(sent.key.id) ?? 0) >= SERVER_ACK);
    say('sent', { kind, id: sent.key.id, ...more });
    return sent;
  };
  const file = (kind, name, content) => {
    const bytes = asset(name);
    return one(kind, content(bytes), { sha256: sha256(bytes) });
  };
  const first = await one('text', { text: 'the first' });
  // A thumbnail of its own, for it has no library here that makes one.
  const thumbnail = asset('photo.jpg').toString('base64');
  await file('image', 'photo.jpg', (image) => ({ image, caption: 'look', jpegThumbnail: thumbnail }));
  await file('video', 'film.mp4', (video) => ({ video, caption: 'watch', jpegThumbnail: thumbnail }));
  await file('voice', 'voice.ogg', (audio) => ({ audio, ptt: true, seconds: 3, mimetype: 'audio/ogg; codecs=opus' }));
  await file('document', 'photo.jpg', (document) => ({ document, fileName: 'invoice.jpg', mimetype: 'image/jpeg' }));
  await file('sticker', 'sticker.webp', (sticker) => ({ sticker }));
  await one('location', { location: { degreesLatitude: 52.5, degreesLongitude: 13.25, name: 'Acme' } });
  await one('contacts', { contacts: { displayName: 'Ada', contacts: [{ displayName: 'Ada', vcard }] } });
  await one('reaction', { react: { text: '👍', key: first.key } });
  await one('reply', { text: 'an answer' }, {}, { quoted: first });
  await one('edit', { text: 'the first, edited', edit: first.key });
  const second = await one('text', { text: 'the second' });
  await one('delete', { delete: second.key });
}

/** What a message carries, in few words. */
async function told(client, one) {
  const { message } = one;
  const kind = Object.keys(message).find((field) => /Message$|^conversation$/.test(field) && message[field]);
  const carried = message[kind];
  const files = ['imageMessage', 'videoMessage', 'audioMessage', 'documentMessage', 'stickerMessage'];
  const more = { kind, id: one.key.id, text: textOf(one), caption: carried?.caption, fileName: carried?.fileName };
  if (files.includes(kind)) {
    const bytes = await downloadMediaMessage(one, 'buffer', {}, { reuploadRequest: client.socket.updateMediaMessage });
    more.sha256 = sha256(bytes);
    more.ptt = carried.ptt;
    more.seconds = carried.seconds;
    more.waveform = carried.waveform?.length;
  }
  if (kind === 'locationMessage') more.latitude = carried.degreesLatitude;
  if (kind === 'contactMessage') more.name = carried.displayName;
  if (kind === 'reactionMessage') Object.assign(more, { text: carried.text, about: carried.key.id });
  if (kind === 'protocolMessage') {
    const { editedMessage } = carried;
    const text = editedMessage && textOf({ message: editedMessage });
    Object.assign(more, { type: proto.Message.ProtocolMessage.Type[carried.type], about: carried.key?.id, text });
  }
  more.quoted = carried?.contextInfo?.stanzaId ?? undefined;
  return more;
}

async function main() {
  const client = await link({ control, wsUrl, phone: values.phone });
  await send(client);
  say('your turn');
  let taken = 0;
  for (;;) {
    const one = await client.until('the next message', () => client.seen.messages[taken]);
    taken += 1;
    if (textOf(one) === 'that is all') break;
    say('got', await told(client, one));
  }
  say('done');
  await client.end();
}

try {
  await main();
  process.exit(0);
} catch (error) {
  fail(error);
}
