-- Records of all kinds, as JSON. A revision is never used twice.
CREATE TABLE revisions (last INTEGER NOT NULL) STRICT;
INSERT INTO revisions (last) VALUES (0);
CREATE TABLE records (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    grouping TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX records_by_age ON records (kind, created_ms, id);
CREATE INDEX records_by_group ON records (kind, grouping, created_ms, id);

-- What happened, by log.
CREATE TABLE events (
    log TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (log, sequence)
) STRICT, WITHOUT ROWID;

-- Messages that nobody has acknowledged. `id` orders them, `receives` tells deliveries apart.
CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL,
    body TEXT NOT NULL,
    visible_ms INTEGER NOT NULL,
    receives INTEGER NOT NULL,
    dead INTEGER NOT NULL
) STRICT;
CREATE INDEX messages_by_time ON messages (queue, dead, visible_ms, id);
