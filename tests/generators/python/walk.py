"""Walks through the story with the client of openapi-python-client: link a number, send, upload, read.

`walk.py API CONTROL KEY FILE` prints one line of JSON with what it sent and read.
"""

import json
import sys
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import httpx

from passerelle_client import AuthenticatedClient
from passerelle_client.api.media import read_media, read_media_content, upload_media
from passerelle_client.api.messages import list_messages, mark_message_read, read_message, send_image, send_text
from passerelle_client.api.sessions import (
    change_session,
    connect_session,
    create_session,
    read_qr,
    read_qr_image,
    read_session,
    set_uncertain_sends,
)
from passerelle_client.models import (
    ImageMessage,
    MediaKind,
    Message,
    MessageDirection,
    MessageStatus,
    MessageType,
    Metadata,
    NewImage,
    NewSession,
    NewText,
    NewUncertainSends,
    Problem,
    ProblemCode,
    QrFormat,
    SessionChange,
    SessionState,
    TextMessage,
    UncertainSends,
    UploadMediaBody,
)
from passerelle_client.types import UNSET, File

T = TypeVar("T")
PHONE, CONTACT = "+491510000001", "+491510000002"


def good(answer: T | Problem | None) -> T:
    """Returns an answer that is not a refusal."""
    if answer is None or isinstance(answer, Problem):
        raise SystemExit(f"refused: {answer}")
    return answer


def wait(look: Callable[[], T | None]) -> T:
    """Looks until there is something."""
    end = time.monotonic() + 40
    while time.monotonic() < end:
        found = look()
        if found is not None:
            return found
        time.sleep(0.05)
    raise SystemExit("waited too long")


def link(client: AuthenticatedClient, control: str) -> str:
    session = good(create_session.sync(client=client, body=NewSession(name="support")))
    good(connect_session.sync(session.id, client=client))

    def code() -> str | None:
        answer = read_qr.sync(session.id, client=client)
        if isinstance(answer, Problem):
            assert answer.code == ProblemCode.QR_NOT_AVAILABLE, answer
            return None
        return good(answer).qr

    qr = wait(code)
    picture = read_qr_image.sync(session.id, client=client, format_=QrFormat.PNG)
    assert isinstance(picture, File), picture
    assert picture.payload.read(4) == b"\x89PNG"
    httpx.post(f"{control}/phones/{PHONE}/scan", json={"qr": qr}, timeout=30).raise_for_status()
    wait(lambda: good(read_session.sync(session.id, client=client)).state == SessionState.CONNECTED or None)
    return session.id


def at(client: AuthenticatedClient, message_id: str, status: MessageStatus) -> Message:
    def look() -> Message | None:
        message = good(read_message.sync(message_id, client=client))
        return message if message.status == status else None

    return wait(look)


def main() -> None:
    api, control, key, file = sys.argv[1:]
    with AuthenticatedClient(base_url=api, token=key) as client:
        session = link(client, control)
        hold = NewUncertainSends(policy=UncertainSends.HOLD)
        assert good(set_uncertain_sends.sync(session, client=client, body=hold)).uncertain_sends == "hold"

        named = SessionChange(name="front desk", client_ref="desk-3")
        assert good(change_session.sync(session, client=client, body=named)).client_ref == "desk-3"
        removed = good(change_session.sync(session, client=client, body=SessionChange(client_ref=None)))
        assert (removed.name, removed.client_ref) == ("front desk", UNSET)

        shop = Metadata.from_dict({"shop": "berlin"})
        text = TextMessage(to=CONTACT, text=NewText(body="Your order has left."), client_ref="order-1001", metadata=shop)
        sent = [good(send_text.sync(session, client=client, body=text, idempotency_key="order-1001")) for _ in range(2)]
        assert sent[0].id == sent[1].id

        upload = UploadMediaBody(file=File(payload=BytesIO(Path(file).read_bytes()), file_name="photo.jpg"))
        media = good(upload_media.sync(client=client, body=upload, kind=MediaKind.IMAGE))
        assert good(read_media.sync(media.id, client=client)).kind == MediaKind.IMAGE
        content = good(read_media_content.sync(media.id, client=client)).payload.read()
        image = ImageMessage(to=CONTACT, image=NewImage(media_id=media.id, caption="Your order"))
        image_id = good(send_image.sync(session, client=client, body=image)).id

        read = at(client, sent[0].id, MessageStatus.READ)
        assert read.type_ == MessageType.TEXT
        assert read.text is not UNSET
        assert read.client_ref == "order-1001"
        assert isinstance(read.metadata, Metadata)
        assert read.metadata["shop"] == "berlin"
        at(client, image_id, MessageStatus.READ)

        def answer() -> Message | None:
            page = good(list_messages.sync(client=client, direction=MessageDirection.INBOUND))
            return next((one for one in page.data if one.text), None)

        inbound = wait(answer)
        good(mark_message_read.sync(inbound.id, client=client))

        refused = read_message.sync("msg_none", client=client)
        assert isinstance(refused, Problem)
        assert refused.code == ProblemCode.INVALID_ID

    unknown = Message.from_dict({**read.to_dict(), "status": "archived", "type": "hologram"})
    assert unknown.status == "archived"
    assert unknown.type_ == "hologram"
    assert inbound.text
    print(json.dumps({
        "text": sent[0].id,
        "image": image_id,
        "media": media.id,
        "bytes": len(content),
        "inbound": inbound.text.body,
    }))


main()
