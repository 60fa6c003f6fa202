-- Claims of deliveries go from one endpoint to the next, so that those that wait for an endpoint without room, or for a
-- suspended organisation, cost nothing.

CREATE INDEX delivery_waiting ON delivery (endpoint_id, due_at) WHERE status IN ('due', 'running');

-- For processes of an older version only, until a later migration drops them: the index `delivery_due`, and the column
-- `number.sent`, which counted and was never read.
