// A WhatsApp client of another make (Baileys) against our simulator: proof that the simulator speaks
// the protocol and not merely our own library's idea of it.
//
//   npm ci && node interop.mjs CONTROL_URL WS_URL [--phone +49…] [--peer +49… [--expect TEXT]]
//
// Links by QR as the phone `--phone`, sends a text to a scripted phone and waits until it is
// acknowledged, delivered and read, and for its echo. Then a phone calls it, and it rejects a call. With `--peer` it then writes to that number and waits for
// a text from it: TEXT, or without `--expect` the same text back. One line of JSON for each step on stdout; exit status 0 only if
// every step held.

import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { proto } from 'baileys';
import { digits, fail, link, say, textOf } from './client.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    phone: { type: 'string', default: '+491700000001' },
    peer: { type: 'string' },
    expect: { type: 'string' },
  },
});
const [control, wsUrl] = positionals;
if (!control || !wsUrl) {
  console.error('usage: node interop.mjs CONTROL_URL WS_URL [--phone +49…] [--peer +49… [--expect TEXT]]');
  process.exit(2);
}

const nonce = randomBytes(4).toString('hex');

/** Text a number and wait until the server, the other side and its reader have said so. */
async function text(client, number, body, upTo) {
  const { key } = await client.socket.sendMessage(`${digits(number)}@s.whatsapp.net`, { text: body });
  const { SERVER_ACK, DELIVERY_ACK, READ } = proto.WebMessageInfo.Status;
  for (const [name, status] of [['acknowledged', SERVER_ACK], ['delivered', DELIVERY_ACK], ['read', READ]]) {
    if (status > upTo) break;
    await client.until(`${key.id} to be ${name}`, () => (client.seen.status.get(key.id) ?? 0) >= status);
    say(name, { to: number, id: key.id });
  }
  return key.id;
}

async function main() {
  const client = await link({ control, wsUrl, phone: values.phone });
  const { call, seen, until } = client;
  const heard = (body) => seen.messages.find((one) => textOf(one) === body);

  const { DELIVERY_ACK, READ } = proto.WebMessageInfo.Status;
  const echo = '+491700000002';
  await call('/phones', { phone: echo, echo: true, reads: true, name: 'Echo' });
  const first = `hello from another make ${nonce}`;
  await text(client, echo, first, READ);
  await until('the echo', () => heard(first));
  say('echoed', { from: echo });

  // Not an answer: the phone begins, in a session of its own making.
  const said = `the phone speaks first ${nonce}`;
  await call('/phones', { phone: '+491700000003', name: 'First' });
  await call('/phones/+491700000003/say', { to: values.phone, text: said });
  await until('what a phone says', () => heard(said));
  say('received', { from: '+491700000003' });

  // A call ends as its caller or another device ended it, and is rejected as this client does it.
  const caller = '/phones/+491700000003';
  const rings = async (body) => {
    const { id } = await call(`${caller}/call`, { to: values.phone, ...body });
    const offer = await until('a call', () => seen.calls.find((one) => one.id === id && one.status === 'offer'));
    if (offer.isVideo !== Boolean(body.video)) throw new Error(`not what was offered: ${JSON.stringify(offer)}`);
    return offer;
  };
  const ended = (id, status) => until(`a call: ${status}`, () => seen.calls.find((one) => one.id === id && one.status === status));
  const timedOut = await rings({ video: true });
  await call(`${caller}/calls/${timedOut.id}`, { do: 'time_out' });
  await ended(timedOut.id, 'timeout');
  const answered = await rings({});
  await call(`/phones/${values.phone}/calls/${answered.id}`, { do: 'accept' });
  await ended(answered.id, 'terminate');
  const rejected = await rings({});
  await client.socket.rejectCall(rejected.id, rejected.from);
  const { entries } = await call('/ledger?limit=10000&kind=call');
  if (!entries.some(({ id, type, from }) => id === rejected.id && type === 'reject' && from === values.phone)) {
    throw new Error(`the server has not read the rejection: ${JSON.stringify(entries)}`);
  }
  say('rejected', { call: rejected.id });

  const ledger = await call(`/ledger?limit=10000&phone=${encodeURIComponent(values.phone)}`);
  const odd = ledger.entries.filter(({ kind }) => kind === 'unreadable' || kind === 'repeat');
  if (odd.length) throw new Error(`the simulator's phones complain: ${JSON.stringify(odd)}`);

  if (values.peer) {
    const body = `over to you ${nonce}`;
    const id = await text(client, values.peer, body, DELIVERY_ACK);
    say('wrote', { to: values.peer, id, text: body });
    const expected = values.expect ?? body;
    const { key } = await until('the peer', () => heard(expected));
    say('answered', { text: expected, from: key.remoteJid, alt: key.remoteJidAlt });
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
