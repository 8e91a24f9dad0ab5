-- Signs of life, apart from the control file so that they do not look like changes of it.
CREATE TABLE beat (
    incarnation TEXT PRIMARY KEY,
    count       INTEGER NOT NULL,
    figures     BLOB NOT NULL
) WITHOUT ROWID;
