-- Reservations and entries in the order in which they came, with their names in an index beside them: where a table is
-- ordered by name itself, a name is looked for among whole bodies, and each that comes changes pages all over the file.
CREATE TABLE reservations_by_arrival (
    request TEXT NOT NULL UNIQUE,
    expires_ms INTEGER NOT NULL,
    forget_ms INTEGER,
    body TEXT NOT NULL
) STRICT;
INSERT INTO reservations_by_arrival (request, expires_ms, forget_ms, body)
    SELECT request, expires_ms, forget_ms, body FROM reservations ORDER BY expires_ms;
DROP TABLE reservations;
ALTER TABLE reservations_by_arrival RENAME TO reservations;
CREATE INDEX reservations_unfinished ON reservations (expires_ms, request) WHERE forget_ms IS NULL;
CREATE INDEX reservations_closed ON reservations (forget_ms) WHERE forget_ms IS NOT NULL;

CREATE TABLE ledger_by_arrival (
    request TEXT NOT NULL UNIQUE,
    day TEXT NOT NULL,
    reserved_ms INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
INSERT INTO ledger_by_arrival (request, day, reserved_ms, body)
    SELECT request, day, reserved_ms, body FROM ledger ORDER BY reserved_ms;
DROP TABLE ledger;
ALTER TABLE ledger_by_arrival RENAME TO ledger;
CREATE INDEX ledger_by_day ON ledger (day, reserved_ms, request);
