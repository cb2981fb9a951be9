//! GeoParquet 1.1 (<https://geoparquet.org/releases/v1.1.0/>): columns of a bounded number of rows
//! at a time, geometry as WKB, the system as PROJJSON.

use super::{Head, Options, Row, Target, Writer, broken, io, no_layer, one_layer_only};
use crate::{
    error::{Error, Result},
    formats::wkb::{self, Cursor},
    model::{FieldKind, GeometryKind, ValueRef},
};
use parquet::{
    basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical},
    data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type},
    file::{
        metadata::KeyValue,
        properties::{EnabledStatistics, WriterProperties},
        writer::{SerializedColumnWriter, SerializedFileWriter},
    },
    schema::types::{Type, TypePtr},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, io::Write, sync::Arc};

/// Rows and bytes of a row group: what is held in memory.
const ROWS: usize = 65_536;
const BYTES: usize = 16 << 20;

type Out = SerializedFileWriter<Box<dyn Write + Send>>;

pub(super) fn open(target: Target, _: Options) -> Result<Box<dyn Writer>> {
    Ok(Box::new(Parquet { out: Some(target.out), file: None }))
}

struct Parquet {
    out: Option<Box<dyn Write + Send>>,
    file: Option<File>,
}

struct File {
    writer: Out,
    head: Head,
    /// Fields, then the geometry.
    columns: Vec<Column>,
    rows: usize,
    bytes: usize,
    /// Name of the geometry column.
    geometry: Option<String>,
    /// WKB codes of the geometries seen.
    kinds: BTreeSet<u32>,
    extent: Option<[f64; 4]>,
}

/// The values of a column in the row group at hand; nulls are zeros among the levels only.
struct Column {
    values: Values,
    present: Vec<i16>,
}

enum Values {
    Bool(Vec<bool>),
    Int(Vec<i64>),
    Float(Vec<f64>),
    Date(Vec<i32>),
    /// Microseconds of UTC.
    Instant(Vec<i64>),
    Bytes(Vec<ByteArray>),
}

impl Values {
    fn of(kind: FieldKind) -> Self {
        match kind {
            FieldKind::Bool => Self::Bool(Vec::new()),
            FieldKind::Int => Self::Int(Vec::new()),
            FieldKind::Float => Self::Float(Vec::new()),
            FieldKind::Date => Self::Date(Vec::new()),
            FieldKind::DateTime => Self::Instant(Vec::new()),
            FieldKind::Text | FieldKind::Json => Self::Bytes(Vec::new()),
        }
    }

    /// Adds a value; `false` when it is none of this kind.
    fn add(&mut self, value: ValueRef<'_>) -> bool {
        match (self, value) {
            (Self::Bool(all), ValueRef::Bool(b)) => all.push(b),
            (Self::Int(all), ValueRef::Int(i)) => all.push(i),
            (Self::Float(all), ValueRef::Float(f)) => all.push(f),
            (Self::Float(all), ValueRef::Int(i)) => all.push(i as f64),
            (Self::Bytes(all), ValueRef::Text(s) | ValueRef::Json(s)) => {
                all.push(s.as_bytes().to_vec().into());
            }
            (Self::Date(all), ValueRef::Text(s)) => match days(s) {
                Some(days) => all.push(days),
                None => return false,
            },
            (Self::Instant(all), ValueRef::Text(s)) => match s.parse::<jiff::Timestamp>() {
                Ok(at) => all.push(at.as_microsecond()),
                Err(_) => return false,
            },
            _ => return false,
        }
        true
    }
}

/// Days since 1970-01-01.
fn days(date: &str) -> Option<i32> {
    let date: jiff::civil::Date = date.parse().ok()?;
    let span = date.since((jiff::Unit::Day, jiff::civil::date(1970, 1, 1))).ok()?;
    Some(span.get_days())
}

impl Writer for Parquet {
    fn begin(&mut self, head: &Head) -> Result<()> {
        let out = self.out.take().ok_or_else(one_layer_only)?;
        let mut names = super::Names::default();
        let mut types = Vec::new();
        let mut columns = Vec::new();
        for field in &head.schema.fields {
            types.push(column_type(&names.free(&field.name), field.kind)?);
            columns.push(Column { values: Values::of(field.kind), present: Vec::new() });
        }
        let spatial = head.schema.geometry != GeometryKind::None;
        let geometry = spatial.then(|| names.free("geometry"));
        if let Some(name) = &geometry {
            types.push(leaf(name, Physical::BYTE_ARRAY, None)?);
            columns.push(Column { values: Values::Bytes(Vec::new()), present: Vec::new() });
        }
        let schema =
            Type::group_type_builder("schema").with_fields(types).build().map_err(fault)?;
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(format!("Socle {}", env!("CARGO_PKG_VERSION")));
        if let Some(name) = &geometry {
            // Geometries do not repeat, and their order means nothing.
            properties = properties
                .set_column_dictionary_enabled(name.as_str().into(), false)
                .set_column_statistics_enabled(name.as_str().into(), EnabledStatistics::None);
        }
        let writer = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties.build()));
        self.file = Some(File {
            writer: writer.map_err(fault)?,
            head: head.clone(),
            columns,
            rows: 0,
            bytes: 0,
            geometry,
            kinds: BTreeSet::new(),
            extent: None,
        });
        Ok(())
    }

    fn row(&mut self, row: &Row<'_>) -> Result<()> {
        let file = self.file.as_mut().ok_or_else(no_layer)?;
        file.add(row)?;
        if file.rows >= ROWS || file.bytes >= BYTES { file.flush() } else { Ok(()) }
    }

    fn end(&mut self) -> Result<()> {
        self.file.as_mut().ok_or_else(no_layer)?.flush()
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        let mut file = self.file.take().ok_or_else(no_layer)?;
        let geo = file.geo();
        if let Some(geo) = geo {
            let entry = KeyValue::new("geo".to_owned(), geo.to_string());
            file.writer.append_key_value_metadata(entry);
        }
        let about = file.head.metadata().to_string();
        file.writer.append_key_value_metadata(KeyValue::new("socle".to_owned(), about));
        file.writer.finish().map_err(fault)?;
        file.writer.inner_mut().flush().map_err(io)
    }
}

impl File {
    fn add(&mut self, row: &Row<'_>) -> Result<()> {
        let fields = self.head.schema.fields.len();
        for (i, column) in self.columns.iter_mut().take(fields).enumerate() {
            let value = row.values.get(i).copied().unwrap_or(ValueRef::Null);
            self.bytes += match value {
                ValueRef::Text(s) | ValueRef::Json(s) => s.len() + 32,
                _ => 10,
            };
            // What is no value of its column's kind can only come from a damaged store.
            let none = matches!(value, ValueRef::Null);
            if !none && !column.values.add(value) {
                return Err(Error::broken("a stored value is not of its field's kind"));
            }
            column.present.push(i16::from(!none));
        }
        if let Some(column) = self.columns.get_mut(fields) {
            if let (Some(wkb), Values::Bytes(all)) = (row.wkb, &mut column.values) {
                self.kinds.insert(Cursor::new(wkb).header().map_err(broken)?.kind.code());
                if let Some(b) = wkb::bounds(wkb).map_err(broken)? {
                    let e = self.extent.unwrap_or(b);
                    self.extent =
                        Some([e[0].min(b[0]), e[1].min(b[1]), e[2].max(b[2]), e[3].max(b[3])]);
                }
                self.bytes += wkb.len() + 32;
                all.push(wkb.to_vec().into());
            }
            column.present.push(i16::from(row.wkb.is_some()));
        }
        self.rows += 1;
        Ok(())
    }

    /// Writes the rows gathered as a row group.
    fn flush(&mut self) -> Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut group = self.writer.next_row_group().map_err(fault)?;
        for column in &mut self.columns {
            let writer = group.next_column().map_err(fault)?;
            let writer = writer.ok_or_else(|| Error::broken("a Parquet column too many"))?;
            let present = std::mem::take(&mut column.present);
            match &mut column.values {
                Values::Bool(all) => batch::<BoolType>(writer, all, &present),
                Values::Int(all) | Values::Instant(all) => {
                    batch::<Int64Type>(writer, all, &present)
                }
                Values::Float(all) => batch::<DoubleType>(writer, all, &present),
                Values::Date(all) => batch::<Int32Type>(writer, all, &present),
                Values::Bytes(all) => batch::<ByteArrayType>(writer, all, &present),
            }?;
        }
        group.close().map_err(fault)?;
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }

    /// The file's `geo` metadata.
    fn geo(&self) -> Option<Value> {
        let name = self.geometry.as_ref()?;
        let crs: Value = serde_json::from_str(self.head.system.projjson).unwrap_or(Value::Null);
        let mut column = json!({
            "encoding": "WKB",
            "geometry_types": self.kinds.iter().map(|k| kind_name(*k)).collect::<Vec<_>>(),
            "crs": crs,
            "edges": "planar",
        });
        if let Some(extent) = self.extent {
            column["bbox"] = json!(extent);
        }
        Some(json!({ "version": "1.1.0", "primary_column": name, "columns": { name: column } }))
    }
}

fn batch<T: DataType>(
    mut writer: SerializedColumnWriter<'_>,
    values: &mut Vec<T::T>,
    present: &[i16],
) -> Result<()> {
    writer.typed::<T>().write_batch(values, Some(present), None).map_err(fault)?;
    values.clear();
    writer.close().map_err(fault)
}

fn kind_name(code: u32) -> &'static str {
    match code {
        1 => "Point",
        2 => "LineString",
        3 => "Polygon",
        4 => "MultiPoint",
        5 => "MultiLineString",
        6 => "MultiPolygon",
        _ => "GeometryCollection",
    }
}

fn column_type(name: &str, kind: FieldKind) -> Result<TypePtr> {
    match kind {
        FieldKind::Bool => leaf(name, Physical::BOOLEAN, None),
        FieldKind::Int => leaf(name, Physical::INT64, None),
        FieldKind::Float => leaf(name, Physical::DOUBLE, None),
        FieldKind::Date => leaf(name, Physical::INT32, Some(LogicalType::Date)),
        FieldKind::DateTime => {
            let micros = LogicalType::timestamp(true, TimeUnit::MICROS);
            leaf(name, Physical::INT64, Some(micros))
        }
        FieldKind::Text => leaf(name, Physical::BYTE_ARRAY, Some(LogicalType::String)),
        FieldKind::Json => leaf(name, Physical::BYTE_ARRAY, Some(LogicalType::Json)),
    }
}

fn leaf(name: &str, physical: Physical, logical: Option<LogicalType>) -> Result<TypePtr> {
    let built = Type::primitive_type_builder(name, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(logical)
        .build();
    built.map(Arc::new).map_err(fault)
}

fn fault(e: parquet::errors::ParquetError) -> Error {
    match e {
        parquet::errors::ParquetError::External(cause) => {
            match cause.downcast::<std::io::Error>() {
                Ok(e) => io(*e),
                Err(other) => Error::fault("writing Parquet", other),
            }
        }
        other => Error::fault("writing Parquet", other),
    }
}
