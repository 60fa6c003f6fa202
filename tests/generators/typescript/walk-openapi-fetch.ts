// Walks through the story with openapi-typescript and openapi-fetch: link a number, send, upload, read.
// `walk-openapi-fetch.js API CONTROL KEY FILE` prints one line of JSON with what it sent and read.

import { readFile } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import createClient from "openapi-fetch";
import type { components, paths, webhooks } from "./schema.js";

type Schemas = components["schemas"];
type Message = Schemas["Message"];
type Received = webhooks["message.received"]["post"]["requestBody"]["content"]["application/json"];

const [api, control, key, file] = process.argv.slice(2) as [string, string, string, string];
const phone = "+491510000001";
const contact = "+491510000002";
const client = createClient<paths>({ baseUrl: api, headers: { Authorization: `Bearer ${key}` } });

/** Returns the data of an answer that is not a refusal. */
function good<T>(answer: { data?: T; error?: Schemas["Problem"] }): T {
  if (answer.error || answer.data === undefined) throw new Error(JSON.stringify(answer.error));
  return answer.data;
}

/** Looks until there is something. */
async function wait<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (const end = Date.now() + 40_000; Date.now() < end; await setTimeout(50)) {
    const found = await look();
    if (found !== undefined) return found;
  }
  throw new Error("waited too long");
}

async function link(): Promise<string> {
  const { id } = good(await client.POST("/v1/sessions", { body: { name: "support" } }));
  const of = { params: { path: { id } } };
  good(await client.POST("/v1/sessions/{id}/connect", of));
  const qr = await wait(async () => {
    const { data, error } = await client.GET("/v1/sessions/{id}/qr", of);
    const missing: Schemas["ProblemCode"] = "qr_not_available";
    if (error && error.code !== missing) throw new Error(error.code);
    return data?.qr;
  });
  const picture = good(await client.GET("/v1/sessions/{id}/qr/image", { ...of, parseAs: "arrayBuffer" }));
  if (new Uint8Array(picture)[0] !== 0x89) throw new Error("no PNG");
  const scanned = await fetch(`${control}/phones/${phone}/scan`, { method: "POST", body: JSON.stringify({ qr }) });
  if (!scanned.ok) throw new Error(await scanned.text());
  const connected: Schemas["SessionState"] = "connected";
  await wait(async () => (good(await client.GET("/v1/sessions/{id}", of)).state === connected ? true : undefined));
  return id;
}

function at(id: string, status: Schemas["MessageStatus"]): Promise<Message> {
  return wait(async () => {
    const message = good(await client.GET("/v1/messages/{id}", { params: { path: { id } } }));
    return message.status === status ? message : undefined;
  });
}

/** A receiver of webhooks: the payload is typed, and the type of the event need not be known. */
function received(event: Received): string | undefined {
  return event.data.message.text?.body;
}

/** The union of messages narrows by its type. */
function body(message: Schemas["NewMessage"]): string {
  return message.type === "text" ? message.text.body : message.type;
}

const session = await link();
const path = { id: session };
const named = { name: "front desk", client_ref: "desk-3", metadata: { shop: "berlin" } };
good(await client.PATCH("/v1/sessions/{id}", { params: { path }, body: named }));
const removed = good(await client.PATCH("/v1/sessions/{id}", { params: { path }, body: { client_ref: null } }));
if (removed.client_ref !== undefined || removed.metadata?.shop !== "berlin") throw new Error("not changed");
const message: Schemas["NewMessage"] = { session_id: session, type: "text", to: contact, text: { body: "Your order has left." },
  client_ref: "order-1001", metadata: { shop: "berlin" } };
const header = { "Idempotency-Key": "order-1001" };
const first = good(await client.POST("/v1/messages", { body: message, params: { header } }));
const second = good(await client.POST("/v1/messages", { body: message, params: { header } }));
if (first.id !== second.id) throw new Error("sent twice");

const form = new FormData();
form.append("file", new Blob([await readFile(file)]), "photo.jpg");
const media = good(
  await client.POST("/v1/media", {
    params: { query: { kind: "image" } },
    body: { file: "" },
    bodySerializer: () => form,
  }),
);
const content = good(await client.GET("/v1/media/{id}/content", { params: { path: { id: media.id } }, parseAs: "arrayBuffer" }));
const image = good(
  await client.POST("/v1/sessions/{id}/messages/image", {
    params: { path },
    body: { to: contact, image: { media_id: media.id, caption: "Your order" } },
  }),
);

await at(first.id, "read");
await at(image.id, "read");
const inbound = await wait(async () => {
  const page = good(await client.GET("/v1/messages", { params: { query: { direction: "inbound" } } }));
  return page.data.find((one) => one.text);
});
good(await client.POST("/v1/messages/{id}/read", { params: { path: { id: inbound.id } } }));

const refused = await client.GET("/v1/messages/{id}", { params: { path: { id: "msg_none" } } });
if (refused.error?.code !== "invalid_id") throw new Error("not refused");

const event: Received = { type: "message.received", timestamp: inbound.created_at, id: "evt_1", api_version: "1", org_id: "org_1",
  session_id: session, sequence: 1, data: { message: inbound } };
if (received({ ...event, type: "message.starred" }) !== inbound.text?.body || body(message) === "text") throw new Error("not typed");

console.log(JSON.stringify({ text: first.id, image: image.id, media: media.id, bytes: content.byteLength, inbound: inbound.text?.body }));
