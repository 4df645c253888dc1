DROP FUNCTION events_settled(jsonb);
