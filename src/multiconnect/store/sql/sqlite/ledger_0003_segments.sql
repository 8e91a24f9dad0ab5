-- Files beside this one that hold the bodies of large commits (segments.py), and how many bodies in
-- each are still referred to from `batch`. Only the newest is written to: a higher number, even of
-- a file that nobody made, closes the ones below it for good.
CREATE TABLE segment (
    number INTEGER PRIMARY KEY,
    bodies INTEGER NOT NULL
);
