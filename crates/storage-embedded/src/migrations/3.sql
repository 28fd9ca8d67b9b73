-- Budgets lie in a database of their own; nothing ever read what may still be spent from here.
DROP TABLE allowances;
