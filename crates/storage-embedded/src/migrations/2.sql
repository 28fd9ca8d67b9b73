-- What may still be spent.
CREATE TABLE allowances (
    id TEXT PRIMARY KEY,
    available INTEGER NOT NULL CHECK (available >= 0)
) STRICT, WITHOUT ROWID;
