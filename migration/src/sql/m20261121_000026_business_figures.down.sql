DROP FUNCTION business_figures();
