ALTER TABLE incidents DROP COLUMN search;
