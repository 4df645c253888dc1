-- Proves to the worker that an operator asked: an HMAC by a key that the database does not have. Whoever has
-- the server's role can add a row, but none by which the worker restores anything, or removes a backup that the
-- retention keeps.
ALTER TABLE operations ADD COLUMN proof bytea;
GRANT INSERT (proof) ON operations TO "brownie-server";
