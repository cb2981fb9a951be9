-- Edits are announced with the rights of this schema's owner, by triggers on tables of others: what
-- they hold must not have code of theirs run. Run with the store's schema first in the search path.

-- The key's columns that the ids of an edit were written from: they may be others by now.
ALTER TABLE live_edits ADD COLUMN key text[];

-- The same as before. Names are looked up in pg_catalog alone, all others say their schema, and
-- functions of PostGIS are called with the very types they take, so that none made by others fits
-- better. Only columns of types whose conversion is the system's own, or PostGIS's, are converted;
-- of others nothing is known. And values are written in one way, whoever edits.
DO $do$
DECLARE
  gis text := (SELECT n.nspname FROM pg_catalog.pg_extension e
               JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'postgis');
  store text := current_schema();
BEGIN
  EXECUTE format($make$
CREATE OR REPLACE FUNCTION announce_edit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET "TimeZone" = 'UTC' SET "DateStyle" = 'ISO, MDY' SET "IntervalStyle" = 'postgres'
SET extra_float_digits = 1 SET bytea_output = 'hex' AS $body$
DECLARE
  gis CONSTANT text := %2$L;
  tables text[];
  own_names boolean;
  located boolean;
  rows text;
  boxes box[];
  given text := coalesce(TG_ARGV[1], '0');
  layer_row record;
  plain boolean;
  id text;
  ids text[];
  touched bigint := 0;
BEGIN
  IF NOT EXISTS (SELECT 1 FROM %1$I.live l WHERE TG_RELID = ANY (l.relations)
                 AND l.seen > now() - interval '1 day') THEN
    RETURN NULL;
  END IF;
  BEGIN
    tables := CASE TG_OP WHEN 'INSERT' THEN ARRAY['new_rows'] WHEN 'DELETE' THEN ARRAY['old_rows']
                         WHEN 'UPDATE' THEN ARRAY['new_rows', 'old_rows'] END;
    -- Of a trigger without these transition tables the names would be anybody's.
    SELECT tables <@ ARRAY[t.tgnewtable::text, t.tgoldtable::text] INTO own_names
      FROM pg_trigger t WHERE t.tgrelid = TG_RELID AND t.tgname = TG_NAME;
    IF own_names IS DISTINCT FROM true THEN
      tables := NULL;
    END IF;
    IF tables IS NOT NULL THEN
      EXECUTE format('SELECT count(*) FROM %%I', tables[1]) INTO touched;
      -- A statement that found nothing to do.
      IF touched = 0 THEN
        RETURN NULL;
      END IF;
      SELECT count(*) > 0 INTO located
        FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
        JOIN pg_type b ON b.oid = CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END
        JOIN pg_namespace n ON n.oid = b.typnamespace
        WHERE a.attrelid = TG_RELID AND a.attname = TG_ARGV[0] AND NOT a.attisdropped
          AND n.nspname = gis AND b.typname IN ('geometry', 'geography');
    END IF;
    IF located THEN
      SELECT string_agg(format('SELECT (%%I)::%%I.geometry AS g FROM %%I', TG_ARGV[0], gis, t), ' UNION ALL ')
        INTO rows FROM unnest(tables) AS t;
      -- One box a degree: edits far apart do not touch what lies between them.
      EXECUTE format('SELECT array_agg(b) FROM (
        SELECT box(point(min(w), min(s)), point(max(e), max(n))) AS b
        FROM (SELECT %%1$I.ST_XMin(x) AS w, %%1$I.ST_YMin(x) AS s, %%1$I.ST_XMax(x) AS e, %%1$I.ST_YMax(x) AS n
          FROM (SELECT (CASE
                  WHEN srid IN (4326, 4171) THEN %%1$I.ST_Envelope(g)
                  ELSE %%1$I.ST_Expand(%%1$I.ST_Transform(%%1$I.ST_Segmentize(
                    CASE WHEN srid = 0 THEN %%1$I.ST_SetSRID(%%1$I.ST_Envelope(g), %%3$s)
                         ELSE %%1$I.ST_Envelope(g) END,
                    (greatest(%%1$I.ST_XMax(x) - %%1$I.ST_XMin(x), %%1$I.ST_YMax(x) - %%1$I.ST_YMin(x)) / 8 + 1)::float8),
                    4326), 0.0001::float8)
                END)::%%1$I.box3d AS x
                FROM (SELECT g, g::%%1$I.box3d AS x, %%1$I.ST_SRID(g) AS srid FROM (%%2$s) r
                      WHERE NOT %%1$I.ST_IsEmpty(g)) s) boxes) sides
        GROUP BY floor(w), floor(s)) grouped', gis, rows, given::int) INTO boxes;
      -- Rows without geometry are on no tile, but they are rows.
      boxes := coalesce(boxes, ARRAY[box(point('Infinity'::float8, 'Infinity'::float8), point('Infinity'::float8, 'Infinity'::float8))]);
    END IF;
    IF array_length(boxes, 1) > 500 THEN
      boxes := NULL;
    END IF;
  EXCEPTION WHEN OTHERS THEN
    boxes := NULL;
  END;
  FOR layer_row IN SELECT l.layer, l.own, l.key FROM %1$I.live l WHERE TG_RELID = ANY (l.relations) LOOP
    ids := NULL;
    BEGIN
      IF layer_row.own = TG_RELID AND tables IS NOT NULL AND cardinality(layer_row.key) > 0
         AND touched <= 10000 THEN
        -- Nobody but the system converts its own types; names of objects and sums of money depend
        -- on more than is set here.
        SELECT count(*) = cardinality(layer_row.key) INTO plain
          FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
          JOIN pg_type b ON b.oid = CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END
          WHERE a.attrelid = TG_RELID AND a.attname = ANY (layer_row.key) AND NOT a.attisdropped
            AND b.typnamespace = 'pg_catalog'::regnamespace AND b.typtype IN ('b', 'r', 'm')
            AND b.typname !~ '^_?(reg|money)';
        IF plain THEN
          -- Names are data: format() quotes them. Several columns are joined as layers join them.
          SELECT CASE WHEN cardinality(layer_row.key) = 1 THEN format('%%I::text', layer_row.key[1])
                 ELSE string_agg(format('replace(replace(%%I::text, ''~'', ''~0''), '','', ''~1'')', c), ' || '','' || ' ORDER BY n) END
            INTO id FROM unnest(layer_row.key) WITH ORDINALITY AS k (c, n);
          SELECT string_agg(format('SELECT %%s AS id FROM %%I', id, t), ' UNION ALL ')
            INTO rows FROM unnest(tables) AS t;
          EXECUTE format('SELECT coalesce(array_agg(DISTINCT id), ''{}'') FROM (%%s) i WHERE id IS NOT NULL', rows)
            INTO ids;
        END IF;
      END IF;
    EXCEPTION WHEN OTHERS THEN
      ids := NULL;
    END;
    BEGIN
      INSERT INTO %1$I.live_edits (layer, west, south, east, north, keys, touched, key)
      SELECT layer_row.layer, (b[1])[0], (b[1])[1], (b[0])[0], (b[0])[1],
        CASE WHEN n = 1 THEN ids ELSE '{}' END, CASE WHEN n = 1 THEN touched ELSE 0 END, layer_row.key
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
