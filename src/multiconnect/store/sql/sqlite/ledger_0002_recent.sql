-- What small commits wrote, one row for each commit, in their order: rows of `batch`, `producer`,
-- `progress` and `upstream_id` that wait to be put into those tables together (recent.py).
CREATE TABLE recent (
    id   INTEGER PRIMARY KEY,
    rows BLOB NOT NULL
);
