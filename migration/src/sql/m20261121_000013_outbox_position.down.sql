DROP TRIGGER outbox_announce ON outbox;
DROP FUNCTION events_after(uuid, bigint, bigint);
DROP FUNCTION outbox_horizon();
DROP FUNCTION outbox_announce();
ALTER TABLE outbox DROP COLUMN position;
DROP SEQUENCE outbox_position;
