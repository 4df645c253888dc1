DROP FUNCTION return_login_guess(text, interval);
DROP FUNCTION count_login_guess(text, interval, interval);
DROP TABLE login_guesses;
