-- Apart from hazards.sql: a new label cannot be used in the transaction that adds it.
UPDATE users SET role = 'EDITOR' WHERE username = 'user_109';
UPDATE incidents SET status = 'PAUSED' WHERE title = 'Disk full on db-16';
