-- A search reads texts in the order of their list and judges them in the service. The column made every
-- write, and every later change of any other column, pay for PostgreSQL's text-search parser, which takes
-- minutes over some texts of 64 KiB, or fails.
-- lint: allow drop-in-use because no release has used it
ALTER TABLE incidents DROP COLUMN search;
