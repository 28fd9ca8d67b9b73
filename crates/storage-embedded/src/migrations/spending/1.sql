-- What scopes may spend, as JSON.
CREATE TABLE budgets (
    scope TEXT PRIMARY KEY,
    revision INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Each budget in each window, in picodollars: always amount = available + spent + its holds. `percents` are those
-- of its alerts, as JSON.
CREATE TABLE budget_rows (
    scope TEXT NOT NULL,
    period TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount >= 0),
    revision INTEGER NOT NULL,
    percents TEXT NOT NULL,
    available INTEGER NOT NULL,
    spent INTEGER NOT NULL CHECK (spent >= 0),
    PRIMARY KEY (scope, period)
) STRICT, WITHOUT ROWID;
CREATE TABLE holds (
    scope TEXT NOT NULL,
    period TEXT NOT NULL,
    request TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount >= 0),
    token INTEGER NOT NULL,
    taken_ms INTEGER NOT NULL,
    PRIMARY KEY (scope, period, request),
    FOREIGN KEY (scope, period) REFERENCES budget_rows (scope, period)
) STRICT, WITHOUT ROWID;
CREATE TABLE alerts (
    scope TEXT NOT NULL,
    period TEXT NOT NULL,
    percent INTEGER NOT NULL,
    until_ms INTEGER NOT NULL,
    PRIMARY KEY (scope, period, percent),
    FOREIGN KEY (scope, period) REFERENCES budget_rows (scope, period)
) STRICT, WITHOUT ROWID;

-- Reservations, as JSON. Those that are closed have a time to be forgotten at.
CREATE TABLE reservations (
    request TEXT PRIMARY KEY,
    expires_ms INTEGER NOT NULL,
    forget_ms INTEGER,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX reservations_unfinished ON reservations (expires_ms, request) WHERE forget_ms IS NULL;
CREATE INDEX reservations_closed ON reservations (forget_ms) WHERE forget_ms IS NOT NULL;

-- What requests cost, as JSON.
CREATE TABLE ledger (
    request TEXT PRIMARY KEY,
    day TEXT NOT NULL,
    reserved_ms INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX ledger_by_day ON ledger (day, reserved_ms, request);
