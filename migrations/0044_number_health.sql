-- What WhatsApp signals about a number, and what the gateway makes of it.

ALTER TABLE number ADD COLUMN health text; -- JSON: level, reasons and counters, `safety::health::Health`. Null: nothing was ever wrong
