-- What publications changed, feature by feature. Not bound to versions: it outlives them.
CREATE TABLE changes (
  layer text NOT NULL,
  at bigint NOT NULL,              -- milliseconds since 1970
  head json NOT NULL,              -- model::ChangesHead
  list bytea NOT NULL,             -- the rest of model::Changes, compressed
  PRIMARY KEY (layer, at));
