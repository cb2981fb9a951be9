-- What was told of alerts, and who tells.
CREATE TABLE told (
  one boolean PRIMARY KEY CHECK (one),
  serial bigint NOT NULL,
  state json NOT NULL);            -- model::Told
