-- lint: allow drop-in-use because only the worker of the release that is undone reads it
ALTER TABLE operations DROP COLUMN proof;
