-- What may be forgotten is looked for by name: each slot that was taken changed a page of this too.
DROP INDEX rates_by_time;
