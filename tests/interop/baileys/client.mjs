// A WhatsApp client of another make (Baileys) that links to our simulator as a phone's device: what the
// scripts here share. Needs Node 20.

import { proto, default as makeWASocket, Browsers, DisconnectReason, initAuthCreds } from 'baileys';
import { WA_CERT_DETAILS } from 'baileys/lib/Defaults/index.js';

const STEP_MS = 30_000;

// Signal's JavaScript library writes session keys to the console.
console.info = console.warn = () => {};

/** One line of JSON for a step. */
export const say = (step, more = {}) => console.log(JSON.stringify({ step, ...more }));

export function fail(error) {
  console.error(error);
  process.exit(1);
}

export const digits = (number) => number.replace(/^\+/, '');

/** Calls of the simulator's control API. */
export const calls = (control) => async (path, body) => {
  const response = await fetch(`${control}${path}`, {
    method: body ? 'POST' : 'GET',
    headers: body ? { 'content-type': 'application/json' } : {},
    body: body && JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`);
  return text.startsWith('{') ? JSON.parse(text) : text;
};

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

/** Credentials and Signal keys in memory. */
function memory() {
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
  return { creds: initAuthCreds(), keys };
}

/** Links by QR as `phone`. `seen` has each message that came in, whole, each own one's status, and what happened with calls. */
export async function link({ control, wsUrl, phone }) {
  const call = calls(control);
  // Baileys checks the server's certificate chain against this key.
  WA_CERT_DETAILS.PUBLIC_KEY = Buffer.from(await call('/root'), 'hex');
  const auth = memory();
  const client = { call, socket: null, seen: { open: false, status: new Map(), messages: [], calls: [] }, until, end };
  const { seen } = client;
  const waiting = new Set();
  const changed = () => waiting.forEach((check) => check());
  let ending = false;

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

  async function end() {
    ending = true;
    await client.socket.end();
  }

  function connect() {
    client.socket = makeWASocket({
      auth,
      waWebSocketUrl: wsUrl,
      version: [2, 3000, 1027934701],
      browser: Browsers.ubuntu('Chrome'),
      logger,
      syncFullHistory: false,
      markOnlineOnConnect: true,
    });
    const { ev, ws } = client.socket;
    ev.on('creds.update', (update) => Object.assign(auth.creds, update));
    ev.on('connection.update', onConnection);
    ws.on('CB:ack,class:message', onAck);
    ev.on('messages.update', (updates) => {
      for (const { key, update } of updates) if (update.status) rise(key.id, update.status);
    });
    ev.on('call', (happened) => {
      seen.calls.push(...happened);
      changed();
    });
    ev.on('messages.upsert', ({ messages }) => {
      for (const one of messages) {
        // Baileys gathers events: an update may arrive inside the message it is about.
        if (one.key.fromMe && one.status) rise(one.key.id, one.status);
        if (!one.key.fromMe && one.message) seen.messages.push(one);
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
      seen.scanned = call(`/phones/${phone}/scan`, { qr }).then((linked) => say('linked', linked), fail);
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

  connect();
  await until('the link', () => seen.open);
  await seen.scanned;
  say('connected', { as: phone });
  return client;
}

/** The text of a message that came in. */
export const textOf = ({ message }) => message?.conversation ?? message?.extendedTextMessage?.text;
