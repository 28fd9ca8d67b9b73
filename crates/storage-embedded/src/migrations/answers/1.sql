-- Claims, and what was answered; milliseconds since 1970. A claim has `finished` 0. Of an answer the body may be
-- absent.
CREATE TABLE answers (
    id TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    fingerprint TEXT,
    until_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    finished INTEGER NOT NULL,
    body BLOB
) STRICT;
CREATE INDEX answers_by_end ON answers (expires_ms);
