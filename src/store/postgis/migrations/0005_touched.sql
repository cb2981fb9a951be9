-- Which rows of a published table were touched, so that only theirs are the attachments that are
-- made again. Run with the store's schema first in the search path.

-- The key's columns; none where rows have no key.
ALTER TABLE live ADD COLUMN key text[] NOT NULL DEFAULT '{}';

-- The ids of the rows an edit touched, as layers write them; null: not known. And how many rows
-- it touched, so that rows which changed without being announced are noticed by their number.
ALTER TABLE live_edits ADD COLUMN keys text[];
ALTER TABLE live_edits ADD COLUMN touched bigint NOT NULL DEFAULT 0;

-- The rows each revision touched, until attachments were made from it; null: not known.
CREATE TABLE live_touched (
  layer text NOT NULL REFERENCES live ON DELETE CASCADE,
  revision bigint NOT NULL,
  keys text[],
  PRIMARY KEY (layer, revision));

-- The vintage that codes were taken for; and whether the table k<serial> says of each row what its
-- attachments were made from.
ALTER TABLE live_reaches ADD COLUMN vintage integer;
ALTER TABLE live_reaches ADD COLUMN prints boolean NOT NULL DEFAULT false;

-- The same as before, with the ids and the number of rows. Triggers go on calling it.
DO $do$
DECLARE
  gis text := (SELECT n.nspname FROM pg_catalog.pg_extension e
               JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'postgis');
  store text := current_schema();
BEGIN
  EXECUTE format($make$
CREATE OR REPLACE FUNCTION announce_edit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, %2$I, %1$I, pg_temp AS $body$
DECLARE
  rows text;
  source text;
  boxes box[];
  given text := coalesce(TG_ARGV[1], '0');
  layer_row record;
  id text;
  ids text[];
  touched bigint := 0;
BEGIN
  IF NOT EXISTS (SELECT 1 FROM live WHERE TG_RELID = ANY (relations)
                 AND seen > now() - interval '1 day') THEN
    RETURN NULL;
  END IF;
  BEGIN
    IF TG_OP = 'INSERT' THEN
      rows := 'SELECT * FROM new_rows';
      EXECUTE 'SELECT count(*) FROM new_rows' INTO touched;
    ELSIF TG_OP = 'DELETE' THEN
      rows := 'SELECT * FROM old_rows';
      EXECUTE 'SELECT count(*) FROM old_rows' INTO touched;
    ELSIF TG_OP = 'UPDATE' THEN
      rows := 'SELECT * FROM old_rows UNION ALL SELECT * FROM new_rows';
      EXECUTE 'SELECT count(*) FROM new_rows' INTO touched;
    END IF;
    -- A statement that found nothing to do.
    IF touched = 0 AND rows IS NOT NULL THEN
      RETURN NULL;
    END IF;
    IF rows IS NOT NULL THEN
      source := format('SELECT %%I AS g FROM (%%s) r', TG_ARGV[0], rows);
      -- One box a degree: edits far apart do not touch what lies between them.
      EXECUTE 'SELECT array_agg(b) FROM (
        SELECT box(point(min(ST_XMin(e)), min(ST_YMin(e))), point(max(ST_XMax(e)), max(ST_YMax(e)))) AS b
        FROM (SELECT CASE
                WHEN ST_SRID(g) IN (4326, 4171) THEN ST_Envelope(g)
                ELSE ST_Expand(ST_Transform(ST_Segmentize(
                  CASE WHEN ST_SRID(g) = 0 THEN ST_SetSRID(ST_Envelope(g), ' || given::int || ')
                       ELSE ST_Envelope(g) END,
                  greatest(ST_XMax(g) - ST_XMin(g), ST_YMax(g) - ST_YMin(g)) / 8 + 1), 4326), 0.0001)
              END AS e
              FROM (SELECT g::geometry AS g FROM (' || source || ') t) s WHERE NOT ST_IsEmpty(g)) boxes
        GROUP BY floor(ST_XMin(e)), floor(ST_YMin(e))) grouped' INTO boxes;
      -- Rows without geometry are on no tile, but they are rows.
      boxes := coalesce(boxes, ARRAY[box(point('Infinity'::float8, 'Infinity'::float8), point('Infinity'::float8, 'Infinity'::float8))]);
    END IF;
    IF array_length(boxes, 1) > 500 THEN
      boxes := NULL;
    END IF;
  EXCEPTION WHEN OTHERS THEN
    boxes := NULL;
  END;
  FOR layer_row IN SELECT l.layer, l.own, l.key FROM live l WHERE TG_RELID = ANY (l.relations) LOOP
    ids := NULL;
    BEGIN
      IF layer_row.own = TG_RELID AND rows IS NOT NULL AND cardinality(layer_row.key) > 0
         AND touched <= 10000 THEN
        -- Names are data: format() quotes them. Several columns are joined as layers join them.
        SELECT CASE WHEN cardinality(layer_row.key) = 1 THEN format('%%I::text', layer_row.key[1])
               ELSE string_agg(format('replace(replace(%%I::text, ''~'', ''~0''), '','', ''~1'')', c), ' || '','' || ' ORDER BY n) END
          INTO id FROM unnest(layer_row.key) WITH ORDINALITY AS k (c, n);
        EXECUTE format('SELECT coalesce(array_agg(DISTINCT id), ''{}'') FROM (SELECT %%s AS id FROM (%%s) r) i WHERE id IS NOT NULL', id, rows)
          INTO ids;
      END IF;
    EXCEPTION WHEN OTHERS THEN
      ids := NULL;
    END;
    BEGIN
      INSERT INTO live_edits (layer, west, south, east, north, keys, touched)
      SELECT layer_row.layer, (b[1])[0], (b[1])[1], (b[0])[0], (b[0])[1],
        CASE WHEN n = 1 THEN ids ELSE '{}' END, CASE WHEN n = 1 THEN touched ELSE 0 END
      FROM unnest(CASE WHEN layer_row.own = TG_RELID THEN coalesce(boxes, ARRAY[NULL::box])
                       ELSE ARRAY[NULL::box] END) WITH ORDINALITY AS e (b, n);
    EXCEPTION WHEN OTHERS THEN
      RAISE WARNING 'socle: an edit was not announced: %%', SQLERRM;
    END;
  END LOOP;
  PERFORM pg_notify(%3$L, 'edit');
  RETURN NULL;
EXCEPTION WHEN OTHERS THEN
  RAISE WARNING 'socle: an edit was not announced: %%', SQLERRM;
  RETURN NULL;
END $body$ $make$, store, gis, store);
END $do$;
