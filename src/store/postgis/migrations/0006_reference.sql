-- The territory reference: which table of the COG is in force, and the tables loaded from files.
CREATE TABLE reference (
  one boolean PRIMARY KEY CHECK (one),
  serial bigint NOT NULL,
  state json NOT NULL);            -- model::ReferenceState

CREATE TABLE reference_tables (
  id text PRIMARY KEY,
  bytes bytea NOT NULL);
