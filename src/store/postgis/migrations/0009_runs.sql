-- The journal of harvests, the newest of each layer.
CREATE TABLE runs (
  layer text NOT NULL,
  started bigint NOT NULL,         -- microseconds since 1970
  record json NOT NULL,            -- model::RunRecord
  PRIMARY KEY (layer, started));
