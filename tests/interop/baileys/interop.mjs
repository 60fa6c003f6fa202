// A WhatsApp client of another make (Baileys) against our simulator: proof that the simulator speaks
// the protocol and not merely our own library's idea of it.
//
//   npm ci && node interop.mjs CONTROL_URL WS_URL [--phone +49…] [--peer +49… [--expect TEXT]]
//
// Links by QR as the phone `--phone`, sends a text to a scripted phone and waits until it is
// acknowledged, delivered and read, and for its echo. With `--peer` it then writes to that number and waits for
// a text from it: TEXT, or without `--expect` the same text back. One line of JSON for each step on stdout; exit status 0 only if
// every step held. Needs Node 20.

import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import makeWASocket, { Browsers, DisconnectReason, initAuthCreds, proto } from 'baileys';
import { WA_CERT_DETAILS } from 'baileys/lib/Defaults/index.js';

const STEP_MS = 30_000;

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

// Signal's JavaScript library writes session keys to the console.
console.info = console.warn = () => {};

const say = (step, more = {}) => console.log(JSON.stringify({ step, ...more }));

async function call(path, body) {
  const response = await fetch(`${control}${path}`, {
    method: body ? 'POST' : 'GET',
    headers: body ? { 'content-type': 'application/json' } : {},
    body: body && JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`);
  return text.startsWith('{') ? JSON.parse(text) : text;
}

// Baileys checks the server's certificate chain against this key.
WA_CERT_DETAILS.PUBLIC_KEY = Buffer.from(await call('/root'), 'hex');

// What Baileys logs is noise here, except when asked for.
const loud = process.env.BAILEYS_LOG;
const logger = {
  level: loud ?? 'silent',
  child: () => logger,
  ...Object.fromEntries(['trace', 'debug', 'info', 'warn', 'error', 'fatal'].map((level) => [
    level,
    (...args) => loud && console.error(level, ...args.map((arg) => JSON.stringify(arg)?.slice(0, 2000))),
  ])),
};

// Credentials and Signal keys in memory, and a bus of everything that happens to them.
const creds = initAuthCreds();
const store = new Map();
const keys = {
  get: async (type, ids) => {
    const found = {};
    for (const id of ids) {
      let value = store.get(`${type}/${id}`);
      if (value && type === 'app-state-sync-key') value = proto.Message.AppStateSyncKeyData.fromObject(value);
      if (value) found[id] = value;
    }
    return found;
  },
  set: async (all) => {
    for (const [type, entries] of Object.entries(all)) {
      for (const [id, value] of Object.entries(entries)) {
        if (value === null || value === undefined) store.delete(`${type}/${id}`);
        else store.set(`${type}/${id}`, value);
      }
    }
  },
};

const seen = { open: false, status: new Map(), texts: [] };
const waiting = new Set();
const changed = () => waiting.forEach((check) => check());

function until(what, test) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      waiting.delete(check);
      reject(new Error(`timed out waiting for ${what}`));
    }, STEP_MS);
    const check = () => {
      const value = test();
      if (!value) return;
      clearTimeout(timer);
      waiting.delete(check);
      resolve(value);
    };
    waiting.add(check);
    check();
  });
}

let socket;
let ending = false;

function connect() {
  socket = makeWASocket({
    auth: { creds, keys },
    waWebSocketUrl: wsUrl,
    version: [2, 3000, 1027934701],
    browser: Browsers.ubuntu('Chrome'),
    logger,
    syncFullHistory: false,
    markOnlineOnConnect: true,
  });
  socket.ev.on('creds.update', (update) => Object.assign(creds, update));
  socket.ev.on('connection.update', onConnection);
  socket.ws.on('CB:ack,class:message', onAck);
  socket.ev.on('messages.update', (updates) => {
    for (const { key, update } of updates) if (update.status) rise(key.id, update.status);
  });
  socket.ev.on('messages.upsert', ({ messages }) => {
    for (const { key, message, status } of messages) {
      // Baileys gathers events: an update may arrive inside the message it is about.
      if (key.fromMe && status) rise(key.id, status);
      const text = message?.conversation ?? message?.extendedTextMessage?.text;
      if (!key.fromMe && text) seen.texts.push({ text, from: key.remoteJid, alt: key.remoteJidAlt });
    }
    changed();
  });
}

/** Baileys tells of refusals only: what the server accepts is seen on the wire. */
function onAck({ attrs }) {
  if (attrs.error) fail(new Error(`the server refused ${attrs.id} with ${attrs.error}`));
  rise(attrs.id, proto.WebMessageInfo.Status.SERVER_ACK);
}

function rise(id, status) {
  seen.status.set(id, Math.max(status, seen.status.get(id) ?? 0));
  changed();
}

function onConnection({ connection, qr, lastDisconnect }) {
  if (qr && !seen.scanned) {
    seen.scanned = call(`/phones/${values.phone}/scan`, { qr }).then(
      (linked) => say('linked', linked),
      fail,
    );
  }
  if (connection === 'open') seen.open = true;
  if (connection === 'close' && !ending) {
    const code = lastDisconnect?.error?.output?.statusCode;
    seen.open = false;
    if (code === DisconnectReason.restartRequired) connect();
    else fail(new Error(`the connection closed with ${code}: ${lastDisconnect?.error}`));
  }
  changed();
}

function fail(error) {
  console.error(error);
  process.exit(1);
}

const digits = (number) => number.replace(/^\+/, '');
const nonce = randomBytes(4).toString('hex');

/** Text a number and wait until the server, the other side and its reader have said so. */
async function text(number, body, upTo) {
  const { key } = await socket.sendMessage(`${digits(number)}@s.whatsapp.net`, { text: body });
  const { SERVER_ACK, DELIVERY_ACK, READ } = proto.WebMessageInfo.Status;
  for (const [name, status] of [['acknowledged', SERVER_ACK], ['delivered', DELIVERY_ACK], ['read', READ]]) {
    if (status > upTo) break;
    await until(`${key.id} to be ${name}`, () => (seen.status.get(key.id) ?? 0) >= status);
    say(name, { to: number, id: key.id });
  }
  return key.id;
}

async function main() {
  connect();
  await until('the link', () => seen.open);
  await seen.scanned;
  say('connected', { as: values.phone });

  const { DELIVERY_ACK, READ } = proto.WebMessageInfo.Status;
  const echo = '+491700000002';
  await call('/phones', { phone: echo, echo: true, reads: true, name: 'Echo' });
  const first = `hello from another make ${nonce}`;
  await text(echo, first, READ);
  await until('the echo', () => seen.texts.some(({ text }) => text === first));
  say('echoed', { from: echo });

  // Not an answer: the phone begins, in a session of its own making.
  const said = `the phone speaks first ${nonce}`;
  await call('/phones', { phone: '+491700000003', name: 'First' });
  await call('/phones/+491700000003/say', { to: values.phone, text: said });
  await until('what a phone says', () => seen.texts.some(({ text }) => text === said));
  say('received', { from: '+491700000003' });

  const ledger = await call(`/ledger?limit=10000&phone=${encodeURIComponent(values.phone)}`);
  const odd = ledger.entries.filter(({ kind }) => kind === 'unreadable' || kind === 'repeat');
  if (odd.length) throw new Error(`the simulator's phones complain: ${JSON.stringify(odd)}`);

  if (values.peer) {
    const body = `over to you ${nonce}`;
    const id = await text(values.peer, body, DELIVERY_ACK);
    say('wrote', { to: values.peer, id, text: body });
    const expected = values.expect ?? body;
    const answer = await until('the peer', () => seen.texts.find(({ text }) => text === expected));
    say('answered', answer);
  }
}

try {
  await main();
  say('done');
  ending = true;
  await socket.end();
  process.exit(0);
} catch (error) {
  fail(error);
}
