-- When the first free slot of each rate begins, in microseconds since 1970.
CREATE TABLE rates (
    id TEXT PRIMARY KEY,
    free_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX rates_by_time ON rates (free_us);
