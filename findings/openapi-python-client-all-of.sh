#!/usr/bin/env bash
# openapi-python-client 0.29.1: a reference with a comment beside it costs the model, and the exit code is 0.
#
# With: openapi-python-client 0.29.1. poem-openapi 5.1.16 writes each commented reference in this way.
# Expected: `allOf: [{$ref: …}, {description: …}]` is valid in every version of OpenAPI and means the schema that is
#   referred to, with a comment: the client has the model `Order`.
# Seen: Order is left out, with a warning, and so is the success answer of the operation.
#     document.json: OK
#     Generating client
#     Warning(s) encountered while generating. Client was generated, but some pieces may be missing
#     …
#     Cannot take allOf a non-object
#     Failure to process schema has resulted in the removal of:
#     /components/schemas/Order
#     …
#     exit code 0
#     __init__.py
#     status.py
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
      "Status": {"type": "string", "enum": ["open", "paid"]},
      "Order": {
        "type": "object",
        "required": ["status"],
        "properties": {
          "status": {"allOf": [{"$ref": "#/components/schemas/Status"}, {"description": "How far it is."}]}
        }
      }
    }
  }
}
END
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check openapi-python-client==0.29.1 openapi-spec-validator==0.9.0
venv/bin/openapi-spec-validator document.json
PATH=$PWD/venv/bin:$PATH venv/bin/openapi-python-client generate --path document.json --output-path client
echo "exit code 0"
[ -d client ]
ls client/*/models
! find client -name order.py -path '*/models/*' | grep -q . || exit 1
