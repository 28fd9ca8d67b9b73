-- What may be forgotten is looked for in the order in which it came: each that was closed changed a page of this too.
DROP INDEX reservations_closed;
