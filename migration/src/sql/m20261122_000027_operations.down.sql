DROP TABLE backup_reports;
DROP TABLE operations;
