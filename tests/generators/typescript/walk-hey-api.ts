// Walks through the story with the client of @hey-api/openapi-ts: link a number, send, upload, read, follow
// events. It is type-checked and not run.

import { createClient, createConfig } from "./client/client/index.js";
import {
  changeSession,
  changeWebhookEndpoint,
  connectSession,
  createSession,
  listMessages,
  markMessageRead,
  readMediaContent,
  readMessage,
  readQr,
  readQrImage,
  sendText,
  streamQr,
  uploadMedia,
} from "./client/sdk.gen.js";
import type {
  EventType,
  Message,
  MessageStatus,
  NewMessage,
  OnMessageReceivedWebhookPayload,
  Problem,
} from "./client/types.gen.js";

const client = createClient(createConfig({ baseUrl: "http://127.0.0.1:8080", auth: () => "psl_key" }));

export async function story(photo: Blob): Promise<Message> {
  const session = await createSession({ client, body: { name: "support" }, throwOnError: true });
  const path = { id: session.data.id };
  await connectSession({ client, path, throwOnError: true });

  await changeSession({ client, path, body: { name: "front desk", client_ref: null, metadata: { shop: "berlin" } }, throwOnError: true });
  const qr = await readQr({ client, path });
  if (qr.error) {
    const problem: Problem = qr.error;
    throw new Error(problem.code);
  }
  const code: string = qr.data.qr;
  const { stream } = await streamQr({ client, path });
  for await (const event of stream) {
    if (typeof event !== "string" && event.state === "connected") break;
  }
  const picture = await readQrImage({ client, path, query: { format: "svg" }, throwOnError: true });
  const drawn: Blob = picture.data;

  const upload = await uploadMedia({ client, query: { kind: "image" }, body: { file: photo }, throwOnError: true });
  const content = await readMediaContent({ client, path: { id: upload.data.id }, throwOnError: true });
  const bytes: Blob = content.data;

  const text = { to: "+491510000002", text: { body: `${code.length} ${drawn.size} ${bytes.size}` } };
  const sent = await sendText({ client, path, body: text, headers: { "Idempotency-Key": "order-1001" }, throwOnError: true });
  const found = await readMessage({ client, path: { id: sent.data.id }, throwOnError: true });
  const read: MessageStatus = "read";
  if (found.data.status !== read) throw new Error(found.data.status);

  const inbound = await listMessages({ client, query: { direction: "inbound" }, throwOnError: true });
  for (const message of inbound.data.data) await markMessageRead({ client, path: { id: message.id } });
  return found.data;
}

/** A change names what is to change. Null removes it. */
export async function change(id: string): Promise<string[]> {
  const body = { events: ["message.*" as const], headers: null, enabled: true };
  const changed = await changeWebhookEndpoint({ client, path: { id }, body, throwOnError: true });
  return changed.data.header_names;
}

/** A receiver of webhooks: the payload is typed, and the type of the event need not be known. */
export function received(event: OnMessageReceivedWebhookPayload): string | undefined {
  const known: EventType = "message.received";
  return event.type === known ? event.data.message.text?.body : event.type;
}

/** The union of messages narrows by its type. */
export function body(message: NewMessage): string {
  return message.type === "text" ? message.text.body : message.type;
}
